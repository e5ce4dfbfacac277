from __future__ import annotations

import pytest

from phenoloom.cluster.status.reasons import last_lines, reason


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=8.0", "it ran out of memory"),
        ("slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2026 DUE TO TIME LIMIT ***", "its time was over"),
        ("slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2026 DUE TO NODE FAILURE ***", "its node failed"),
        ("slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2026-11-21T07:00:00 ***", "someone cancelled it"),
        ("*** JOB 8 ON n1 CANCELLED AT 2026-12-01T16:44:09 DUE TO PREEMPTION ***", "a job of higher priority took"),
        ("SLURM-job '8' is over: a job of (SLURM status is: 'PREEMPTED').", "a job of higher priority took"),
        ("SLURM-job '8' failed, SLURM status is: 'BOOT_FAIL'.", "its node did not start"),
        ("SLURM-job '8' failed, SLURM status is: 'DEADLINE'.", "it could not end before its deadline"),
        ("SLURM-job '8' failed, SLURM status is: 'TIMEOUT'.", "its time was over"),
        ("SLURM-job '8' is over: someone cancelled it (SLURM status is: 'CANCELLED by 0').", "someone cancelled it"),
        ("SLURM-job '8' is over: SLURM does not know it any more.", "SLURM lost it"),
        ("SLURM-job '8' is over: its reservation was deleted, and it is held (...).", "SLURM could not run it, or hol"),
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
