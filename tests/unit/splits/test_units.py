from __future__ import annotations

import pandas as pd
import pytest

from phenoloom.splits.units import unit_ids

ROWS = pd.DataFrame(
    {
        "id": ["a#1", "a#2", "b#1", "c#1"],
        "image_id": ["a", "a", "b", "c"],
        "plate": ["P", "P", None, "P"],
        "well": ["A1", "A1", "A2", None],
    }
)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("object", ["a#1", "a#2", "b#1", "c#1"]),
        ("image", ["a", "a", "b", "c"]),
        ("well", ["P/A1", "P/A1", "A2", None]),
    ],
)
def test_each_kind_of_unit_is_named_by_its_own_columns(unit: str, expected: list[str | None]) -> None:
    found = unit_ids(ROWS, unit)
    assert found.where(found.notna(), None).tolist() == expected
