"""Section on time and memory."""

from __future__ import annotations

import pandas as pd

from ..numbers import count, duration, memory
from ..results import Results
from ..steps import by_step
from ..table import Cell, Column, PageTable, number, text
from .base import PageSection, ReportData, missing
from .efficiency import efficiency


def section(data: ReportData) -> PageSection:
    """Return the section on time and memory."""
    content = {"table": time_and_memory(data.results), "efficiency": efficiency(data.results)}
    reasons = {
        "table": "No measurements: there are no benchmark files of Snakemake.",
        "efficiency": "The benchmark files do not state what jobs requested; the profiles turn this on "
        "(benchmark-extended).",
    }
    return PageSection("resources", "Time and memory", content, missing(content, reasons))


def time_and_memory(results: Results) -> PageTable | None:
    """Return jobs, time and memory of each rule; None without measurements."""
    jobs = results.benchmarks
    if jobs is None or not {"s", "max_rss"} <= set(jobs.columns):
        return None
    total = float(jobs["s"].sum())
    rows = [_row(rule, group, total) for rule, group in by_step(jobs)]
    columns = [
        Column("step"),
        Column("jobs", True),
        Column("total time", True, "wall-clock, summed over jobs; jobs may have run at the same time"),
        Column("share", True, "of the total time"),
        Column("longest job", True),
        Column("CPU time", True),
        Column("most memory", True, "largest resident set size of a job"),
    ]
    note = f"All steps together: {duration(total)} of wall-clock time in {count(len(jobs))} jobs."
    return PageTable("Time and memory by step, as Snakemake measured them", columns, rows, note)


def _row(rule: str, jobs: pd.DataFrame, total: float) -> list[Cell]:
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
