"""Labels of single objects, from their table to the report and to the plan of a changed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.object_studies import STUDY, ObjectStudy, changed
from tests.helpers.page import Page
from tests.helpers.workspace import Workspace, new_workspace

INDEX = {"index", "folds", "audit", "embed", "collect", "classify", "compare", "report", "overview"}
WELLS = ("A01", "A02", "A03", "A04")
BY_NUMBER: dict[str, Any] = {"join": {"plate": None, "field": None, "well": "Well"}}
BY_POINT: dict[str, Any] = {**BY_NUMBER, "object": None, "x": "X", "y": "Y"}


def write_rows(raw: ObjectStudy, label: str) -> None:
    """Write labels of the four squares of each image, with points in them; one row is of a fifth one."""
    places = {1: (10, 10), 2: (45, 10), 3: (10, 45), 4: (45, 45), 5: (32, 32)}
    numbers = {well: (1, 2, 3, 4) if well != "A04" else (1, 2, 3, 4, 5) for well in WELLS}
    rows = [
        f"{well},{n},{places[n][0]},{places[n][1]},{label if n < 3 else 'long'}\n"
        for well in WELLS
        for n in numbers[well]
    ]
    raw.table("Well,ObjectNumber,X,Y,phenotype\n" + "".join(rows))


def workspace_of(folder: Path, objects: dict[str, Any]) -> Workspace:
    """Write a study of four images of four squares."""
    raw = ObjectStudy(folder)
    for well in WELLS:
        raw.image(f"P1/{well}_s1")
    write_rows(raw, "round")
    made = new_workspace(folder / "work")
    made.write_study(changed(STUDY, {"source": {"root": str(raw.raw), "objects": objects}}), "toy")
    return made


@pytest.mark.parametrize(
    ("objects", "again"),
    [
        pytest.param(BY_NUMBER, set(), id="number"),
        pytest.param(BY_POINT, {"convert"}, id="point", marks=pytest.mark.slow),
    ],
)
def test_a_changed_label_reads_the_table_and_makes_the_index_again_and_converts_only_where_it_has_points(
    tmp_path: Path, objects: dict[str, Any], again: set[str]
) -> None:
    workspace = workspace_of(tmp_path, objects)
    workspace.snakemake("results/toy/index.json")
    assert {job for job in workspace.planned("results/toy/index.json") if ":" not in job} == set()
    write_rows(ObjectStudy(tmp_path), "flat")
    assert {job for job in workspace.planned() if ":" not in job} == {"objects"} | again | INDEX


@pytest.mark.slow
@pytest.mark.parametrize("objects", [BY_NUMBER, BY_POINT], ids=["number", "point"])
def test_labels_of_objects_reach_the_report(tmp_path: Path, objects: dict[str, Any]) -> None:
    workspace = workspace_of(tmp_path, objects)
    workspace.snakemake()
    page = Page((workspace.folder / "results" / "toy" / "report" / "index.html").read_text()).text
    assert "round" in page
    assert "Rows of cells.csv of no object" in page
