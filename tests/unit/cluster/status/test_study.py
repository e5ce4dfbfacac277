from __future__ import annotations

import time
from pathlib import Path

from tests.helpers.status import queued, stand, write

from phenoloom.cluster.status.journal import Journal
from phenoloom.cluster.status.run import Run
from phenoloom.cluster.status.study import Count


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
