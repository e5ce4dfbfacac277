"""Every state that SLURM has ends in a retry or in a sentence."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from tests.helpers.status import fake_command

from phenoloom.cluster import job_ends
from phenoloom.cluster.job_ends import ENDS, LEFT_TO_THE_EXECUTOR, PATIENCE, WAITED_FOR, JobEnds, states
from phenoloom.core.errors import PhenoloomError

# `man squeue`, JOB STATE CODES, of Slurm 22.05 to 25.05.
STATES = """BOOT_FAIL CANCELLED COMPLETED CONFIGURING COMPLETING DEADLINE EXPEDITING FAILED LAUNCH_FAILED NODE_FAIL
OUT_OF_MEMORY PENDING POWER_UP_NODE PREEMPTED RECONFIG_FAIL REQUEUED REQUEUE_FED REQUEUE_HOLD RESIZING RESV_DEL_HOLD
REVOKED RUNNING SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED SUSPENDED TIMEOUT UPDATE_DB""".split()


class Queue:
    """Prepared answers of SLURM: state and reason of each job."""

    def __init__(self, **jobs: str | tuple[str, str]) -> None:
        self.jobs = jobs

    def __call__(self, job_ids: Collection[str]) -> Mapping[str, tuple[str, str]]:
        found = {name.removeprefix("j"): value for name, value in self.jobs.items()}
        return {name: (value, "None") if isinstance(value, str) else value for name, value in found.items()}


@pytest.fixture(autouse=True)
def cancelled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs that are cancelled, in place of asking SLURM."""
    found: list[str] = []
    monkeypatch.setattr(job_ends, "ask", lambda *command: found.extend(command[1:]) or "")
    return found


def looks(ends: JobEnds, times: int = 1, job: str = "7") -> list[str | None]:
    return [ends.look([job]).ended.get(job) for _ in range(times)]


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_waited_for_left_to_the_executor_or_an_end(state: str, cancelled: list[str]) -> None:
    assert sum(state in kind for kind in (WAITED_FOR, LEFT_TO_THE_EXECUTOR, ENDS)) == 1
    (said,) = looks(JobEnds(state_of=Queue(j7=state)))
    assert (said is not None) is (state in ENDS)
    assert cancelled == (["7"] if said else [])
    if said:
        assert said == f"SLURM-job '7' is over: {ENDS[state]} (SLURM status is: '{state}')."


def test_no_word_of_the_executor_is_missed() -> None:
    """What is left to it, it knows."""
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    source = Path(plugin.__file__).read_text(encoding="utf-8")
    assert all(f'"{state}"' in source for state in LEFT_TO_THE_EXECUTOR)
    for name in ("check_active_jobs", "run_job", "get_account_arg", "_report_job_error_threadsafe"):
        assert callable(getattr(plugin.Executor, name))


def test_the_word_of_the_accounts_for_a_cancelled_job_is_an_end() -> None:
    (said,) = looks(JobEnds(state_of=Queue(j7="CANCELLED by 1000")))
    assert said == "SLURM-job '7' is over: someone cancelled it (SLURM status is: 'CANCELLED by 1000')."


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL"])
def test_where_slurm_requeues_an_end_counts_only_when_it_lasts(state: str, cancelled: list[str]) -> None:
    queue = Queue(j7=state)
    ends = JobEnds(requeued=True, state_of=queue)
    assert looks(ends, PATIENCE - 1) == [None] * (PATIENCE - 1)
    queue.jobs["j7"] = "PENDING"
    assert looks(ends, 5) == [None] * 5
    queue.jobs["j7"] = state
    *before, said = looks(ends, PATIENCE)
    assert before == [None] * (PATIENCE - 1)
    assert said is not None
    assert cancelled == ["7"]


def test_a_job_that_slurm_forgot_is_over_when_it_stays_lost() -> None:
    queue = Queue()
    ends = JobEnds(state_of=queue)
    assert looks(ends, PATIENCE) == [
        *[None] * (PATIENCE - 1),
        "SLURM-job '7' is over: SLURM does not know it any more.",
    ]
    queue.jobs["j8"] = "RUNNING"
    assert looks(ends, 5, "8") == [None] * 5


def test_tasks_of_an_array_are_left_to_the_executor() -> None:
    assert looks(JobEnds(state_of=Queue()), 2 * PATIENCE, "7_1") == [None] * 2 * PATIENCE


def test_a_controller_without_an_answer_ends_no_job() -> None:
    def silent(job_ids: Collection[str]) -> Mapping[str, tuple[str, str]]:
        raise PhenoloomError("no controller")

    assert looks(JobEnds(state_of=silent), 2 * PATIENCE) == [None] * 2 * PATIENCE


@pytest.mark.parametrize("reason", ["launch failed requeued held", "JobHoldMaxRequeue"])
def test_a_job_that_slurm_holds_after_a_failed_start_is_over(reason: str) -> None:
    (said,) = looks(JobEnds(state_of=Queue(j7=("PENDING", reason))))
    assert said is not None
    assert "is held there" in said
    assert said.endswith(f"(SLURM status is: 'PENDING', reason: {reason}).")


@pytest.mark.parametrize(
    ("state", "reason", "sentence"),
    [
        ("PENDING", "JobHeldUser", "held (JobHeldUser); Snakemake waits until it is released (scontrol release 7)"),
        ("SUSPENDED", "None", "is suspended; Snakemake waits until SLURM lets it go on"),
        ("STOPPED", "None", "is stopped; Snakemake waits"),
        ("DREAMING", "None", "is in the state 'DREAMING', which is not known here"),
    ],
)
def test_a_job_that_waits_for_somebody_is_said_once(state: str, reason: str, sentence: str) -> None:
    ends = JobEnds(state_of=Queue(j7=(state, reason)))
    looked = [ends.look(["7"]) for _ in range(3)]
    assert not any(look.ended for look in looked)
    (warning,) = [warning for look in looked for warning in look.warnings]
    assert sentence in warning


def test_an_ordinary_reason_to_wait_is_not_said() -> None:
    assert JobEnds(state_of=Queue(j7=("PENDING", "Resources"))).look(["7"]).warnings == []


def test_what_the_queue_does_not_know_is_asked_of_the_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    queue = "printf '7\\tPREEMPTED\\tNone\\n9\\tRUNNING\\tNone\\n'"
    fake_command(tmp_path / "bin", "squeue", queue)
    fake_command(tmp_path / "bin", "sacct", "printf '8|CANCELLED by 0\\n'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert states(["7", "8"]) == {"7": ("PREEMPTED", "None"), "8": ("CANCELLED by 0", "")}
    fake_command(tmp_path / "bin", "sacct", "exit 1")
    assert states(["7", "8"]) == {"7": ("PREEMPTED", "None")}
