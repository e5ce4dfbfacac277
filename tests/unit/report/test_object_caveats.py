from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from phenoloom.report.object_caveats import object_caveats

NONE: dict[str, Any] = {"count": 0, "examples": []}
ALL_FOUND: dict[str, Any] = {
    "table": "cells.csv",
    "rows": 1200,
    "rows_without_image": NONE,
    "unusable_rows": NONE,
    "repeated_points": NONE,
    "rows_without_object": {},
    "rows_in_quarantine": 0,
    "contradictory_objects": NONE,
    "objects_without_row": 0,
}


def caveats(**stated: Any) -> list[str]:
    results = SimpleNamespace(manifests={"index": [{"objects": ALL_FOUND | stated}]})
    sentences = list(object_caveats(results))  # type: ignore[arg-type]
    # Thin and fixed spaces, as the report writes them.
    return [text.replace("\u202f", ",").replace("\xa0", " ") for text in sentences]


def test_rows_and_objects_without_a_partner_are_told_with_their_number_and_an_example() -> None:
    assert caveats(
        rows_without_image={"count": 1000, "examples": ["row 7 (Well 'Z9')"]},
        rows_without_object={"the point lies on the background": {"count": 3, "examples": ["row 2"]}},
        repeated_points={"count": 2, "examples": ["row 9"]},
        contradictory_objects={"count": 1, "examples": ["P1/A01/1#0001"]},
        objects_without_row=5,
    ) == [
        "Rows of cells.csv of no image of the study: 1,000 of 1,200, for example row 7 (Well 'Z9').",
        "Rows of cells.csv of no object (the point lies on the background): 3 of 1,200, for example row 2.",
        "Rows of cells.csv at exactly the place of an earlier row: 2 of 1,200, each an object of its own, for example "
        "row 9; remove them if they were written twice.",
        "1 object without a label or group, because rows of cells.csv contradict each other, for example "
        "P1/A01/1#0001.",
        "5 objects without a row in cells.csv, and so without a label or group from there.",
    ]


def test_a_table_that_fits_and_a_study_without_one_need_no_caveat() -> None:
    assert caveats() == []
    assert list(object_caveats(SimpleNamespace(manifests={"index": [{}]}))) == []  # type: ignore[arg-type]
