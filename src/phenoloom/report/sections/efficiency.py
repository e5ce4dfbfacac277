"""What jobs asked for beside what they used: memory, time, processors and GPUs, and what to change."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import pandas as pd

from ..numbers import MISSING, count, duration, memory, percent
from ..results import Results
from ..table import Cell, Column, Table, number, text
from .provenance import in_order

GENEROUS = 0.25
"""A step that uses less of its memory than this could wait less in the queue."""
SCARCE = 0.9
"""One that uses more is close to being killed for a larger study."""
LARGE_MB = 4000
LONG_S = 600.0
IDLE = 0.5
COLUMNS = {"s", "max_rss", "cpu_time", "threads", "resources"}


@dataclass(frozen=True)
class Use:
    """Of a rule: the job nearest to its memory (MB) and the one nearest to its time (s), what they asked for (NaN if
    unlimited), the share of the processors' time that was used, and GPUs asked for.
    """

    rule: str
    jobs: int
    memory_mb: float
    memory_asked_mb: float
    seconds: float
    seconds_asked: float
    threads: int
    processors: float
    gpus: int

    @property
    def memory_share(self) -> float:
        """Used of asked."""
        return self.memory_mb / self.memory_asked_mb


def efficiency(results: Results) -> Table | None:
    """A row a rule; None where Snakemake's benchmark files do not say what was asked for."""
    jobs = results.benchmarks
    if jobs is None or not set(jobs.columns) >= COLUMNS:
        return None
    told = jobs.dropna(subset=sorted(COLUMNS))
    uses = [_use(rule, group) for rule, group in in_order(told)]
    if not uses:
        return None
    devices = results.device_use
    columns = [
        Column("step"),
        Column("jobs", True),
        Column("memory asked", True, "of the job that came nearest to its limit, with the wrappers around its command"),
        Column("used", True, "the most that the command and its children held"),
        Column("time asked", True, "of the job that came nearest to its limit"),
        Column("used", True),
        Column("threads", True, "most of a job"),
        Column("busy", True, "share of the processors' time"),
        Column("GPUs", True, "asked for by a job"),
        Column("busy", True, "share of time in which the GPU computed, mean over jobs, as its driver said each second"),
        Column("GPU memory", True, "most that torch held, of what the GPU has"),
    ]
    rows = [[*_row(use), *_gpu_cells(use, devices.get(use.rule, []))] for use in uses]
    return Table("Asked for and used", columns, rows, " ".join(_advice(uses, devices)))


def _use(rule: str, jobs: pd.DataFrame) -> Use:
    asked = [_resources(value) for value in jobs["resources"]]
    limits = pd.DataFrame(asked, index=jobs.index).reindex(columns=["mem_mb", "runtime", "gpu"])
    limits = limits.apply(pd.to_numeric, errors="coerce")
    fullest = (jobs["max_rss"] / limits["mem_mb"]).fillna(0).idxmax()
    longest = (jobs["s"] / limits["runtime"]).fillna(0).idxmax()
    gpus = [resource.get("gpu") or _of_gres(resource.get("gres")) for resource in asked]
    return Use(
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
    """Snakemake writes them as a Python dictionary of plain values."""
    found = ast.literal_eval(str(value))
    return found if isinstance(found, dict) else {}


def _of_gres(value: object) -> str:
    """GPUs a node of `gpu:4` or `gpu:a100:4`."""
    return str(value).rsplit(":", 1)[-1] if value else "0"


def _row(use: Use) -> list[Cell]:
    return [
        text(use.rule),
        number(count(use.jobs), use.jobs),
        number(memory(use.memory_asked_mb), use.memory_asked_mb),
        _share(memory(use.memory_mb), use.memory_mb, use.memory_asked_mb),
        number(duration(use.seconds_asked), use.seconds_asked),
        _share(duration(use.seconds), use.seconds, use.seconds_asked),
        number(count(use.threads), use.threads),
        number(percent(use.processors), use.processors),
    ]


def _share(shown: str, used: float, asked: float) -> Cell:
    share = used / asked
    known = share == share
    return number(shown, used, shade=min(share, 1.0) if known else None, note=percent(share) if known else "")


def _gpu_cells(use: Use, devices: Sequence[Mapping[str, object]]) -> list[Cell]:
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


def _advice(uses: Sequence[Use], devices: Mapping[str, Sequence[Mapping[str, object]]]) -> list[str]:
    said = []
    for use in uses:
        if use.memory_share > SCARCE:
            said.append(f"{use.rule} came close to its limit of memory: give it more for a larger study.")
        elif use.memory_share < GENEROUS and use.memory_asked_mb > LARGE_MB:
            enough = -(-int(use.memory_mb * 1.5 + 300) // 500) * 500
            said.append(
                f"{use.rule} asked for {memory(use.memory_asked_mb)} and held {memory(use.memory_mb)}: with "
                f"--set-resources {use.rule}:mem_mb={enough} it may wait less in the queue."
            )
        busy = _busy(devices.get(use.rule, []))
        if use.gpus and busy is not None and busy < IDLE and use.seconds > LONG_S:
            said.append(f"The GPU of {use.rule} was busy {percent(busy)} of the time: give the job more threads.")
    return said
