"""Whether a run goes on, and what stands in its way: the queue, locks, clocks and jobs that SLURM forgot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import PhenoloomError
from ..slurm import QueuedJob, ask, queued_jobs
from .study import StudyStatus

PREFIX = "phenoloom"
"""Names of our jobs in the queue begin so; `slurm-jobname-prefix` in the profile."""

SKEW_S = 60.0
PLAN_S = 600.0


def queue(folder: Path) -> tuple[list[QueuedJob], str | None]:
    """Jobs of this folder that wait or run, and a sentence if SLURM cannot be asked."""
    if shutil.which("squeue") is None:
        return [], None
    try:
        return [job for job in queued_jobs(PREFIX) if Path(job.folder) == folder], None
    except PhenoloomError as error:
        return [], f"the queue is not known: {error}"


def snakemake_runs(folder: Path) -> bool:
    """Whether a Snakemake of this machine works in the folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            here = (entry / "cwd").readlink() == folder
        except OSError:
            continue
        ours = any(Path(os.fsdecode(argument)).name == "snakemake" for argument in arguments[:3])
        if ours and here and int(entry.name) != os.getpid():
            return True
    return False


def warnings(folder: Path, studies: Sequence[StudyStatus], jobs: Sequence[QueuedJob], live: bool) -> list[str]:
    """Sentences about what stands in the way of a run."""
    found = []
    if not live and not jobs and any((folder / ".snakemake" / "locks").glob("*")):
        found.append(
            "a Snakemake that was killed left its lock, and nothing of it runs here any more; if none runs on another "
            "machine either: snakemake --unlock"
        )
    if not live and jobs:
        found.append(
            f"{len(jobs)} jobs are in the queue, and no Snakemake on this machine waits for them; let them end before "
            f"you start again, or cancel them: scancel {' '.join(job.job_id for job in jobs)}"
        )
    newest, path = max((study.newest for study in studies), default=(0.0, ""))
    ahead = newest - time.time()
    if ahead > SKEW_S:
        found.append(
            f"{path} is {ahead:.0f} s newer than now: clocks of this machine and of a node or file server differ; have "
            "them set (NTP). Nothing is lost, but what looks newer than its results may run again"
        )
    return found + (_forgotten(folder, jobs) if live else [])


def _forgotten(folder: Path, jobs: Sequence[QueuedJob]) -> list[str]:
    """Jobs that Snakemake waits for and SLURM does not know: its controller crashed before it wrote them down."""
    logs = sorted((folder / ".snakemake" / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    text = logs[-1].read_text(errors="replace") if logs and shutil.which("scontrol") else ""
    submitted = dict(re.findall(r"Job (\S+) has been submitted with SLURM jobid (\d+)", text))
    ended = set(re.findall(r"Finished jobid: (\d+)", text))
    known = {job.job_id for job in jobs}
    lost = [slurm for job, slurm in submitted.items() if job not in ended and slurm not in known and _unknown(slurm)]
    if not lost:
        return []
    return [
        f"SLURM does not know job {' '.join(lost)}, which Snakemake waits for (its controller crashed right after the "
        "submission); press Ctrl-C there and start again: finished jobs are not repeated"
    ]


def _unknown(job_id: str) -> bool:
    try:
        ask("scontrol", "show", "job", job_id)
    except PhenoloomError as error:
        return "Invalid job id" in str(error)
    return False


def plan(folder: Path, studies: Sequence[str]) -> dict[str, int] | str:
    """Jobs that a rerun would start, by rule, or a sentence why that is not known."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--nolock"]
    command += ["--config", f"studies=[{','.join(studies)}]"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PLAN_S, check=False)
    except subprocess.TimeoutExpired:
        return f"the plan took longer than {PLAN_S:.0f} s"
    printed = done.stdout + done.stderr
    if done.returncode:
        lines = [line for line in printed.splitlines() if line.strip()]
        return f"Snakemake cannot plan it: {lines[-1].strip() if lines else 'it said nothing'}"
    table = re.search(r"^-+ +-+\n(.*?)^total", printed, re.MULTILINE | re.DOTALL)
    rows = (line.split() for line in table[1].splitlines()) if table else ()
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[0] != "all"}
