"""Find what blocks a run: locks, jobs without a Snakemake, clocks that differ, jobs that SLURM forgot."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence

from ...core.errors import PhenoloomError
from ..clock_skew import ADVICE, SKEW_S
from ..job_ends import warning_of
from ..slurm import ask
from .run import Run
from .study import StudyStatus


def obstacles(run: Run, studies: Sequence[StudyStatus]) -> list[str]:
    """Return a sentence for each obstacle, with what to do."""
    found = [run.silent] if run.silent else []
    if not run.live and not run.jobs and any((run.folder / ".snakemake" / "locks").glob("*")):
        found.append(
            "a Snakemake that was killed left its lock, and nothing of it runs here any more; if none runs on another "
            "machine either: snakemake --unlock"
        )
    if not run.live and run.jobs:
        found.append(
            f"jobs in the queue: {len(run.jobs)}, and no Snakemake on this machine waits for them; let them end before "
            f"you start again, or cancel them: scancel {' '.join(job.job_id for job in run.jobs)}"
        )
    newest, path = max((study.newest for study in studies), default=(0.0, ""))
    ahead = newest - time.time()
    if ahead > SKEW_S:
        found.append(f"{path} is {ahead:.0f} s newer than now, so clocks differ: {ADVICE}")
    found += [said for job in run.jobs if (said := warning_of(job.job_id, job.state, job.reason))]
    return found + _forgotten(run)


def _forgotten(run: Run) -> list[str]:
    """Return a sentence on jobs that Snakemake still waits for though SLURM lost them, when its controller crashed."""
    if not run.live or run.silent or shutil.which("scontrol") is None:
        return []
    known = {job.job_id for job in run.jobs}
    lost = [job for job in run.journal.awaited if job not in known and _unknown(job)]
    if not lost:
        return []
    return [
        f"SLURM does not know job {' '.join(lost)}, which Snakemake waits for (its controller crashed right after the "
        "submission); after a few looks Snakemake tries it again"
    ]


def _unknown(job_id: str) -> bool:
    try:
        ask("scontrol", "show", "job", job_id)
    except PhenoloomError as error:
        return "Invalid job id" in str(error)
    return False
