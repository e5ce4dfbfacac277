from __future__ import annotations

import pytest

from phenoloom.study.wells import row_and_column, row_letters, same_well


@pytest.mark.parametrize(
    ("well", "expected"),
    [
        ("B03", ("B", "3")),
        ("b3", ("B", "3")),
        ("A001", ("A", "1")),
        ("AB12", ("AB", "12")),
        ("r02c11", ("B", "11")),
        ("B-3", ("B", "3")),
        ("A0", (None, None)),
        ("ABC1", (None, None)),
        ("12", (None, None)),
        ("", (None, None)),
    ],
)
def test_rows_and_columns_are_derived_from_names(well: str, expected: tuple[str | None, str | None]) -> None:
    assert row_and_column(well) == expected


def test_all_spellings_of_a_well_are_the_same_and_other_text_stays() -> None:
    assert {same_well(w) for w in ("A1", "A01", "A001", "a1", "r01c01")} == {"A1"}
    assert same_well("mixed pool") == "mixed pool"


def test_rows_of_a_1536_well_plate_end_at_af() -> None:
    assert [row_letters(i) for i in (0, 25, 26, 31)] == ["A", "Z", "AA", "AF"]
