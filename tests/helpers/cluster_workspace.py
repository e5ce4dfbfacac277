"""Runs of snakemake on a SLURM cluster of this host."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import processes
from .slurm_cluster import Cluster
from .workspace import REPOSITORY, STUDY, Workspace

RUN_S = 1200
"""Longest run of a test, in seconds; a hang is a failure."""

SWIFT = [
    "--slurm-init-seconds-before-status-checks",
    "2",
    "--seconds-between-status-checks",
    "1",
    "--latency-wait",
    "10",
]
"""The profile's patience suits jobs of hours, not those of these tests."""


@dataclass(frozen=True)
class Job:
    """What the cluster's accounts say of one job."""

    job_id: str
    comment: str
    state: str
    asked_mb: int
    limit_min: int
    nodes: str
    seconds: int


class Run:
    """A snakemake that runs."""

    def __init__(self, folder: Path, environment: dict[str, str], arguments: list[str]) -> None:
        self.log = folder / "snakemake.log"
        # A shell that starts this suite in the background makes its children deaf to Ctrl-C.
        command = ["env", "--default-signal=INT", "snakemake", *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def wait(self, success: bool = True) -> str:
        """Its output after it ended as expected."""
        try:
            code = self.process.wait(RUN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"snakemake did not end within {RUN_S} s:\n{self.text()[-8000:]}")
        if (code == 0) is not success:
            pytest.fail(f"snakemake ended with {code}:\n{self.text()[-12000:]}")
        return self.text()

    def text(self) -> str:
        """Output so far."""
        return self.log.read_text()


@dataclass
class ClusterWorkspace(Workspace):
    """A workspace whose jobs go to the cluster."""

    cluster: Cluster

    @property
    def results(self) -> Path:
        """Results of its study."""
        return self.folder / "results" / STUDY

    def start(self, *arguments: str, path: str | None = None, profile: list[str] | None = None) -> Run:
        """Start snakemake with the project's profile; `path` replaces the folders of the cluster and the system."""
        environment = self.cluster.environment
        folders = [str(self.cluster.folder / "bin"), str(Path(sys.executable).parent), environment["PATH"]]
        environment["PATH"] = os.pathsep.join(folders if path is None else [folders[1], path])
        if profile is None:
            profile = ["--workflow-profile", str(REPOSITORY / "profiles" / "slurm")]
        command = ["--snakefile", str(REPOSITORY / "workflow" / "Snakefile"), *profile, *SWIFT, *arguments]
        return Run(self.folder, environment, command)

    def run(self, *arguments: str, success: bool = True) -> str:
        """Run snakemake on the cluster and return what it printed."""
        return self.start(*arguments).wait(success)

    def status(self) -> dict[str, Any]:
        """What `phenoloom status` says in this folder."""
        environment = self.cluster.environment
        environment["PATH"] = os.pathsep.join([str(self.cluster.folder / "bin"), environment["PATH"]])
        command = [str(Path(sys.executable).with_name("phenoloom")), "status", STUDY, "--json", "--no-plan"]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def jobs(self, comment: str = "rule_") -> list[Job]:
        """Jobs of this folder in the order of submission, once the accounts have heard of all ends."""
        fields = "JobIDRaw,Comment,State,ReqMem,TimelimitRaw,NodeList,ElapsedRaw,WorkDir"
        self.cluster.wait_for("the queue to be empty", lambda: not self.cluster.client("squeue", "-h"))
        table = ["sacct", "-X", "-n", "-P", f"--format={fields}"]

        def rows() -> list[list[str]]:
            lines = (line.split("|") for line in self.cluster.client(*table).splitlines())
            return [row for row in lines if row[-1] == str(self.folder) and row[1].startswith(comment)]

        self.cluster.wait_for(
            "the accounts", lambda: not any(r[2] in ("RUNNING", "PENDING", "COMPLETING", "REQUEUED") for r in rows())
        )
        return [Job(r[0], r[1], r[2].split()[0], int(r[3].rstrip("M")), int(r[4]), r[5], int(r[6])) for r in rows()]

    def process_of(self, *words: str, seconds: float = 120) -> int:
        """The `phenoloom` process of this folder whose command line has all `words`, as soon as it is there."""
        found: list[int] = []

        def look() -> bool:
            for pid in processes.pids():
                arguments = processes.arguments(pid)
                program = [Path(argument).name for argument in arguments[:2]]
                if "phenoloom" in program and all(word in arguments for word in words) and self._here(pid):
                    found.append(pid)
            return bool(found)

        self.cluster.wait_for(f"`phenoloom {' '.join(words)}`", look, seconds)
        return found[0]

    def hold(self, *words: str) -> int:
        """Stop a process as a file system that hangs would."""
        pid = self.process_of(*words)
        os.kill(pid, signal.SIGSTOP)
        return pid

    def _here(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.folder
        except OSError:
            return False


def contents(workspace: Workspace, study: str = STUDY) -> dict[str, str]:
    """Digest of every result file of the study that holds no measured times."""
    root = workspace.folder / "results" / study
    timed = {"report", "tensorboard", "throughput.csv"}
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not timed & set(path.relative_to(root).parts)
    }


def wait_until(what: str, ready: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)
