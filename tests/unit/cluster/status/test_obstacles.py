from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.helpers.status import fake_command, queued, stand, write

from phenoloom.cluster.slurm import QueuedJob
from phenoloom.cluster.status.journal import Journal
from phenoloom.cluster.status.obstacles import obstacles
from phenoloom.cluster.status.run import Run, find_run


def test_a_lock_without_a_snakemake_is_named_with_the_command_to_unlock(tmp_path: Path) -> None:
    assert obstacles(Run(tmp_path), []) == []
    write(tmp_path / ".snakemake/locks/0.input.lock")
    (note,) = obstacles(Run(tmp_path), [])
    assert "snakemake --unlock" in note
    assert obstacles(Run(tmp_path, live=True), []) == []


def test_queued_jobs_that_nobody_waits_for_are_named_with_the_command_to_cancel_them(tmp_path: Path) -> None:
    jobs = (queued("rule_a", "RUNNING", "17"), queued("rule_b", "PENDING", "18"))
    (note,) = obstacles(Run(tmp_path, jobs=jobs), [])
    assert note.endswith("scancel 17 18")


def test_a_job_that_waits_for_somebody_is_named_with_what_to_do(tmp_path: Path) -> None:
    held = QueuedJob("17", "phenoloom_1", "PENDING", "rule_a", "/somewhere", "JobHeldUser")
    (note,) = obstacles(Run(tmp_path, live=True, jobs=(held, queued("rule_b", "RUNNING"))), [])
    assert "held (JobHeldUser)" in note
    assert "scontrol release 17" in note


def test_a_result_from_the_future_is_a_matter_of_clocks(results: Path) -> None:
    path = results / "demo" / "index.json"
    os.utime(path, (time.time() + 3600,) * 2)
    (note,) = obstacles(Run(results.parent), [stand(results)])
    assert str(path) in note
    assert "NTP" in note


def test_a_queue_that_cannot_be_asked_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_command(tmp_path / "bin", "squeue", "echo 'squeue: error: no controller' >&2; echo more >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    run = find_run(tmp_path)
    assert obstacles(run, []) == ["SLURM's queue is not known: `squeue` failed: squeue: error: no controller"]


def test_a_job_that_slurm_forgot_is_found_while_snakemake_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = 'case "$3" in 9) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1;; esac'
    fake_command(tmp_path / "bin", "scontrol", answer)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (note,) = obstacles(Run(tmp_path, live=True, journal=Journal(awaited=("8", "9"))), [])
    assert note.startswith("SLURM does not know job 9,")
