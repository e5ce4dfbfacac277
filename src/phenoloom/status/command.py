"""Gather where the studies stand, and print it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..config import RuleSettings, load_config, load_study, read_yaml
from .run import plan, queue, snakemake_runs, warnings
from .study import Count, StudyStatus, study_status


def status(studies: Sequence[str], config_dir: Path, *, planned: bool, as_json: bool) -> bool:
    """Print where the studies (or those of config.yaml) stand; True unless a job has failed.

    Run it in the folder in which Snakemake runs. `planned` asks Snakemake what a rerun would do.
    """
    folder = Path.cwd()
    config = load_config(read_yaml(config_dir / "config.yaml"), str(config_dir / "config.yaml"))
    names = list(studies) or list(config.studies)
    jobs, silent = queue(folder)
    live = snakemake_runs(folder)
    found = [
        study_status(
            RuleSettings(name, load_study(name, config_dir), config, config_dir), Path(config.results), jobs, live
        )
        for name in names
    ]
    facts = {
        "snakemake_runs": live,
        "queued": [{"id": job.job_id, "state": job.state, "comment": job.comment} for job in jobs],
        "warnings": [*([silent] if silent else []), *warnings(folder, found, jobs, live)],
        "rerun": plan(folder, names) if planned and not live else None,
    }
    if as_json:
        told = {study.name: {"rules": {k: asdict(v) for k, v in study.rules.items()}} for study in found}
        failures = [asdict(failure) for study in found for failure in study.failures]
        print(json.dumps({**facts, "studies": told, "failures": failures}, indent=2))
    else:
        print("\n".join(_lines(found, facts)))
    return not any(study.failures for study in found)


def _lines(studies: Sequence[StudyStatus], facts: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for study in studies:
        lines += [*_table(study), ""]
    for failure in (failure for study in studies for failure in study.failures):
        lines += [f"failed: {failure.study} {failure.job}: {failure.reason}", f"  {failure.log}"]
        lines += [*(f"  | {line}" for line in failure.tail), ""]
    running = sum(job["state"] == "RUNNING" for job in facts["queued"])
    if facts["queued"]:
        lines.append(f"in the queue: {running} running, {len(facts['queued']) - running} waiting")
        lines += [f"  {job['id']:>8} {job['state'].lower():10} {_words(job['comment'])}" for job in facts["queued"]]
    lines += [f"note: {warning}" for warning in facts["warnings"]]
    lines.append(_next(facts))
    return lines


def _table(study: StudyStatus) -> list[str]:
    columns = [name for name in ("running", "waiting", "failed") if getattr(study.total, name)]
    lines = [f"{study.name:12} {'done':>6}/{'of':<6}" + "".join(f"{name:>9}" for name in columns)]
    for rule, count in [*study.rules.items(), ("total", study.total)]:
        lines.append(f"  {rule:10} {count.done:>6}/{count.expected:<6}" + _cells(count, columns))
    return lines


def _cells(count: Count, columns: Sequence[str]) -> str:
    return "".join(f"{getattr(count, name) or '':>9}" for name in columns)


def _words(comment: str) -> str:
    return comment.removeprefix("rule_").replace("_wildcards_", ": ").replace("_", " ")


def _next(facts: dict[str, Any]) -> str:
    rerun = facts["rerun"]
    if facts["snakemake_runs"]:
        return "Snakemake runs here."
    if rerun is None:
        return "Snakemake does not run here."
    if isinstance(rerun, str):
        return rerun
    if not rerun:
        return "A rerun has nothing to do."
    parts = ", ".join(f"{count} {rule}" for rule, count in rerun.items())
    return f"A rerun would start {sum(rerun.values())} jobs: {parts}"
