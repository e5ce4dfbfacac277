from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phenoloom.artifacts.jobs import jobs_of
from phenoloom.cluster.slurm import QueuedJob
from phenoloom.cluster.status import status
from phenoloom.cluster.status.command import _lines
from phenoloom.cluster.status.journal import Journal, last_journal, read_journal
from phenoloom.cluster.status.obstacles import obstacles
from phenoloom.cluster.status.reasons import last_lines, reason
from phenoloom.cluster.status.run import Run, find_run
from phenoloom.cluster.status.study import Count, StudyStatus, study_status
from phenoloom.config import RuleSettings, load_config, load_study

CONFIG = Path(__file__).resolve().parents[3] / "config"

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
Error in group outlines:
    message: Error in group outlines
    log: /run/results/logs/slurm/group_outlines/100.log (check log file(s) for error details)
    jobs:
        rule contours:
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


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of a demo study of which everything but the second shard's tiles is there."""
    folder = tmp_path / "results"
    for job in jobs_of(demo(folder)):
        for output in job.outputs:
            if output != folder / "demo" / "tiles" / "0001.json":
                write(output)
    return folder


def test_a_job_is_done_when_all_of_its_outputs_are_there(results: Path) -> None:
    rules = stand(results).rules
    assert rules["convert"] == Count(done=1, expected=2)
    assert rules["contours"] == Count(done=2, expected=2)
    assert rules["report"] == Count(done=1, expected=1)


def test_a_job_in_the_queue_runs_or_waits_even_where_an_old_output_lies(results: Path) -> None:
    jobs = (
        queued("rule_convert_wildcards_demo_0000", "RUNNING"),
        queued("rule_convert_wildcards_demo_0001", "PENDING"),
        queued("rule_convert_wildcards_other_0001", "RUNNING"),
    )
    assert stand(results, Run(results.parent, jobs=jobs)).rules["convert"] == Count(running=1, waiting=1, expected=2)


def test_a_failed_job_has_its_own_sentence_and_the_end_of_its_log(results: Path) -> None:
    log = write(
        results / "logs/demo/convert/0001.log",
        "convert: 10%\rconvert: 20%\nphenoloom convert: warning: dim image\n"
        "convert: 30%\rphenoloom convert: the disk is on fire; call 112\n",
    )
    (failure,) = stand(results).failures
    assert (failure.job, failure.reason) == ("convert 0001", "the disk is on fire; call 112")
    assert failure.log == str(log)
    assert failure.tail[0] == "convert: 20%"


def test_a_job_that_slurm_ended_without_a_word_is_explained_from_the_log_of_the_cluster(results: Path) -> None:
    write(results / "logs/demo/convert/0001.log", "convert: 10%\n")
    write(results / "logs/slurm/rule_convert/demo_0001/7.log", "slurmstepd: error: *** JOB 7 DUE TO TIME LIMIT ***\n")
    (failure,) = stand(results).failures
    assert failure.reason.startswith("its time was over")


def test_a_member_of_a_group_that_slurm_ended_is_explained_from_the_log_of_the_group(results: Path) -> None:
    log = write(results / "logs/demo/convert/0001.log", "convert: 10%\n")
    group_log = write(results / "logs/slurm/group_prepare/100.log", "slurmstepd: error: Detected 1 oom_kill event\n")
    journal = Journal(failed=frozenset({str(log)}), group_logs={str(log): str(group_log)})
    (failure,) = stand(results, Run(results.parent, journal=journal)).failures
    assert (failure.job, failure.reason[:21]) == ("convert 0001", "it ran out of memory;")


def test_a_log_with_nothing_but_progress_is_no_failure_unless_snakemake_saw_it_fail(results: Path) -> None:
    log = write(results / "logs/demo/convert/0001.log", "convert: 10%\n")
    assert stand(results).failures == []
    run = Run(results.parent, live=True, journal=Journal(failed=frozenset({str(log)})))
    (failure,) = stand(results, run).failures
    assert failure.reason == "its logs do not say why"


def test_while_snakemake_runs_only_what_it_saw_fail_is_a_failure(results: Path) -> None:
    log = write(results / "logs/demo/convert/0001.log", "phenoloom convert: no space\n")
    assert stand(results, Run(results.parent, live=True)).failures == []
    seen = Run(results.parent, live=True, journal=Journal(failed=frozenset({str(log)})))
    assert [failure.reason for failure in stand(results, seen).failures] == ["no space"]
    again = Run(results.parent, live=True, journal=Journal(started=frozenset({str(log)}), began=time.time() - 60))
    assert stand(results, again).rules["convert"] == Count(done=1, running=1, expected=2)


def test_members_of_a_group_in_the_queue_run_once_they_write_their_log(results: Path) -> None:
    log = results / "logs/demo/convert/0001.log"
    group = (queued("rule_outlines_2f", "RUNNING"),)
    run = Run(results.parent, jobs=group, journal=Journal(started=frozenset({str(log)}), began=time.time() - 60))
    assert stand(results, run).rules["convert"].waiting == 1
    write(log)
    assert stand(results, run).rules["convert"].running == 1


def test_the_journal_tells_started_jobs_from_failed_and_restarted_ones() -> None:
    zero, one, outline = "convert/0000.log", "convert/0001.log", "contours/0001.log"
    logs = {name: f"results/logs/demo/{name}" for name in (zero, one, outline)}
    journal = read_journal(JOURNAL.splitlines(keepends=True))
    assert journal.started == set(logs.values())
    assert journal.awaited == ("98", "99")
    journal = read_journal((JOURNAL + FAILED).splitlines(keepends=True))
    assert (journal.started, journal.failed) == ({logs[one]}, {logs[zero], logs[outline]})
    assert journal.group_logs == {logs[outline]: "/run/results/logs/slurm/group_outlines/100.log"}
    assert journal.awaited == ("99",)
    journal = read_journal((JOURNAL + FAILED + RESTARTED + "Finished jobid: 8 (Rule: convert)\n").splitlines())
    assert (journal.started, journal.failed) == ({logs[zero], logs[one]}, {logs[outline]})
    assert journal.awaited == ("101",)


def test_the_newest_log_is_the_journal_and_its_name_says_when_it_began(tmp_path: Path) -> None:
    assert last_journal(tmp_path) == Journal()
    old = write(tmp_path / ".snakemake/log/2026-11-20T070000.000000.snakemake.log", FAILED)
    os.utime(old, (0, 0))
    write(tmp_path / ".snakemake/log/2026-11-21T070602.692762.snakemake.log", JOURNAL)
    journal = last_journal(tmp_path)
    assert journal.failed == frozenset()
    assert time.localtime(journal.began)[:6] == (2026, 11, 21, 7, 6, 2)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=8.0", "it ran out of memory"),
        ("slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2026 DUE TO TIME LIMIT ***", "its time was over"),
        ("slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2026 DUE TO NODE FAILURE ***", "its node failed"),
        ("slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2026-11-21T07:00:00 ***", "someone cancelled it"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded: 'tiles'", "your quota is used up"),
        ("Traceback (most recent call last):\nKeyError: 'x'", "a mistake of phenoloom itself (KeyError: 'x')"),
    ],
)
def test_words_of_slurm_and_of_the_system_become_a_reason(said: str, why: str) -> None:
    assert (reason("", said) or "").startswith(why) or (reason(said) or "").startswith(why)


def test_progress_alone_is_no_reason_and_overwritten_lines_are_not_shown() -> None:
    assert reason("pretrain: epoch 1\n", "") is None
    assert last_lines("a: 1%\ra: 2%\n\n  \nb\n") == ["a: 2%", "b"]


def test_a_lock_without_a_snakemake_is_told_to_be_unlocked(tmp_path: Path) -> None:
    assert obstacles(Run(tmp_path), []) == []
    write(tmp_path / ".snakemake/locks/0.input.lock")
    (note,) = obstacles(Run(tmp_path), [])
    assert "snakemake --unlock" in note
    assert obstacles(Run(tmp_path, live=True), []) == []


def test_queued_jobs_that_nobody_waits_for_are_named_with_the_command_to_cancel_them(tmp_path: Path) -> None:
    jobs = (queued("rule_a", "RUNNING", "17"), queued("rule_b", "PENDING", "18"))
    (note,) = obstacles(Run(tmp_path, jobs=jobs), [])
    assert note.endswith("scancel 17 18")


def test_a_result_from_the_future_is_a_matter_of_clocks(results: Path) -> None:
    path = results / "demo" / "index.json"
    os.utime(path, (time.time() + 3600,) * 2)
    (note,) = obstacles(Run(results.parent), [stand(results)])
    assert str(path) in note
    assert "NTP" in note


def fake_command(folder: Path, name: str, script: str) -> None:
    path = write(folder / name, f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_jobs_of_other_folders_and_programs_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        f"5\\tphenoloom_a\\tRUNNING\\trule_index\\t{tmp_path}",
        "6\\tphenoloom_b\\tRUNNING\\trule_index\\t/elsewhere",
        f"7\\tmine\\tRUNNING\\tnote\\t{tmp_path}",
    ]
    fake_command(tmp_path / "bin", "squeue", "printf '" + "\\n".join(rows) + "\\n'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert [job.job_id for job in find_run(tmp_path).jobs] == ["5"]


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


def test_the_page_says_counts_failures_queue_and_notes(results: Path) -> None:
    write(results / "logs/demo/convert/0001.log", "phenoloom convert: the disk is on fire\n")
    run = Run(results.parent, jobs=(queued("rule_embed_wildcards_demo_vqvae_fold-0", "PENDING", "31"),))
    page = "\n".join(_lines([stand(results, run)], run, ["the clock is wrong"]))
    assert "  convert         1/2" in page
    assert "failed: demo convert 0001: the disk is on fire" in page
    assert "      31 pending    embed: demo_vqvae_fold-0" in page
    assert "note: the clock is wrong" in page


def test_the_command_counts_a_finished_study_and_asks_nothing_of_snakemake(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(results.parent)
    assert status(["demo"], CONFIG, planned=False, as_json=False)
    assert "total          48/48" in capsys.readouterr().out
    (results / "demo" / "tiles/0000.json").unlink()
    write(results / "logs/demo/convert/0000.log", "phenoloom convert: the disk is on fire\n")
    assert not status(["demo"], CONFIG, planned=False, as_json=True)
    assert '"done": 1' in capsys.readouterr().out


@pytest.mark.parametrize(("options", "lives"), [([], True), (["--mode", "remote"], False)])
def test_only_a_snakemake_that_submits_is_a_run(tmp_path: Path, options: list[str], lives: bool) -> None:
    program = write(tmp_path / "snakemake", "import sys; print(flush=True); sys.stdin.read()\n")
    command = [sys.executable, str(program), *options]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert find_run(tmp_path).live == lives
        assert not find_run(tmp_path.parent).live
        process.communicate()
