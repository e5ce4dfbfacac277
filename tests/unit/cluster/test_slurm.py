from __future__ import annotations

import os
from pathlib import Path

import pytest

from phenoloom.cluster.slurm import Request, ask, check_commands, check_site, queued_jobs, refusal, requests
from phenoloom.core.errors import PhenoloomError


class Site:
    """SLURM's commands as scripts that give prepared answers, and note what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("srun", "scancel", "squeue", "sacct", "sacctmgr", "sinfo"):
            self.answer(name, "")
        self.configure("accounting_storage/slurmdbd", 300)
        self.answer("sbatch", "")

    def answer(self, name: str, said: str = "", code: int = 0, wrong: str = "", script: str = "") -> None:
        path = self.folder / name
        lines = ["#!/bin/sh", f"echo {name} $@ >> '{self.folder}/asked'", script]
        lines += [f"printf '%b' '{said}'", f"printf '%b' '{wrong}' >&2", f"exit {code}"]
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o755)

    def configure(self, accounting: str, kept_s: int) -> None:
        config = f"AccountingStorageType = {accounting}\\nMinJobAge = {kept_s} sec\\n"
        ping = "Slurmctld(primary) at head is UP\\n"
        self.answer("scontrol", script=f"case \"$1\" in ping) printf '{ping}';; show) printf '{config}';; esac")

    @property
    def asked(self) -> str:
        return (self.folder / "asked").read_text()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(made.folder), prepend=os.pathsep)
    return made


CONVERT = Request("convert", ("--ntasks=1", "--cpus-per-task=2", "--mem=1000"))


def check(
    wishes: list[Request], command: str = "squeue", comments: frozenset[str] = frozenset(), folder: Path = Path("/run")
) -> None:
    check_site(wishes, command, 40, "phenoloom", comments, folder)


def test_of_wishes_that_differ_in_memory_only_the_largest_is_asked_for() -> None:
    jobs = [("convert", 2, {"mem_mb": 500, "runtime": 60}), ("index", 2, {"mem_mb": 900, "runtime": 60})]
    (wish,) = requests(jobs)
    assert wish == Request("index", ("--ntasks=1", "--cpus-per-task=2", "--time=60", "--mem=900"))


def test_gpus_models_of_gpus_and_tasks_become_flags_and_unknown_amounts_are_left_out() -> None:
    (wish,) = requests([("pretrain", 4, {"gpu": 2, "gpu_model": "a100", "mem_mb": "<TBD>", "slurm_partition": "gpu"})])
    assert wish.flags == ("--ntasks=1", "--cpus-per-task=4", "--partition=gpu", "--gpus=a100:2")
    (wish,) = requests([("pretrain", 4, {"gres": "gpu:2", "tasks": 4, "nodes": 2, "gpu": None})])
    assert wish.flags == ("--ntasks=4", "--cpus-per-task=4", "--gres=gpu:2", "--nodes=2")


def test_missing_commands_are_named() -> None:
    with pytest.raises(PhenoloomError, match="sbatch, squeue, scancel, scontrol, srun is not on PATH"):
        check_commands(lambda name: None)


def test_a_command_that_fails_or_hangs_or_is_missing_is_a_sentence(site: Site) -> None:
    site.answer("squeue", wrong="no controller", code=1)
    with pytest.raises(PhenoloomError, match="`squeue` failed: no controller"):
        ask("squeue")
    site.answer("squeue", script="exec sleep 60")
    with pytest.raises(PhenoloomError, match=r"`squeue -h` did not answer within 0 s; SLURM's controller may be down"):
        ask("squeue", "-h", timeout_s=0.2)
    with pytest.raises(PhenoloomError, match="`no-such-client` is not on PATH"):
        ask("no-such-client")


def test_jobs_are_read_with_their_comments_and_those_of_other_programs_are_left_out(site: Site) -> None:
    ours, other = "7\\tphenoloom_1\\tRUNNING\\trule_index\\t/run\\tNone", "8\\tother\\tPENDING\\tx\\t/run\\tPriority"
    site.answer("squeue", f"{ours}\\n{other}\\n")
    (job,) = queued_jobs("phenoloom")
    assert (job.job_id, job.state, job.comment, job.folder) == ("7", "RUNNING", "rule_index", "/run")


def test_a_site_that_takes_the_jobs_is_asked_with_their_flags_and_nothing_is_submitted(site: Site) -> None:
    check([CONVERT])
    assert "sbatch --test-only --ntasks=1 --cpus-per-task=2 --mem=1000 --wrap=true" in site.asked


def test_a_controller_that_is_down_is_said(site: Site) -> None:
    site.answer("scontrol", "Slurmctld(primary) at head is DOWN\\n")
    with pytest.raises(PhenoloomError, match="controller does not answer"):
        check([CONVERT])


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("sbatch: error: invalid partition specified: x", "to one of this cluster's: cpu, gpu"),
        ("allocation failure: Invalid account or account/partition combination specified", r"yours: imaging\)"),
        ("allocation failure: Requested node configuration is not available", "no node has that"),
        ("allocation failure: Requested time limit is invalid (missing or exceeds some limit)", "lower `runtime`"),
        ("allocation failure: the moon is full", "change the rule's resources in your profile"),
    ],
)
def test_each_refusal_says_what_to_change(site: Site, words: str, advice: str) -> None:
    site.answer("sinfo", "cpu*\\ngpu\\n")
    site.answer("sacctmgr", "imaging\\n")
    site.answer("sbatch", wrong=words, code=1)
    with pytest.raises(PhenoloomError, match=advice) as refused:
        check([CONVERT])
    assert "the jobs of rule convert" in str(refused.value)
    assert refusal(CONVERT, words) == str(refused.value)


def test_an_account_of_nobody_is_answered_with_ones_own(site: Site) -> None:
    site.answer("sacctmgr", "imaging\\n")
    with pytest.raises(PhenoloomError, match=r"knows no account 'other'.*yours: imaging"):
        check([Request("convert", ("--account=other",))])
    check([Request("convert", ("--account=Imaging",))])


def test_sacct_without_accounting_is_refused_and_so_is_squeue_where_jobs_are_forgotten_too_early(site: Site) -> None:
    site.configure("accounting_storage/none", 300)
    with pytest.raises(PhenoloomError, match="set `slurm-status-command: squeue`"):
        check([CONVERT], "sacct")
    check([CONVERT], "squeue")
    site.configure("accounting_storage/none", 60)
    with pytest.raises(PhenoloomError, match="slurm-init-seconds-before-status-checks` in your profile to at most 20"):
        check([CONVERT], "squeue")


def test_jobs_of_an_earlier_run_that_would_write_the_same_files_are_named(site: Site) -> None:
    rows = [
        "7\\tphenoloom_1\\tRUNNING\\trule_convert_wildcards_demo_0000\\t/run\\tNone",
        "8\\tphenoloom_1\\tPENDING\\trule_split_2f\\t/run\\tNone",
    ]
    site.answer("squeue", "\\n".join(rows) + "\\n")
    with pytest.raises(PhenoloomError, match=r"scancel 7$"):
        check([CONVERT], comments=frozenset({"rule_convert_wildcards_demo_0000"}))
    with pytest.raises(PhenoloomError, match=r"scancel 8$"):
        check([CONVERT], comments=frozenset({"rule_split_"}))
    check([CONVERT], comments=frozenset({"rule_convert_wildcards_demo_0001"}))
    check([CONVERT], comments=frozenset({"rule_convert_wildcards_demo_0000"}), folder=Path("/elsewhere"))
