"""Plans over many studies: as many jobs as the formula says, which of them share one of the cluster, what they ask for;
one broken study stops them with its sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from tests.helpers.jobs import count_jobs
from tests.helpers.workspace import TINY, Workspace, new_workspace

from phenoloom.config import load_study

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
    config = workspace.folder / "config"
    for name in SHARDS:
        for rule, jobs in count_jobs(name, load_study(name, config), config).items():
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
    plan = workspace.dry_run("--forceall", *arguments)
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


PREPARATION = {"simulate", "sheet", "convert", "contours", "distances", "describe", "index", "folds"}


@dataclass
class ClusterJob:
    """A group, or a job alone: what becomes one job of a cluster, with its members' resources by rule and wildcards."""

    group: str | None
    members: dict[tuple[str, ...], dict[str, str]]

    @property
    def rules(self) -> set[str]:
        """Rules of its members."""
        return {rule for rule, *_ in self.members}

    def asked(self, name: str) -> list[int]:
        """What each member asks for of a resource."""
        return [int(resources.get(name, 0)) for resources in self.members.values()]


def cluster_jobs(workspace: Workspace, study: str) -> list[ClusterJob]:
    """Jobs of a study as Snakemake itself puts them together, from its plan."""
    jobs: list[ClusterJob] = []
    grouped = None
    for line in workspace.dry_run("--forceall", "--config", f"studies=[{study}]").splitlines():
        if group := re.search(r"Group job (\w+) ", line):
            grouped = ClusterJob(group[1], {})
            jobs.append(grouped)
        elif found := re.match(r"( *)rule (\w+):", line):
            rule, job = found[2], grouped if found[1] else ClusterJob(None, {})
            jobs += [] if found[1] else [job]
        elif found := re.match(r" +wildcards: (.*)", line):
            key = (rule, *(value for name, value in re.findall(r"(\w+)=([^,]*)", found[1]) if name != "study"))
            job.members[key] = {}
        elif (found := re.match(r" +resources: (.*)", line)) and job.members:
            job.members[key] = dict(pair.split("=", 1) for pair in found[1].split(", "))
    return jobs


def test_a_study_of_one_shard_is_prepared_in_one_job_of_some_hours_and_one_of_more_shard_by_shard(
    tmp_path: Path,
) -> None:
    workspace = many(tmp_path / "work")
    (whole,) = (job for job in cluster_jobs(workspace, "a") if job.rules & PREPARATION)
    assert (whole.group, whole.rules) == ("prepare", PREPARATION)
    minutes = {rule: int(resources["runtime"]) for (rule, *_), resources in whole.members.items()}
    # Snakemake adds the times of what waits for each other.
    waiting = (("simulate",), ("sheet",), ("convert",), ("contours", "index"), ("distances", "describe", "folds"))
    assert sum(max(minutes[rule] for rule in rules) for rules in waiting) <= 6 * 60
    parts = [job for job in cluster_jobs(workspace, "b") if job.rules & PREPARATION]
    assert sorted((job.group or "", sorted(job.rules)) for job in parts) == [
        ("", ["convert"]),
        ("", ["convert"]),
        ("outlines", ["contours", "describe", "distances"]),
        ("outlines", ["contours", "describe", "distances"]),
        ("prepare", ["sheet", "simulate"]),
        ("split", ["folds", "index"]),
    ]


def with_folds(workspace: Workspace, count: int, shards: int = 1) -> list[ClusterJob]:
    """Jobs that embed, in a study that has a model of matrices too."""
    representations = {**TINY["representations"], "matrix": {"model": "shape-embed"}}
    folds = {**TINY["folds"], "count": count}
    workspace.write_study({**TINY, "shards": shards, "folds": folds, "representations": representations}, "many")
    return [job for job in cluster_jobs(workspace, "many") if "embed" in job.rules]


def test_all_folds_of_a_model_along_contours_share_a_job_with_their_probes_and_ask_for_no_gpu(tmp_path: Path) -> None:
    jobs = with_folds(new_workspace(tmp_path / "work"), 4)
    members = {frozenset(job.members): job for job in jobs}
    folds = [f"fold-{fold}" for fold in range(4)]
    for name, group in (("shape-ae", "probe"), ("shape-and-props", "concatenate")):
        job = members[frozenset({("classify", name), *(("embed", name, fold) for fold in folds)})]
        assert job.group == group
        assert sum(job.asked("gpu")) == 0
        assert sum(job.asked("mem_mb")) <= 8000
        assert sum(job.asked("runtime")) <= 24 * 60
    for name in ("vqvae", "vqvae-untrained", "matrix"):
        for fold in folds:
            assert members[frozenset({("embed", name, fold)})].asked("gpu") == [1]
    assert members[frozenset({("classify", "regionprops"), ("embed", "regionprops", "all")})].group == "probe"


def test_what_a_job_asks_for_is_bounded_however_many_folds_and_shards_there_are(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "work")
    most = [max(len(job.members) for job in with_folds(workspace, count)) for count in (10, 11)]
    assert most == [11, 2]
    (descriptors,) = (job for job in with_folds(workspace, 2, 101) if ("embed", "regionprops", "all") in job.members)
    assert descriptors.group is None
    assert not any("index" in job.rules and job.group for job in cluster_jobs(workspace, "many"))
