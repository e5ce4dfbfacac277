"""The cost of one rule, and what a forecast assumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .rates import Rate

GPU_FACTOR = 3.0
"""Uncertainty of GPU-hours: they follow from counted operations and an assumed speed."""

Hours = tuple[float, float, float]
"""Low, expected, high."""

NO_HOURS: Hours = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Assumptions:
    """Assumptions of a forecast, which no result can show.

    Attributes:
        rates: rate of each step.
        gpu_tflops: TFLOP/s that a GPU sustains; 0: networks run on processors.
        per_megapixel: objects in a million pixels of one channel.
        epochs: replaces the epochs of every model.
    """

    rates: Mapping[str, Rate]
    gpu_tflops: float
    per_megapixel: float | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Cost:
    """Cost of one rule.

    Attributes:
        jobs: number of jobs.
        core_hours: hours of processor cores.
        gpu_hours: hours of GPUs.
        disk: bytes on the disk.
        files: number of files.
    """

    jobs: int = 0
    core_hours: Hours = NO_HOURS
    gpu_hours: Hours = NO_HOURS
    disk: float = 0.0
    files: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.jobs + other.jobs,
            _sum(self.core_hours, other.core_hours),
            _sum(self.gpu_hours, other.gpu_hours),
            self.disk + other.disk,
            self.files + other.files,
        )


def cpu_cost(rate: Rate, jobs: float, work: float) -> Cost:
    """Return the cost of `jobs` jobs that do `work` together on processors; the jobs themselves are not counted."""
    return Cost(core_hours=_hours(rate.seconds(jobs, work), rate.factor_at(jobs, work)))


def network_cost(rate: Rate, jobs: float, gflop: float, threads: int, gpu_tflops: float) -> Cost:
    """Return the cost of operations of networks, on GPUs or on processors.

    Args:
        rate: Rate of the step on processors.
        jobs: Number of jobs.
        gflop: GFLOP of all jobs together.
        threads: Cores that serve a GPU.
        gpu_tflops: TFLOP/s that a GPU sustains; 0: the networks run on processors.
    """
    if not gpu_tflops:
        return cpu_cost(rate, jobs, gflop)
    low, expected, high = hours = _hours(rate.seconds(jobs, 0) + gflop / gpu_tflops / 1e3, GPU_FACTOR)
    return Cost(gpu_hours=hours, core_hours=(threads * low, threads * expected, threads * high))


def _hours(seconds: float, factor: float) -> Hours:
    return seconds / factor / 3600, seconds / 3600, seconds * factor / 3600


def _sum(a: Hours, b: Hours) -> Hours:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
