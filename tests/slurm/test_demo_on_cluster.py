"""The demo study, whole, on the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.cluster_workspace import ClusterWorkspace, contents
from tests.helpers.slurm_cluster import Cluster
from tests.helpers.workspace import Workspace, demo_workspace

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
    assert len([job for job in jobs if job.comment.startswith("rule_prepare_")]) == 1
    # Trainings, embeddings and probes of the image model and its untrained twin, probes, preparation and evaluation.
    assert len(jobs) == 8 + 8 + 2 + 6 + 2 + 2
    asked = workspace.cluster.client("sacct", "-X", "-n", "-P", "--format=Comment,ReqTRES").splitlines()
    on_gpus = {line.partition("_wildcards")[0].partition("|")[0] for line in asked if "gres/gpu=1" in line}
    assert on_gpus == {"rule_pretrain", "rule_embed"}
    assert contents(workspace, STUDY) == contents(finished_demo, STUDY)
    assert "Nothing to be done" in workspace.run()
