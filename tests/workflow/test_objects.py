"""Labels of single objects from the table to the plan of a changed one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.object_studies import STUDY, ObjectStudy, changed
from tests.helpers.workspace import Workspace, new_workspace

FOLDS = {"index", "folds", "embed", "collect", "classify", "compare", "report", "overview"}


def write_rows(raw: ObjectStudy, label: str) -> None:
    rows = [f"{w},{n},{label if n < 3 else 'long'}\n" for w in ("A1", "A2", "A3", "A4") for n in (1, 2, 3, 4)]
    raw.table("Well,ObjectNumber,phenotype\n" + "".join(rows))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    raw = ObjectStudy(tmp_path)
    for well in ("A01", "A02", "A03", "A04"):
        raw.image(f"P1/{well}_s1")
    write_rows(raw, "round")
    made = new_workspace(tmp_path / "work")
    source = {"root": str(raw.raw), "objects": {"join": {"plate": None, "field": None, "well": "Well"}}}
    made.write_study(changed(STUDY, {"source": source}), "toy")
    return made


def test_a_changed_label_reads_the_table_and_makes_the_index_again_and_converts_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.snakemake("results/toy/index.json")
    write_rows(ObjectStudy(tmp_path), "flat")
    assert {job for job in workspace.planned() if ":" not in job} == {"objects"} | FOLDS
