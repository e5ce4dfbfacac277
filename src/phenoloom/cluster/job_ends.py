"""Ends of jobs that Snakemake's executor does not know: it would wait for ever for a job that never comes back.

The executor knows a few final states and takes every other word of SLURM for a job that still runs. Here every state
has a meaning: it is left to the executor, it is waited for, or it is an end with a sentence, after which Snakemake
tries the job again as after any other failure.
"""

from __future__ import annotations

import getpass
import re
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from ..core.errors import PhenoloomError
from .slurm import ask

PATIENCE = 3
"""Looks in a row at which a job must be lost, or final though SLURM requeues, before it counts as ended."""

LEFT_TO_THE_EXECUTOR = frozenset(
    ("BOOT_FAIL", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")
)
WAITED_FOR = frozenset(
    (
        *("COMPLETING", "CONFIGURING", "EXPEDITING", "PENDING", "POWER_UP_NODE", "REQUEUED", "REQUEUE_FED", "RESIZING"),
        *("RUNNING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED", "UPDATE_DB"),
    )
)
ENDS: Mapping[str, str] = {
    # sacct says `CANCELLED by 1000`, which the executor takes for a job that runs.
    "CANCELLED": "someone cancelled it",
    "PREEMPTED": "a job of higher priority took its place",
    "REVOKED": "another cluster of the federation took it over",
    "REQUEUE_HOLD": "it was put back into the queue and is held there",
    "SPECIAL_EXIT": "it was put back into the queue in a special state and is held there",
    "RESV_DEL_HOLD": "its reservation was deleted, and it is held",
    "LAUNCH_FAILED": "its node could not start it",
    "RECONFIG_FAIL": "its node could not be prepared for it",
}
"""Ends that the executor does not know, and what they mean."""

HELD_FOR_EVER = re.compile(r"requeued.?held|requeued in held state|JobHoldMaxRequeue", re.IGNORECASE)
"""Reasons of jobs that SLURM itself holds after a failure; nobody is going to release them."""

HELD_BY_SOMEBODY = frozenset(("JobHeldAdmin", "JobHeldUser"))


@dataclass(frozen=True)
class Look:
    """What became of jobs.

    Attributes:
        ended: job -> why it is over, a sentence.
        warnings: sentences about jobs that wait for somebody.
    """

    ended: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class JobEnds:
    """Looks again and again at the jobs that Snakemake waits for.

    Args:
        requeued: whether SLURM puts a job back into the queue that was preempted or whose node failed; such an end
            then counts only when it lasts.
        state_of: returns state and reason of each job that SLURM knows; raises PhenoloomError without an answer.
    """

    def __init__(
        self,
        requeued: bool = False,
        state_of: Callable[[Collection[str]], Mapping[str, tuple[str, str]]] | None = None,
    ) -> None:
        self._requeued, self._state_of = requeued, state_of or states
        self._doubtful: Counter[str] = Counter()
        self._warned: set[tuple[str, str]] = set()

    def look(self, job_ids: Collection[str]) -> Look:
        """Return which jobs are over though the executor would wait for them; what SLURM would restart is cancelled.

        Tasks of an array (`12_3`) are left to the executor: the queue lists those that wait under another name.
        """
        job_ids = [job_id for job_id in job_ids if "_" not in job_id]
        if not job_ids:
            return Look()
        try:
            found = self._state_of(job_ids)
        except PhenoloomError:
            # The controller is down or restarts: its answer will come.
            return Look()
        look = Look()
        for job_id in job_ids:
            state, reason = found.get(job_id, ("", ""))
            why, certain = self._end(state, reason)
            self._doubtful[job_id] = 0 if why is None else self._doubtful[job_id] + 1
            if why is not None and (certain or self._doubtful[job_id] >= PATIENCE):
                look.ended[job_id] = _sentence(job_id, state, reason, why)
            elif why is None and (warning := warning_of(job_id, state, reason)):
                if (job_id, state) not in self._warned:
                    look.warnings.append(warning)
                self._warned.add((job_id, state))
        _cancel(look.ended)
        return look

    def _end(self, state: str, reason: str) -> tuple[str | None, bool]:
        """Return why a job is over, None where it is not or where the executor sees it, and whether it is certain."""
        word = state.partition(" ")[0].rstrip("+")
        if not word:
            return "SLURM does not know it any more", False
        if word == "PREEMPTED" or (word == "NODE_FAIL" and self._requeued):
            return ENDS.get(word, "its node failed, and SLURM did not requeue it"), not self._requeued
        if word in ENDS:
            return ENDS[word], True
        if word == "PENDING" and HELD_FOR_EVER.search(reason):
            return "it failed to start, was put back into the queue and is held there", True
        return None, True


def warning_of(job_id: str, state: str, reason: str) -> str | None:
    """Return what somebody must do before a job goes on; None where nothing must be done."""
    if state == "PENDING" and reason in HELD_BY_SOMEBODY:
        return (
            f"SLURM-job '{job_id}' is held ({reason}); Snakemake waits until it is released (scontrol release "
            f"{job_id}) or cancelled (scancel {job_id})"
        )
    if state in ("SUSPENDED", "STOPPED"):
        return f"SLURM-job '{job_id}' is {state.lower()}; Snakemake waits until SLURM lets it go on"
    if state in LEFT_TO_THE_EXECUTOR | WAITED_FOR:
        return None
    return f"SLURM-job '{job_id}' is in the state {state!r}, which is not known here; Snakemake waits for it"


def states(job_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return state and reason of the jobs that SLURM knows: from the queue, or else from its accounts.

    Raises:
        PhenoloomError: the controller does not answer.
    """
    lines = ask("squeue", "--noheader", "--states=all", f"--user={getpass.getuser()}", "--format=%i\t%T\t%r")
    rows = (line.split("\t") for line in lines.splitlines())
    found = {row[0]: (row[1], row[2]) for row in rows if len(row) == 3 and row[0] in job_ids}
    absent = [job_id for job_id in job_ids if job_id not in found]
    return found | _in_accounts(absent)


def _in_accounts(job_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    if not job_ids or shutil.which("sacct") is None:
        return {}
    table = ["sacct", "-X", "--noheader", "--parsable2", f"--jobs={','.join(job_ids)}", "--format=JobIDRaw,State"]
    try:
        lines = ask(*table).splitlines()
    except PhenoloomError:
        return {}
    return {row[0]: (row[1], "") for row in (line.split("|") for line in lines) if len(row) == 2}


def _sentence(job_id: str, state: str, reason: str, why: str) -> str:
    said = f"SLURM status is: '{state}'" + (f", reason: {reason}" if reason not in ("", "None") else "")
    return f"SLURM-job '{job_id}' is over: {why}" + (f" ({said})." if state else ".")


def _cancel(job_ids: Collection[str]) -> None:
    """Cancel jobs that are over for Snakemake, so that SLURM never starts one beside its next attempt."""
    if job_ids:
        try:
            ask("scancel", *job_ids)
        except PhenoloomError:
            # Most are over for SLURM too, and it says so.
            return
