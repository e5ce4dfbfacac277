"""Plans over many studies: as many jobs as the formula says, and one broken study stops them with its sentence."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from phenoloom.config import load_study
from phenoloom.plan import jobs_by_rule

from .conftest import TINY, Workspace, new_workspace

SHARDS = {"a": 1, "b": 2, "c": 7, "d": 3}


def many(folder: Path) -> Workspace:
    """Four studies that differ in shards, views and representations."""
    workspace = new_workspace(folder)
    shapes_only = {k: v for k, v in TINY.items() if k not in {"tiles", "models"}}
    shapes_only["source"] = {"files": "{image}.png", "masks": {"files": "{image}.png", "objects": "one"}}
    shapes_only["representations"] = {"regionprops": {"descriptors": "regionprops"}}
    transductive = {**TINY["representations"], "all": {"model": "shape-ae", "transductive": True}}
    variants = {"b": {**TINY, "representations": transductive}, "c": shapes_only}
    for name, shards in SHARDS.items():
        workspace.write_study({**variants.get(name, TINY), "shards": shards}, name)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump({"studies": list(SHARDS), "data_root": "."}))
    return workspace


def test_a_plan_of_many_studies_has_as_many_jobs_as_the_formula(tmp_path: Path) -> None:
    workspace = many(tmp_path / "work")
    done = workspace.snakemake("--dry-run")
    found = {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)}
    expected: dict[str, int] = {"all": 1, "overview": 1}
    for name in SHARDS:
        for rule, jobs in jobs_by_rule(load_study(name, workspace.folder / "config")).items():
            expected[rule] = expected.get(rule, 0) + jobs
    assert expected["convert"] == SHARDS["a"] + SHARDS["b"] + SHARDS["d"]
    assert expected["pretrain"] == 4 + 5 + 4
    assert found == expected | {"total": sum(expected.values())}


def test_a_broken_study_stops_the_plan_and_its_submitted_jobs_with_a_sentence(tmp_path: Path) -> None:
    workspace = many(tmp_path / "work")
    path = workspace.folder / "config" / "studies" / "b.yaml"
    path.write_text(path.read_text() + "tiels: {}\n")
    submitted = ("--mode", "remote", "--force", "--allowed-rules", "simulate", "--target-jobs", "simulate:study=b")
    for arguments in ((), submitted):
        done = workspace.snakemake("--dry-run", *arguments, check=False)
        assert done.returncode != 0
        assert "did you mean 'tiles'?" in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr


def asked(workspace: Workspace, rule: str, *arguments: str) -> dict[str, str]:
    """Resources of the first job of a rule in a plan."""
    plan = workspace._dry_run("--forceall", *arguments)
    block = plan.split(f"\nrule {rule}:", 1)[1]
    line = next(line for line in block.splitlines() if line.strip().startswith("resources:"))
    return dict(pair.split("=", 1) for pair in line.split("resources:")[1].strip().split(", "))


def test_jobs_with_a_gpu_have_their_own_partition_and_kind_and_others_have_not(finished: Workspace) -> None:
    site = ("--default-resources", "slurm_partition=compute", "gpu_partition=fast", "gpu_kind=a100", "mem_mb=500")
    for rule in ("pretrain", "embed"):
        resources = asked(finished, rule, *site)
        assert (resources["slurm_partition"], resources["gpu"], resources["gpu_model"]) == ("fast", "1", "a100")
    resources = asked(finished, "convert", *site)
    assert resources["slurm_partition"] == "compute"
    assert not {"gpu", "gpu_model"} & resources.keys()


def test_without_a_partition_for_gpus_all_jobs_have_the_same(finished: Workspace) -> None:
    for rule in ("pretrain", "convert"):
        assert asked(finished, rule, "--default-resources", "slurm_partition=compute")["slurm_partition"] == "compute"
        assert "slurm_partition" not in asked(finished, rule)
