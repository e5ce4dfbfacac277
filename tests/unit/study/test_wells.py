from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


SPELLINGS = [
    "{row}{column}", "{row}{column:02d}", "{row}{column:03d}", "{row} {column}", "{row}-{column:02d}",
    "{row} - {column:02d}", "{row}_{column:02d}", "Well {row}{column:02d}", "well_{row}{column}", "Well-{row}-{column}",
    " {row}{column:02d} ", "{row},{column}", "{row}:{column}", "row {row} col {column}", "Row{row}_Column{column:02d}",
    "R{number}C{column}", "r{number:02d}c{column:02d}", "r{number:02d}-c{column:02d}", "R {number} C {column}",
    "row{number}col{column}", "Row {number}, Column {column}", "well r{number:03d}c{column:03d}",
]  # fmt: skip


@given(st.integers(0, 31), st.integers(1, 48), st.sampled_from(SPELLINGS), st.sampled_from([str, str.lower, str.upper]))
def test_every_spelling_of_every_well_of_1536_is_one(
    row: int, column: int, spelling: str, case: Callable[[str], str]
) -> None:
    text = case(spelling.format(row=row_letters(row), number=row + 1, column=column))
    assert row_and_column(text) == (row_letters(row), str(column))


def test_no_two_wells_have_one_spelling() -> None:
    wells = [f"{row_letters(row)}{column:02d}" for row in range(32) for column in range(1, 49)]
    assert len({same_well(well) for well in wells}) == 1536
    assert len({same_well(f"r{row}c{column}") for row in range(1, 33) for column in range(1, 49)}) == 1536


@pytest.mark.parametrize(
    "text", ["WT1", "KO2", "plate 3", "1", "well 7", "0203", "A", "A1B2", "A1.5", "s1_2", "\u0661"]
)
def test_text_that_is_no_position_stays(text: str) -> None:
    assert same_well(text) == text


def test_rows_of_a_1536_well_plate_end_at_af() -> None:
    assert [row_letters(i) for i in (0, 25, 26, 31)] == ["A", "Z", "AA", "AF"]
