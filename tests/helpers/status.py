"""The demo's jobs, queue and results, as `phenoloom status` finds them."""

from __future__ import annotations

from pathlib import Path

from phenoloom.cluster.slurm import QueuedJob
from phenoloom.cluster.status.run import Run
from phenoloom.cluster.status.study import StudyStatus, study_status
from phenoloom.config import RuleSettings, load_config, load_study

CONFIG = Path(__file__).resolve().parents[2] / "config"


def demo(results: Path) -> RuleSettings:
    """The demo in two shards."""
    study = load_study("demo", CONFIG).model_copy(update={"shards": 2})
    return RuleSettings("demo", study, load_config({"results": str(results)}, "config.yaml"), CONFIG)


def stand(results: Path, run: Run | None = None) -> StudyStatus:
    return study_status(demo(results), run or Run(results.parent))


def queued(comment: str, state: str, job_id: str = "1") -> QueuedJob:
    return QueuedJob(job_id, "phenoloom_1", state, comment, "/somewhere")


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def fake_command(folder: Path, name: str, script: str) -> None:
    path = write(folder / name, f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
