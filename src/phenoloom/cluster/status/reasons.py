"""Explain in a sentence why a job failed, from the end of its logs."""

from __future__ import annotations

import re
from pathlib import Path

TAIL_BYTES = 20_000
TAIL_LINES = 6

REASONS: tuple[tuple[str, str], ...] = (
    (
        r"out[ -]of[ -]memory|oom[-_]kill|exceeded (?:job |step )?memory|MemoryError|Cannot allocate memory",
        "it ran out of memory; the next attempt gets twice as much",
    ),
    (
        r"DUE TO TIME LIMIT|status is: '?TIMEOUT",
        "its time was over; the next attempt gets more, except that a training goes on where it was",
    ),
    (r"DUE TO NODE FAILURE|status is: '?NODE_FAIL", "its node failed; run again, on another node if it happens twice"),
    (r"DUE TO PREEMPTION|status is: '?PREEMPTED", "a job of higher priority took its place; run again"),
    (r"status is: '?BOOT_FAIL", "its node did not start; run again, and tell your site if it happens twice"),
    (r"status is: '?DEADLINE", "it could not end before its deadline; leave out `--deadline` in `slurm_extra`"),
    (r"does not know it any more", "SLURM lost it; run again"),
    (
        r"SLURM-job '\d+' is over: (?!someone)",
        "SLURM could not run it, or holds it; see Snakemake's log, run again",
    ),
    (r"No space left on device", "the disk is full; free some space and run again"),
    (r"Disk quota exceeded", "your quota is used up; free some space and run again"),
    (r"CANCELLED AT|status is: '?CANCELLED", "someone cancelled it; run again"),
    (r"exit code 137|\bKilled\b", "it was killed, most likely for its memory; the next attempt gets twice as much"),
    (r"exit code 143|Terminated", "it was asked to end; run again and it goes on"),
)


def reason(log: str, job_log: str = "") -> str | None:
    """Return a sentence on the failure of a job; None if its logs do not explain it.

    The sentence of the command itself comes first, whatever SLURM says about the job.

    Args:
        log: end of the rule's log.
        job_log: end of the log of the cluster's job that ran it.
    """
    own = re.findall(r"(?:^|\r)phenoloom [a-z]+: (?!warning)([^\r\n]+)$", log, re.MULTILINE)
    if own:
        return str(own[-1]).strip()
    for pattern, sentence in REASONS:
        if re.search(pattern, log) or re.search(pattern, job_log):
            return sentence
    trace = re.findall(r"^(\w+(?:\.\w+)*(?:Error|Exception|Interrupt)\b.*)$", log, re.MULTILINE)
    if trace:
        return f"a mistake of phenoloom itself ({trace[-1].strip()}); please report it with the log"
    return None


def tail(path: Path) -> str:
    """Return the end of a text file; an empty text if it does not exist."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def last_lines(text: str) -> list[str]:
    """Return the last lines that are not blank, without progress that was overwritten."""
    lines = (line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n"))
    return [line for line in lines if line][-TAIL_LINES:]
