from __future__ import annotations

from pathlib import Path

import pandas as pd
from tests.helpers.report_results import read_results

from phenoloom.report.sections.resources import time_and_memory


def write(folder: Path, rule: str, job: str, seconds: float, megabytes: float) -> None:
    (folder / rule).mkdir(parents=True, exist_ok=True)
    row = {"s": seconds, "max_rss": megabytes, "cpu_time": 2 * seconds}
    pd.DataFrame([row]).to_csv(folder / rule / f"{job}.tsv", sep="\t", index=False)


def test_rules_are_in_the_order_of_the_pipeline_with_sums_and_maxima(tmp_path: Path) -> None:
    write(tmp_path, "embed", "a", 10, 100)
    write(tmp_path, "convert", "0000", 20, 300)
    write(tmp_path, "convert", "0001", 10, 500)
    write(tmp_path, "unheard-of", "a", 0, 1)
    table = time_and_memory(read_results(tmp_path / "study", tmp_path))
    assert table is not None
    rows = [[cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in row] for row in table.rows]
    assert [row[0] for row in rows] == ["convert", "embed", "unheard-of"]
    assert rows[0][1:] == ["2", "30.0 s", "75 %", "20.0 s", "1 min 00 s", "500 MB"]
    assert table.note.replace("\N{NO-BREAK SPACE}", " ") == "All steps together: 40.0 s of wall-clock time in 4 jobs."


def test_a_study_without_measurements_has_no_table(tmp_path: Path) -> None:
    assert time_and_memory(read_results(tmp_path / "study", tmp_path)) is None
