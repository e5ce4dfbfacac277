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
