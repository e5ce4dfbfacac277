"""Rates of the steps: fitted to finished studies where their jobs were large enough, else documented here.

CPU seconds of a job = start + work * each. Work is counted in a unit of the step: MB of raw files, objects, rows,
operations of a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...artifacts.layout import ResultsFolder
from ...core.errors import PhenoloomError
from .finished import FinishedJob, finished_jobs

# A fit describes a rate where the work, not the start of the process, fills the largest job.
_LEAST_SHARE = 0.5
_LEAST_SPREAD = 2.0
_FAR, _FAR_FACTOR = 10.0, 3.0
_LEAST_FACTOR, _MOST_FACTOR = 1.25, 10.0


@dataclass(frozen=True)
class Rate:
    """Seconds of one core that a step takes.

    Attributes:
        unit: unit of work.
        start: seconds a job.
        each: seconds a unit of work.
        factor: the true seconds are within this factor either way.
        source: where the numbers come from.
        largest: work of the largest job that was measured; 0: a documented rate.
    """

    unit: str
    start: float
    each: float
    factor: float
    source: str
    largest: float = 0.0

    def seconds(self, jobs: float, work: float) -> float:
        """Return the CPU seconds of `jobs` jobs that do `work` together."""
        return jobs * self.start + work * self.each

    def factor_at(self, jobs: float, work: float) -> float:
        """Return the uncertainty of such jobs, which grows for jobs far larger than those that were measured."""
        beyond = self.largest and work > _FAR * self.largest * jobs
        return max(self.factor, _FAR_FACTOR) if beyond else self.factor


_SIMULATED = "measured on 2 CPU cores, simulated fields of 1080 px"
_REPEATED = "measured on one CPU core, a simulated study's tables repeated to 1,127,100 rows"

DEFAULTS: Mapping[str, Rate] = {
    "sheet": Rate("images", 0.6, 3e-4, 5, "measured on 1,400 small images, where the start of the process dominates"),
    "objects": Rate("rows", 0.6, 4e-5, 3, "measured on one CPU core, a table of 1,000,000 rows and 28 columns"),
    "convert": Rate("MB of files", 2.2, 0.046, 3, f"{_SIMULATED}: threshold, watershed and a tile an object"),
    "convert-grid": Rate(
        "MB of files", 2.2, 0.003, 3, "bench_convert.py --quick: LZW, deflate and raw TIFFs on a grid"
    ),
    "contours": Rate("objects", 0.9, 5e-5, 5, "bench_contours.py --quick, crops of tile masks"),
    "distances": Rate("objects", 0.9, 1.5e-4, 5, "bench_distances.py --quick at 256 points, doubled for writing"),
    "describe": Rate(
        "objects", 0.9, 2.2e-4, 3, "bench_descriptors.py --quick: region properties, spectrum and Fourier"
    ),
    "index": Rate("rows", 0.5, 2.1e-6, 3, _REPEATED),
    "folds": Rate(
        "rows", 1.0, 1.2e-5, 3, "measured on one CPU core, a simulated study's table repeated to 601,120 rows"
    ),
    "pretrain": Rate("GFLOP", 9.4, 0.0177, 3, "measured on 43 trainings of simulated and public studies on CPU cores"),
    "embed": Rate("GFLOP", 3.6, 0.0153, 3, "measured on 82 jobs of simulated and public studies on CPU cores"),
    "embed-descriptors": Rate("rows", 1.0, 3.7e-6, 3, _REPEATED),
    "classify": Rate(
        "rows x folds", 3.9, 1.7e-3, 5, "measured up to 7,514 rows x folds; forests grow faster than rows"
    ),
    "audit": Rate(
        "rows x folds", 3.0, 1.5e-3, 5, "taken as the probes of one representation: positions, plates, both and fields"
    ),
    "collect": Rate("rows x vectors", 15.0, 5e-6, 5, "15 s for the map; writing taken as the embedding of descriptors"),
}


def measured_rates(results: Path, config_dir: Path, defaults: Mapping[str, Rate]) -> tuple[dict[str, Rate], list[str]]:
    """Return the rate of each step: fitted to all finished studies of `results` where possible, else the default.

    Returns:
        Rates by step, and sentences on studies that could not be used.
    """
    jobs: dict[str, list[FinishedJob]] = {step: [] for step in defaults}
    unread = []
    for folder in ResultsFolder(results).studies():
        try:
            for step, job in list(finished_jobs(folder, config_dir)):
                jobs[step].append(job)
        except PhenoloomError as error:
            unread.append(f"{folder.name} is not measured: {error}")
    return {step: fit(jobs[step], default) for step, default in defaults.items()}, unread


def fit(jobs: Sequence[FinishedJob], default: Rate) -> Rate:
    """Fit CPU seconds to work by least squares; return the default where jobs are too few, too alike or too small."""
    works = [job.work for job in jobs]
    if not works or max(works) < _LEAST_SPREAD * min(works):
        return default
    work, seconds = (np.array([getattr(job, name) for job in jobs]) for name in ("work", "cpu_s"))
    each, start = np.polyfit(work, seconds, 1)
    start = max(0.0, float(start))
    if each <= 0 or each * work.max() < _LEAST_SHARE * (start + each * work.max()):
        return default
    large = work >= work.max() / 2
    errors = np.abs(np.log(np.maximum(seconds[large] - start, 1e-3) / (each * work[large])))
    factor = max(_LEAST_FACTOR, math.exp(2 * float(errors.max())))
    if factor > _MOST_FACTOR:
        return default
    largest = f"largest {work.max():.3g} {default.unit} in {seconds[work.argmax()]:.3g} CPU-s"
    return Rate(
        default.unit,
        start,
        float(each),
        factor,
        f"measured on {len(jobs)} jobs of the results ({largest})",
        float(work.max()),
    )
