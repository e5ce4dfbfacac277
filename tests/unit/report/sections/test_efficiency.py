from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from tests.helpers.report_results import read_results

from phenoloom.report.sections.efficiency import efficiency
from phenoloom.report.table import PageTable


def job(benchmarks: Path, rule: str, name: str, **columns: Any) -> None:
    """A benchmark file as Snakemake writes it with `benchmark-extended`."""
    row = {"s": 10.0, "h:m:s": "0:00:10", "max_rss": 100.0, "cpu_time": 10.0, "threads": 1} | columns
    row["resources"] = str(columns.get("resources", {"tmpdir": "/tmp", "mem_mb": 1000, "mem": "1.0 GB", "runtime": 60}))
    (benchmarks / rule).mkdir(parents=True, exist_ok=True)
    pd.DataFrame([row]).to_csv(benchmarks / rule / f"{name}.tsv", sep="\t", index=False, na_rep="NA")


def table(folder: Path) -> PageTable | None:
    return efficiency(read_results(folder / "study", folder / "benchmarks"))


def cells(shown: PageTable | None, step: str) -> dict[str, str]:
    """The row of a step by heading; a second column of the same heading gets a prime."""
    assert shown is not None
    (row,) = [row for row in shown.rows if row[0].text == step]
    found: dict[str, str] = {}
    for column, cell in zip(shown.columns, row, strict=True):
        name = column.name
        while name in found:
            name += "'"
        found[name] = (cell.text + (f" ({cell.note})" if cell.note else "")).replace("\N{NO-BREAK SPACE}", " ")
    return found


def plain(note: str) -> str:
    return note.replace("\N{NO-BREAK SPACE}", " ")


def test_a_step_is_shown_by_the_jobs_that_came_nearest_to_their_limits(tmp_path: Path) -> None:
    job(tmp_path / "benchmarks", "convert", "0000", max_rss=900, s=60, cpu_time=90, threads=2)
    asked = {"mem_mb": 4000, "runtime": 1}
    job(tmp_path / "benchmarks", "convert", "0001", max_rss=1000, s=45, cpu_time=15, threads=2, resources=asked)
    row = cells(table(tmp_path), "convert")
    assert (row["memory requested"], row["used"]) == ("1.0 GB", "900 MB (90.0 %)")
    assert (row["time requested"], row["used'"]) == ("1 min 00 s", "45.0 s (75.0 %)")
    assert (row["threads"], row["busy"]) == ("2", "50.0 %")
    assert row["GPUs"] == "–"


def test_gpus_of_one_node_and_of_several_are_counted_and_their_use_is_read(tmp_path: Path) -> None:
    gpu = {"mem_mb": 8000, "runtime": 60, "gpu": 1}
    job(tmp_path / "benchmarks", "pretrain", "vae-fold-0", resources=gpu, s=1200, max_rss=7500)
    job(tmp_path / "benchmarks", "embed", "vae-fold-0", resources={"mem_mb": 8000, "gres": "gpu:a100:4"})
    for split, busy in (("fold-0", 0.2), ("fold-1", 0.4)):
        folder = tmp_path / "study" / "models" / "vae" / split
        folder.mkdir(parents=True)
        use = {"name": "Made-up", "busy": busy, "memory_mb": 8192.0, "memory_total_mb": 81920.0}
        (folder / "device.json").write_text(json.dumps(use))
        (folder / "model.yaml").write_text("{}")
    shown = table(tmp_path)
    assert shown is not None
    row = cells(shown, "pretrain")
    assert (row["GPUs"], row["busy'"], row["GPU memory"]) == ("1", "30.0 %", "8.0 GB (10.0 %)")
    assert cells(shown, "embed")["GPUs"] == "4"
    assert "The GPU of pretrain was busy for 30.0 % of the time" in plain(shown.note)


def test_too_much_and_too_little_memory_give_advice(tmp_path: Path) -> None:
    job(tmp_path / "benchmarks", "pretrain", "a", max_rss=1000, resources={"mem_mb": 8300, "runtime": 60})
    job(tmp_path / "benchmarks", "index", "all", max_rss=950)
    job(tmp_path / "benchmarks", "folds", "all", max_rss=100)
    shown = table(tmp_path)
    assert shown is not None
    assert "--set-resources pretrain:mem_mb=2000" in shown.note
    assert "index came close to its memory limit" in shown.note
    assert "folds" not in shown.note


def test_a_job_without_limits_has_no_shares(tmp_path: Path) -> None:
    job(tmp_path / "benchmarks", "index", "all", resources={"tmpdir": "/tmp"})
    row = cells(table(tmp_path), "index")
    assert (row["memory requested"], row["used"], row["time requested"], row["used'"]) == ("–", "100 MB", "–", "10.0 s")


def test_benchmark_files_without_requests_make_no_table(tmp_path: Path) -> None:
    assert table(tmp_path) is None
    job(tmp_path / "benchmarks", "index", "all")
    path = tmp_path / "benchmarks" / "index" / "all.tsv"
    pd.read_csv(path, sep="\t").drop(columns="resources").to_csv(path, sep="\t", index=False)
    assert table(tmp_path) is None
