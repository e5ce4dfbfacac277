"""Count the jobs of a study that are done, that failed and that are still to come, from its files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...artifacts.jobs import Job, jobs_of
from ...config import RuleSettings
from .reasons import last_lines, reason, tail
from .run import Run


@dataclass(frozen=True)
class Failure:
    """A job that ran and left a log without its outputs.

    Attributes:
        study: name of the study.
        job: its rule and the values of its wildcards.
        reason: a sentence.
        log: path of the log that explains it best.
        tail: last lines of that log.
    """

    study: str
    job: str
    reason: str
    log: str
    tail: list[str]


@dataclass
class Count:
    """Number of jobs of a rule, by state."""

    done: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    expected: int = 0


@dataclass
class StudyStatus:
    """Progress of a study.

    Attributes:
        name: name of the study.
        rules: counts by rule, in the order of the flow.
        failures: jobs that failed.
        newest: time and path of the newest result.
    """

    name: str
    rules: dict[str, Count] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    newest: tuple[float, str] = (0.0, "")

    @property
    def total(self) -> Count:
        """Jobs of all rules."""
        names = ("done", "running", "waiting", "failed", "expected")
        return Count(*(sum(getattr(count, name) for count in self.rules.values()) for name in names))


def study_status(settings: RuleSettings, run: Run) -> StudyStatus:
    """Look for the outputs, logs and queued jobs of every job of a study."""
    status = StudyStatus(settings.name)
    for job in jobs_of(settings):
        count = status.rules.setdefault(job.rule, Count())
        count.expected += 1
        times = {path: _time_of(path) for path in job.outputs}
        status.newest = max(status.newest, *((time or 0.0, str(path)) for path, time in times.items()))
        state = run.state_of(job)
        if state not in ("running", "waiting") and None not in times.values():
            state = "done"
        elif state == "failed" or (state is None and not run.live):
            failure = _failure(job, run, certain=state == "failed")
            state = "failed" if failure else None
            status.failures += [failure] if failure else []
        if state is not None:
            setattr(count, state, getattr(count, state) + 1)
    return status


def _time_of(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _job_log(job: Job, run: Run) -> Path | None:
    """Return the log of the cluster's own job: that of its group, or else the newest of its own."""
    group_log = run.journal.group_logs.get(str(job.log))
    if group_log:
        return Path(group_log)
    folder = job.study.folder
    found = (folder.results.cluster_logs / f"rule_{job.rule}" / "_".join([folder.name, *job.values])).glob("*.log")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _failure(job: Job, run: Run, *, certain: bool) -> Failure | None:
    """Return what the logs of a job without outputs say; None if they hold only progress and it is not certain."""
    job_log = _job_log(job, run)
    text, said = tail(job.log), tail(job_log) if job_log else ""
    why = reason(text, f"{said}\n{run.journal.messages.get(str(job.log), '')}")
    if why is None and not certain:
        return None
    shown = job.log if last_lines(text) or job_log is None else job_log
    lines = last_lines(text) or last_lines(said)
    name = " ".join([job.rule, *job.values])
    return Failure(job.study.folder.name, name, why or "its logs do not say why", str(shown), lines)
