"""Table of the resources that jobs requested and used, with advice on what to change."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import pandas as pd

from ..numbers import MISSING, count, duration, memory, percent
from ..results import Results
from ..steps import by_step
from ..table import Cell, Column, PageTable, number, text

GENEROUS = 0.25
"""Share of the requested memory below which a step could wait less in the queue."""
SCARCE = 0.9
"""Share of the requested memory above which a larger study may run out of it."""
LARGE_MB = 4000
LONG_S = 600.0
IDLE = 0.5
COLUMNS = {"s", "max_rss", "cpu_time", "threads", "resources"}


@dataclass(frozen=True)
class RuleUsage:
    """Resources that the jobs of a rule requested and used.

    Attributes:
        rule: the rule.
        jobs: number of jobs.
        memory_mb: memory of the job that came nearest to its limit.
        requested_mb: the limit of that job; NaN if it has none.
        seconds: time of the job that came nearest to its time limit.
        requested_seconds: the limit of that job; NaN if it has none.
        threads: most threads of a job.
        processors: share of the requested processor time that was used.
        gpus: most GPUs that a job requested.
    """

    rule: str
    jobs: int
    memory_mb: float
    requested_mb: float
    seconds: float
    requested_seconds: float
    threads: int
    processors: float
    gpus: int

    @property
    def memory_share(self) -> float:
        """Used share of the requested memory."""
        return self.memory_mb / self.requested_mb


def efficiency(results: Results) -> PageTable | None:
    """Return a table with a row for each rule; None if Snakemake's benchmark files do not state the requests."""
    jobs = results.benchmarks
    if jobs is None or not set(jobs.columns) >= COLUMNS:
        return None
    uses = [_usage(rule, group) for rule, group in by_step(jobs.dropna(subset=sorted(COLUMNS)))]
    if not uses:
        return None
    gpus = results.gpu_usage
    columns = [
        Column("step"),
        Column("jobs", True),
        Column("memory requested", True, "by the job that came nearest to its limit; includes what starts its command"),
        Column("used", True, "most that the command and its child processes held"),
        Column("time requested", True, "by the job that came nearest to its limit"),
        Column("used", True),
        Column("threads", True, "of the job with most threads"),
        Column("busy", True, "used share of the processor time"),
        Column("GPUs", True, "requested by a job"),
        Column(
            "busy",
            True,
            "share of the time in which the GPU computed, mean over jobs, as its driver reported each second",
        ),
        Column("GPU memory", True, "most that PyTorch held, and its share of the GPU's memory"),
    ]
    rows = [[*_row(use), *_gpu_cells(use, gpus.get(use.rule, []))] for use in uses]
    return PageTable("Requested and used resources", columns, rows, " ".join(_advice(uses, gpus)))


def _usage(rule: str, jobs: pd.DataFrame) -> RuleUsage:
    requests = [_resources(value) for value in jobs["resources"]]
    limits = pd.DataFrame(requests, index=jobs.index).reindex(columns=["mem_mb", "runtime", "gpu"])
    limits = limits.apply(pd.to_numeric, errors="coerce")
    fullest = (jobs["max_rss"] / limits["mem_mb"]).fillna(0).idxmax()
    longest = (jobs["s"] / limits["runtime"]).fillna(0).idxmax()
    gpus = [resource.get("gpu") or _of_gres(resource.get("gres")) for resource in requests]
    return RuleUsage(
        rule,
        len(jobs),
        float(jobs["max_rss"][fullest]),
        float(limits["mem_mb"][fullest]),
        float(jobs["s"][longest]),
        float(limits["runtime"][longest]) * 60,
        int(jobs["threads"].max()),
        float(jobs["cpu_time"].sum() / (jobs["s"] * jobs["threads"]).sum()),
        max((int(str(gpu)) for gpu in gpus if str(gpu).isdigit()), default=0),
    )


def _resources(value: object) -> Mapping[str, object]:
    """Parse the resources of a job, which Snakemake writes as a Python dictionary of plain values."""
    found = ast.literal_eval(str(value))
    return found if isinstance(found, dict) else {}


def _of_gres(value: object) -> str:
    """Return the GPUs of each node from `gpu:4` or `gpu:a100:4`."""
    return str(value).rsplit(":", 1)[-1] if value else "0"


def _row(use: RuleUsage) -> list[Cell]:
    return [
        text(use.rule),
        number(count(use.jobs), use.jobs),
        number(memory(use.requested_mb), use.requested_mb),
        _share(memory(use.memory_mb), use.memory_mb, use.requested_mb),
        number(duration(use.requested_seconds), use.requested_seconds),
        _share(duration(use.seconds), use.seconds, use.requested_seconds),
        number(count(use.threads), use.threads),
        number(percent(use.processors), use.processors),
    ]


def _share(shown: str, used: float, limit: float) -> Cell:
    share = used / limit
    known = share == share
    return number(shown, used, shade=min(share, 1.0) if known else None, note=percent(share) if known else "")


def _gpu_cells(use: RuleUsage, devices: Sequence[Mapping[str, object]]) -> list[Cell]:
    busy, full = _busy(devices), max(devices, key=lambda device: float(str(device["memory_mb"])), default=None)
    if not use.gpus and full is None:
        return [text(MISSING)] * 3
    if full is None:
        return [number(count(use.gpus), use.gpus), text(MISSING), text(MISSING)]
    held, total = float(str(full["memory_mb"])), float(str(full["memory_total_mb"]))
    return [
        number(count(use.gpus), use.gpus, title=str(full["name"])),
        number(percent(busy), busy, shade=busy),
        _share(memory(held), held, total),
    ]


def _busy(devices: Sequence[Mapping[str, object]]) -> float | None:
    known = [float(str(device["busy"])) for device in devices if device["busy"] is not None]
    return mean(known) if known else None


def _advice(uses: Sequence[RuleUsage], gpus: Mapping[str, Sequence[Mapping[str, object]]]) -> list[str]:
    advice = []
    for use in uses:
        if use.memory_share > SCARCE:
            advice.append(f"{use.rule} came close to its memory limit: give it more memory for a larger study.")
        elif use.memory_share < GENEROUS and use.requested_mb > LARGE_MB:
            enough = -(-int(use.memory_mb * 1.5 + 300) // 500) * 500
            advice.append(
                f"{use.rule} requested {memory(use.requested_mb)} and used {memory(use.memory_mb)}: with "
                f"--set-resources {use.rule}:mem_mb={enough} it may wait less in the queue."
            )
        busy = _busy(gpus.get(use.rule, []))
        if use.gpus and busy is not None and busy < IDLE and use.seconds > LONG_S:
            advice.append(f"The GPU of {use.rule} was busy for {percent(busy)} of the time: give the job more threads.")
    return advice
