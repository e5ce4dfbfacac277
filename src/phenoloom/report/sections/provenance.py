"""Where the results come from: time and memory, versions, digests of settings."""

from __future__ import annotations

import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from ...artifacts.provenance import code_commit
from ...config.rule_settings import ReportSettings
from ..numbers import MISSING, count, duration, memory
from ..results import Results, parquet_facts
from ..table import Cell, Column, Table, number, text

LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "zarr",
    "scikit-image",
    "scikit-learn",
    "torch",
    "pytorch-lightning",
    "anndata",
    "snakemake",
)
FLOW = (
    "simulate",
    "sheet",
    "convert",
    "index",
    "contours",
    "distances",
    "describe",
    "folds",
    "tune",
    "choose",
    "pretrain",
    "embed",
    "classify",
    "transfer_embed",
    "transfer",
    "compare",
    "collect",
)


def resources(results: Results) -> Table | None:
    """Jobs, time and memory of each rule, in the order of the flow."""
    jobs = results.benchmarks
    if jobs is None or not {"s", "max_rss"} <= set(jobs.columns):
        return None
    total = float(jobs["s"].sum())
    rows = [_resource_row(rule, group, total) for rule, group in in_order(jobs)]
    columns = [
        Column("step"),
        Column("jobs", True),
        Column("total time", True, "wall-clock, summed over jobs; jobs may have run side by side"),
        Column("share", True, "of the total time"),
        Column("longest job", True),
        Column("CPU time", True),
        Column("most memory", True, "largest resident set of a job"),
    ]
    note = f"Sum over all steps: {duration(total)} of wall-clock time in {count(len(jobs))} jobs."
    return Table("Time and memory by step, as Snakemake measured them", columns, rows, note)


def in_order(jobs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rules of a table of measured jobs with their jobs, in the order of the flow."""
    by_rule = {str(rule): group for rule, group in jobs.groupby("rule")}
    rules = [rule for rule in FLOW if rule in by_rule] + sorted(set(by_rule) - set(FLOW))
    return [(rule, by_rule[rule]) for rule in rules]


def _resource_row(rule: str, jobs: pd.DataFrame, total: float) -> list[Cell]:
    seconds, longest, rss = float(jobs["s"].sum()), float(jobs["s"].max()), float(jobs["max_rss"].max())
    cpu = float(jobs["cpu_time"].sum(min_count=1)) if "cpu_time" in jobs else float("nan")
    share = seconds / total if total else 0.0
    return [
        text(rule),
        number(count(len(jobs)), len(jobs)),
        number(duration(seconds), seconds),
        number(f"{100 * share:.0f} %", share, shade=share),
        number(duration(longest), longest),
        number(duration(cpu), cpu),
        number(memory(rss), rss),
    ]


def versions() -> Table:
    """Versions of the program, of Python and of the libraries that shape the numbers."""
    found = [("phenoloom", version("phenoloom")), ("commit", code_commit() or MISSING)]
    found += [("Python", platform.python_version()), *((name, version(name)) for name in LIBRARIES)]
    rows = [[text(name), text(value, code=True)] for name, value in found]
    return Table("Versions that wrote this report", [Column("what"), Column("version")], rows, sortable=False)


def digests(results: Results, settings: ReportSettings) -> Table:
    """sha256 of the settings that each stored result was made with, and the code that made it."""
    facts = [(name, m) for name, manifests in results.manifests.items() for m in manifests]
    facts += [("pretrain", {**run.card, "part": f"{run.model}, {run.split}"}) for run in results.runs]
    facts += [("describe", _of_table(path)) for path in sorted(results.folder.glob("descriptors/*.parquet"))]
    if "folds" not in results.manifests:
        facts.append(("folds", _of_table(results.folder / "folds.parquet")))
    facts += [("embed", _of_table(path, 2)) for path in sorted(results.folder.glob("embeddings/*/*.parquet"))]
    facts += [("classify", _of_table(path, 1)) for path in sorted(results.folder.glob("scores/*.parquet"))]
    carried, tested = "transfer/*/embeddings/*/*.parquet", "transfer/*/*.parquet"
    facts += [("transfer_embed", _of_table(path, 2)) for path in sorted(results.folder.glob(carried))]
    facts += [("transfer", _of_table(path, 1)) for path in sorted(results.folder.glob(tested))]
    facts.append(("compare", _of_table(results.folder / "comparisons.parquet")))
    if results.maps is not None:
        facts.append(("collect", results.maps.card))
    counts: Counter[tuple[str, str, str, str, str]] = Counter()
    for stage, fact in sorted(facts, key=lambda item: FLOW.index(item[0])):
        keys = (fact.get(key) or "" for key in ("part", "settings_sha256", "phenoloom", "commit"))
        counts[(stage, *map(str, keys))] += 1  # type: ignore[index]
    rows = [
        [text(stage), text(part), number(count(n), n), _short(digest), text(release or MISSING), _short(commit)]
        for (stage, part, digest, release, commit), n in counts.items()
    ]
    rows.append([text("report"), text(""), number("1", 1), _short(settings.digest()), *_this_code()])
    names = ("step", "of", "settings (sha256)", "phenoloom", "commit")
    columns = [Column(names[0]), Column(names[1]), Column("files", True), *(Column(name) for name in names[2:])]
    return Table("Settings and code of every stored result", columns, rows, tall=True)


def _this_code() -> list[Cell]:
    return [text(version("phenoloom")), _short(code_commit() or "")]


def _of_table(path: Path, depth: int = 0) -> dict[str, Any]:
    parts = {0: "", 1: path.stem, 2: path.parent.name}
    return {**parquet_facts(path), "part": parts[depth]}


def _short(digest: str) -> Cell:
    return Cell(digest[:12] or MISSING, title=digest, code=True)
