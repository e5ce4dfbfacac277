"""Find out whether a run goes on in a folder, and the state of its jobs in the queue and in its journal."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ...artifacts.jobs import Job
from ...core.errors import PhenoloomError
from ..slurm import QueuedJob, comment_of, queued_jobs
from .journal import Journal, last_journal

PREFIX = "phenoloom"
"""Names of our jobs in the queue begin so; `slurm-jobname-prefix` in the profile."""


@dataclass(frozen=True)
class Run:
    """The run in a folder.

    Attributes:
        folder: where Snakemake runs.
        live: whether its Snakemake runs on this machine.
        jobs: its jobs in the cluster's queue.
        silent: a sentence if the queue could not be asked.
        journal: log of the last Snakemake.
    """

    folder: Path
    live: bool = False
    jobs: tuple[QueuedJob, ...] = ()
    silent: str | None = None
    journal: Journal = field(default_factory=Journal)

    def state_of(self, job: Job) -> str | None:
        """Return `running`, `waiting` or `failed`; None if neither the queue nor the journal knows of the job.

        The queue names a job by its comment, but of a group of jobs only the group; its members are known from the
        journal, which says that they were handed over, and run once their log is written to.
        """
        comment = comment_of(job.rule, [job.study.settings.name, *job.values])
        log = job.log
        if comment in self._queued:
            return "running" if self._queued[comment] == "RUNNING" else "waiting"
        if str(log) in self.journal.failed:
            return "failed"
        if str(log) in self.journal.started and (self.live or self._groups):
            return "running" if _written_since(log, self.journal.began) else "waiting"
        return None

    @cached_property
    def _queued(self) -> dict[str, str]:
        return {job.comment: job.state for job in self.jobs}

    @cached_property
    def _groups(self) -> bool:
        return any("_wildcards_" not in job.comment for job in self.jobs)


def find_run(folder: Path) -> Run:
    """Ask the queue, the processes of this machine and Snakemake's log about a folder in which Snakemake runs."""
    jobs, silent = _queue(folder)
    return Run(folder, _snakemake_lives(folder), jobs, silent, last_journal(folder))


def _queue(folder: Path) -> tuple[tuple[QueuedJob, ...], str | None]:
    if shutil.which("squeue") is None:
        return (), None
    try:
        return tuple(job for job in queued_jobs(PREFIX) if Path(job.folder) == folder), None
    except PhenoloomError as error:
        return (), f"SLURM's queue is not known: {str(error).splitlines()[0]}"


def _snakemake_lives(folder: Path) -> bool:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            here = (entry / "cwd").readlink() == folder
        except OSError:
            continue
        # The Snakemake within a job of the cluster, on a node, is not the one that submits.
        main = b"--mode" not in arguments
        ours = any(Path(os.fsdecode(argument)).name == "snakemake" for argument in arguments[:3])
        if main and ours and here and int(entry.name) != os.getpid():
            return True
    return False


def _written_since(log: Path, began: float) -> bool:
    try:
        return log.stat().st_mtime >= began
    except OSError:
        return False
