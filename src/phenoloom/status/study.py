"""What of a study is done, what failed and what is still to come, from its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..config import RuleSettings
from ..config.targets import Job, jobs_of
from ..slurm import QueuedJob
from .reasons import last_lines, reason, tail


@dataclass(frozen=True)
class Failure:
    """A job that ran and left a log, and not its outputs."""

    study: str
    job: str
    reason: str
    log: str
    tail: list[str]


@dataclass
class Count:
    """Jobs of a rule."""

    done: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    expected: int = 0


@dataclass
class StudyStatus:
    """Where a study stands: counts by rule in the order of the flow, failures, and its newest result."""

    name: str
    rules: dict[str, Count] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    newest: tuple[float, str] = (0.0, "")

    @property
    def total(self) -> Count:
        """Jobs of all rules."""
        names = ("done", "running", "waiting", "failed", "expected")
        return Count(*(sum(getattr(count, name) for count in self.rules.values()) for name in names))


def study_status(settings: RuleSettings, results: Path, queue: Sequence[QueuedJob], live: bool) -> StudyStatus:
    """Look for the outputs, logs and queued jobs of every job; `live` says that a local snakemake may run some."""
    status = StudyStatus(settings.name)
    folder, logs = results / settings.name, results / "logs"
    queued = _Queue(settings.name, queue)
    for job in jobs_of(settings):
        count = status.rules.setdefault(job.rule, Count())
        count.expected += 1
        times = [_time_of(folder / output) for output in job.outputs]
        status.newest = max(
            status.newest, *((t or 0.0, str(folder / o)) for t, o in zip(times, job.outputs, strict=True))
        )
        state = queued.state(job)
        if state is not None:
            setattr(count, state, getattr(count, state) + 1)
        elif all(time is not None for time in times):
            count.done += 1
        elif not live:
            failure = _failure(settings.name, job, logs)
            if failure:
                count.failed += 1
                status.failures.append(failure)
    return status


class _Queue:
    """The jobs of one study in the queue, by what their comments say."""

    def __init__(self, study: str, jobs: Sequence[QueuedJob]) -> None:
        self.states = {job.comment: "running" if job.state == "RUNNING" else "waiting" for job in jobs}
        self.study = study

    def state(self, job: Job) -> str | None:
        """`running`, `waiting`, or none; of a group of jobs only its rules are known."""
        return self.states.get(f"rule_{job.rule}_wildcards_{'_'.join([self.study, *job.values])}")


def _time_of(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _failure(study: str, job: Job, logs: Path) -> Failure | None:
    path = logs / study / job.log
    text = tail(path)
    name = " ".join([job.rule, *job.values])
    job_log = _newest([*_job_logs(study, job, logs / "slurm")])
    said = tail(job_log) if job_log else ""
    # A log with nothing but progress, of a job that a rerun will start anew, is no failure.
    why = reason(text, said)
    if not path.exists() or (why == reason("", "") and not last_lines(text) and not said):
        return None
    lines = last_lines(text) or last_lines(said)
    return Failure(study, name, why, str(path), lines)


def _job_logs(study: str, job: Job, folder: Path) -> Iterator[Path]:
    yield from (folder / f"rule_{job.rule}" / "_".join([study, *job.values])).glob("*.log")


def _newest(paths: Sequence[Path]) -> Path | None:
    return max(paths, key=lambda path: path.stat().st_mtime, default=None)
