"""The demo study, whole, on the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workflow.conftest import Workspace, demo_workspace
from .cluster import Cluster
from .conftest import ClusterWorkspace, contents

pytestmark = pytest.mark.slurm

STUDY = "demo"


def test_the_demo_runs_on_the_cluster_to_the_results_of_a_quiet_run_and_has_nothing_left_to_do(
    cluster: Cluster, finished_demo: Workspace, tmp_path: Path
) -> None:
    workspace = ClusterWorkspace(demo_workspace(tmp_path / "work").folder, cluster)
    workspace.run()
    assert (workspace.folder / "results" / STUDY / "report" / "index.html").stat().st_size > 10_000
    assert (workspace.folder / "results" / "index.html").exists()
    jobs = workspace.jobs()
    assert {job.state for job in jobs} == {"COMPLETED"}
    on_gpus = workspace.cluster.client("sacct", "-X", "-n", "-P", "--format=Comment,ReqTRES").splitlines()
    assert any(line.startswith("rule_pretrain") and "gres/gpu=1" in line for line in on_gpus)
    assert not any(line.startswith("rule_convert") and "gpu" in line.partition("|")[2] for line in on_gpus)
    assert contents(workspace, STUDY) == contents(finished_demo, STUDY)
    assert "Nothing to be done" in workspace.run()
