from __future__ import annotations

import os
import time
from pathlib import Path

from tests.helpers.status import write

from phenoloom.cluster.status.journal import Journal, last_journal, read_journal

JOURNAL = """\
[Sat Nov 21 07:06:02 2026]
rule convert:
    input: results/demo/sheet.parquet
    log: results/logs/demo/convert/0000.log
    jobid: 7
    wildcards: study=demo, shard=0000
Job 7 has been submitted with SLURM jobid 98 (log: /run/results/logs/slurm/rule_convert/demo_0000/98.log).
[Sat Nov 21 07:06:03 2026]
rule convert:
    log: results/logs/demo/convert/0001.log
    jobid: 8
Job 8 has been submitted with SLURM jobid 99 (log: /run/results/logs/slurm/rule_convert/demo_0001/99.log).
[Sat Nov 21 07:06:16 2026] Group job outlines (jobs in lexicogr. order):
    [Sat Nov 21 07:06:16 2026]
    rule contours:
        log: results/logs/demo/contours/0001.log
        jobid: 15
Job 740023c6-aecd has been submitted with SLURM jobid 100 (log: /run/results/logs/slurm/group_outlines/100.log).
"""


FAILED = """\
[Sat Nov 21 07:08:16 2026]
Error in rule convert:
    message: SLURM-job '98' failed, SLURM status is: 'FAILED'.
    jobid: 7
    log: results/logs/demo/convert/0000.log, /run/98.log (check log file(s) for error details)
[Sat Nov 21 07:08:16 2026]
    message: Error in group outlines
    log: /run/results/logs/slurm/group_outlines/100.log (check log file(s) for error details)
    jobs:
        rule contours:
            jobid: 15
            log: results/logs/demo/contours/0001.log (check log file(s) for error details)
Logfile /run/results/logs/slurm/group_outlines/100.log: empty file
    [Sat Nov 21 07:08:16 2026]
    Error in rule contours:
        message: None
        jobid: 15
        log: results/logs/demo/contours/0001.log (check log file(s) for error details)
"""


RESTARTED = """\
Trying to restart job 7.
[Sat Nov 21 07:08:20 2026]
rule convert:
    log: results/logs/demo/convert/0000.log
    jobid: 7
Job 7 has been submitted with SLURM jobid 101 (log: /run/results/logs/slurm/rule_convert/demo_0000/101.log).
"""


def test_the_journal_distinguishes_started_jobs_from_failed_and_restarted_ones() -> None:
    zero, one, outline = "convert/0000.log", "convert/0001.log", "contours/0001.log"
    logs = {name: f"results/logs/demo/{name}" for name in (zero, one, outline)}
    journal = read_journal(JOURNAL.splitlines(keepends=True))
    assert journal.started == set(logs.values())
    assert journal.awaited == ("98", "99")
    journal = read_journal((JOURNAL + FAILED).splitlines(keepends=True))
    assert (journal.started, journal.failed) == ({logs[one]}, {logs[zero], logs[outline]})
    assert journal.group_logs == {logs[outline]: "/run/results/logs/slurm/group_outlines/100.log"}
    assert journal.awaited == ("99",)
    assert journal.messages == {logs[zero]: "SLURM-job '98' failed, SLURM status is: 'FAILED'."}
    journal = read_journal((JOURNAL + FAILED + RESTARTED + "Finished jobid: 8 (Rule: convert)\n").splitlines())
    assert (journal.started, journal.failed) == ({logs[zero], logs[one]}, {logs[outline]})
    assert journal.awaited == ("101",)


def test_why_a_group_is_over_is_the_line_before_its_error() -> None:
    over = "SLURM-job '100' is over: a job of higher priority took its place (SLURM status is: 'PREEMPTED')."
    error = FAILED[FAILED.index("    message: Error in group") :]
    journal = read_journal((JOURNAL + f"{over}\n[Sat Nov 21 07:08:16 2026]\n" + error).splitlines())
    assert journal.messages == {"results/logs/demo/contours/0001.log": over}


def test_the_newest_log_is_the_journal_and_its_name_says_when_it_began(tmp_path: Path) -> None:
    assert last_journal(tmp_path) == Journal()
    old = write(tmp_path / ".snakemake/log/2026-11-20T070000.000000.snakemake.log", FAILED)
    os.utime(old, (0, 0))
    write(tmp_path / ".snakemake/log/2026-11-21T070602.692762.snakemake.log", JOURNAL)
    journal = last_journal(tmp_path)
    assert journal.failed == frozenset()
    assert time.localtime(journal.began)[:6] == (2026, 11, 21, 7, 6, 2)
