"""Print the progress of studies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ...config import RuleSettings, load_study, read_config
from ..slurm import QueuedJob
from .obstacles import obstacles
from .rerun import rerun
from .run import Run, find_run
from .study import Count, StudyStatus, study_status


def status(studies: Sequence[str], pairs: Sequence[str], config_dir: Path, *, planned: bool, as_json: bool) -> bool:
    """Print the progress of studies, and return True unless a job has failed.

    Run it in the folder in which Snakemake runs.

    Args:
        studies: names; if empty, those of config.yaml.
        pairs: `KEY=VALUE` texts that replace keys of config.yaml.
        config_dir: folder of the configuration.
        planned: whether Snakemake is asked what a rerun would do, unless one runs. Its plan knows nothing of the
            command line of the last run but what `pairs` repeats.
        as_json: whether JSON is printed.
    """
    folder = Path.cwd()
    config = read_config(config_dir, pairs)
    names = list(studies) or list(config.studies)
    run = find_run(folder)
    found = [study_status(RuleSettings(name, load_study(name, config_dir), config, config_dir), run) for name in names]
    notes = obstacles(run, found)
    next_jobs = rerun(folder, names, pairs) if planned and not run.live else None
    if as_json:
        print(json.dumps(_facts(found, run, notes, next_jobs), indent=2))
    else:
        print("\n".join([*page(found, run, notes), _next(run, next_jobs, pairs)]))
    return not any(study.failures for study in found)


def _facts(
    studies: Sequence[StudyStatus], run: Run, notes: list[str], next_jobs: dict[str, int] | str | None
) -> dict[str, object]:
    return {
        "studies": {study.name: {rule: asdict(count) for rule, count in study.rules.items()} for study in studies},
        "failures": [asdict(failure) for study in studies for failure in study.failures],
        "snakemake_runs": run.live,
        "queue": [
            {"id": job.job_id, "state": job.state, "reason": job.reason, "job": _words(job.comment)} for job in run.jobs
        ],
        "notes": notes,
        "rerun": next_jobs,
    }


def page(studies: Sequence[StudyStatus], run: Run, notes: Sequence[str]) -> list[str]:
    """Return the lines of the page: counts of each study, failures, queued jobs and notes."""
    lines: list[str] = []
    for study in studies:
        lines += [*_table(study), ""]
    for failure in (failure for study in studies for failure in study.failures):
        lines += [f"failed: {failure.study} {failure.job}: {failure.reason}", f"  {failure.log}"]
        lines += [*(f"  | {line}" for line in failure.tail), ""]
    running = sum(job.state == "RUNNING" for job in run.jobs)
    if run.jobs:
        lines.append(f"in the queue: {running} running, {len(run.jobs) - running} waiting")
        lines += [f"  {job.job_id:>8} {job.state.lower():10} {_words(job.comment)}{_why(job)}" for job in run.jobs]
    return lines + [f"note: {note}" for note in notes]


def _table(study: StudyStatus) -> list[str]:
    columns = [name for name in ("running", "waiting", "failed") if getattr(study.total, name)]
    width = max(12, len(study.name), *(len(rule) + 2 for rule in study.rules))
    lines = [f"{study.name:{width}} {'done':>6}/{'of':<6}" + "".join(f"{name:>9}" for name in columns)]
    for rule, count in [*study.rules.items(), ("total", study.total)]:
        lines.append(f"  {rule:{width - 2}} {count.done:>6}/{count.expected:<6}" + _cells(count, columns))
    return [line.rstrip() for line in lines]


def _cells(count: Count, columns: Sequence[str]) -> str:
    return "".join(f"{getattr(count, name) or '':>9}" for name in columns)


def _words(comment: str) -> str:
    rule, _, values = comment.removeprefix("rule_").partition("_wildcards_")
    return f"{rule}: {values}" if values else rule


def _why(job: QueuedJob) -> str:
    return "" if job.reason in ("", "None") else f" ({job.reason})"


def _next(run: Run, next_jobs: dict[str, int] | str | None, pairs: Sequence[str]) -> str:
    if run.live:
        return "Snakemake runs here."
    if next_jobs is None:
        return "Snakemake does not run here."
    if isinstance(next_jobs, str):
        return next_jobs
    given = f"--config {' '.join(pairs)}" if pairs else "config/config.yaml as it is"
    if not next_jobs:
        return f"With {given}, a rerun has nothing to do."
    parts = ", ".join(f"{count} {rule}" for rule, count in next_jobs.items())
    return f"With {given}, a rerun would start {sum(next_jobs.values())} jobs: {parts}"
