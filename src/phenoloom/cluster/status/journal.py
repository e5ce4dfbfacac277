"""Read Snakemake's own log of the last run: which jobs it started, and which failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

HEADER = re.compile(r"^(?P<indent> *)(?:(?:local)?(?:rule|checkpoint) \w+|(?P<error>Error in rule \w+)):\s*$")
SUBMITTED = re.compile(r"Job (\d+) has been submitted with SLURM jobid (\d+)")
GROUP_ERROR = re.compile(r"^(?: +message: )?Error in group \S+\s*$")
"""Snakemake's own message about a group is the only line that names it."""

FINISHED = re.compile(r"Finished jobid: (\d+)")
JOB = re.compile(r"^ +jobid: (\d+)")
OVER = re.compile(r"^SLURM-job '\d+' is over: .*")
MESSAGE = re.compile(r"^ +message: (?!None$)(?P<text>.+)$")
LOG = re.compile(r"^ +log: (?P<path>.+?)(?: \(check log file\(s\) .*)?\s*$")

MEMBER_OF_FAILED_GROUP = 8
"""Columns before `rule` where an error lists the jobs of a group; a job that starts is further left."""


@dataclass(frozen=True)
class Journal:
    """The last run of a folder.

    Attributes:
        started: logs of the jobs that it started.
        failed: logs of the jobs that failed at their last attempt.
        awaited: the cluster's numbers of the jobs that it waits for, without groups: their end has no line of its own.
        began: seconds since the epoch.
        group_logs: log of a failed member of a group -> log of the cluster's job that ran the group.
        messages: log of a job that failed, perhaps at an earlier attempt -> what Snakemake last said about it.
    """

    started: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    awaited: tuple[str, ...] = ()
    began: float = 0.0
    group_logs: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)


def last_journal(folder: Path) -> Journal:
    """Read the newest log of the folder's `.snakemake/log`; return an empty journal if there is none."""
    logs = sorted((folder / ".snakemake" / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        return Journal()
    began = re.match(r"\d{4}-\d{2}-\d{2}T\d{6}", logs[-1].name)
    seconds = datetime.strptime(began[0], "%Y-%m-%dT%H%M%S").timestamp() if began else 0.0
    with logs[-1].open(errors="replace") as lines:
        return read_journal(lines, seconds)


def read_journal(lines: Iterable[str], began: float = 0.0) -> Journal:
    """Read the lines of a log from its beginning; the last entry of each job counts."""
    state: dict[str, str] = {}
    awaited: dict[str, str] = {}
    group_logs: dict[str, str] = {}
    messages: dict[str, str] = {}
    kind = group_log = message = over = None
    for line in lines:
        header = HEADER.match(line)
        if header:
            listed = len(header["indent"]) >= MEMBER_OF_FAILED_GROUP
            kind = "failed" if header["error"] or listed else "started"
            group_log, message = (group_log, message) if listed else (None, None)
        elif GROUP_ERROR.match(line):
            # Why it failed is said in the line before.
            kind, group_log, message, over = "group", None, over, None
        elif kind == "failed" and (text := MESSAGE.match(line)):
            message = text["text"]
        elif text := OVER.match(line):
            over = text[0]
        elif kind and (log := LOG.match(line)):
            path = log["path"].split(", ")[0]
            if kind == "group":
                group_log = path
            else:
                state[path] = kind
                if group_log:
                    group_logs[path] = group_log
                if kind == "failed" and message:
                    messages[path] = message
        elif job := SUBMITTED.match(line):
            awaited[job[1]] = job[2]
        elif (job := FINISHED.match(line)) or (kind == "failed" and (job := JOB.match(line))):
            awaited.pop(job[1], None)
        elif not line.startswith(" "):
            kind = None
    started, failed = (frozenset(path for path, s in state.items() if s == name) for name in ("started", "failed"))
    return Journal(started, failed, tuple(awaited.values()), began, group_logs, messages)
