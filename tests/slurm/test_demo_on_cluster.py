"""The demo study, whole, on the cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from ..workflow.conftest import Workspace, new_workspace
from .cluster import Cluster
from .conftest import ClusterWorkspace, contents

pytestmark = pytest.mark.slurm

STUDY = "demo"


def demo_workspace(folder: Path, repository: Path) -> Workspace:
    workspace = new_workspace(folder)
    workspace.write_study(yaml.safe_load((repository / "config" / "studies" / "demo.yaml").read_text()), STUDY)
    return workspace


@pytest.fixture(scope="module")
def quiet(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The demo as it runs on one machine: the finished one of `make demo`, brought up to date."""
    workspace = demo_workspace(tmp_path_factory.mktemp("quiet") / "work", repository)
    done = repository / "results" / STUDY
    shards = {path.stem for path in (done / "tiles").glob("*.json")}
    # Files of a shard that the study has no more would be results that the cluster does not make.
    if (done / "report" / "index.html").exists() and shards == {"0000"}:
        for name in ("results", ".snakemake"):
            shutil.copytree(repository / name, workspace.folder / name, copy_function=shutil.copy2, dirs_exist_ok=True)
    workspace.snakemake()
    return workspace


def test_the_demo_runs_on_the_cluster_to_the_results_of_a_quiet_run_and_has_nothing_left_to_do(
    cluster: Cluster, quiet: Workspace, repository: Path, tmp_path: Path
) -> None:
    workspace = ClusterWorkspace(demo_workspace(tmp_path / "work", repository).folder, cluster)
    workspace.run()
    assert (workspace.folder / "results" / STUDY / "report" / "index.html").stat().st_size > 10_000
    assert (workspace.folder / "results" / "index.html").exists()
    jobs = workspace.jobs()
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert len([job for job in jobs if job.comment.startswith("rule_prepare_")]) == 1
    # Trainings; tables and probes of image models; probes of the rest; preparation and report.
    assert len(jobs) == 8 + (8 + 2) + 7 + 2
    asked = workspace.cluster.client("sacct", "-X", "-n", "-P", "--format=Comment,ReqTRES").splitlines()
    on_gpus = {line.partition("_wildcards")[0].partition("|")[0] for line in asked if "gres/gpu=1" in line}
    assert on_gpus == {"rule_pretrain", "rule_embed"}
    assert contents(workspace, STUDY) == contents(quiet, STUDY)
    assert "Nothing to be done" in workspace.run()
