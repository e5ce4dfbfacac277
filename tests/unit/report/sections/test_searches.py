"""What the report says of a search for settings."""

from __future__ import annotations

from pathlib import Path

import yaml

from phenoloom.artifacts.layout import StudyFolder
from phenoloom.report.numbers import GAP
from phenoloom.report.sections.searches import search_tables

TRIALS = """slot\tstate\tknn_accuracy\tepochs\ttraining.learning_rate\tobjective.decoder\treason
0\tcomplete\t0.5\t9\t0.00123456\tNA\t
1\tpruned\t0.25\t4\t0.1\tpoints\t
2\tcomplete\t0.75\t9\t0.002\tNA\t
3\tfail\t\t\t0.9\tpoints\tThe loss is not finite
4\tcomplete\t0.75\t9\t0.003\tpoints\t
"""


def write_search(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "trials.tsv").write_text(TRIALS)
    settings = {"training.learning_rate": 0.002, "objective.decoder": "NA"}
    chosen = {"metric": "knn_accuracy", "value": 0.75, "trials": 5, "settings": settings}
    (folder / "chosen.yaml").write_text(yaml.safe_dump(chosen))


def test_trials_are_in_the_order_of_their_value_with_the_chosen_one_first(tmp_path: Path) -> None:
    write_search(tmp_path / "tuning" / "shape-ae" / "fold-1")
    write_search(tmp_path / "tuning" / "shape-ae" / "fold-0")
    first, second = search_tables(StudyFolder(tmp_path).searches())
    assert (first.caption, second.caption) == tuple(f"shape-ae, fold-{fold}: 5{GAP}trials" for fold in range(2))
    cells = [[cell.text for cell in row] for row in first.rows]
    assert [row[0] for row in cells] == ["2", "4", "0", "1", "3"]
    assert [row[1] for row in cells] == ["chosen", "trained", "trained", "stopped early", "failed"]
    assert cells[0][2:] == ["0.75", "9", "0.002", "NA"]
    assert cells[2][4] == "0.001235"
    assert cells[4][2:4] == ["–", "–"]
    assert first.rows[4][1].note == "The loss is not finite"
    assert [row[0].strong for row in first.rows] == [True, False, False, False, False]
    assert "no test group was used" in first.note
    assert "uses their labels" in first.note
    assert f"1{GAP}trial worse than the others" in first.note


def test_a_study_without_a_search_has_no_table(tmp_path: Path) -> None:
    assert search_tables(StudyFolder(tmp_path).searches()) == []
