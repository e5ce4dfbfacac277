"""A real SLURM cluster on this host, and folders in which snakemake runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.cluster_workspace import ClusterWorkspace
from tests.helpers.slurm_cluster import Cluster, missing_programs
from tests.helpers.workspace import Workspace, new_workspace


@pytest.fixture(scope="session")
def started_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for the whole suite."""
    missing = missing_programs(accounting=True)
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine; `make test-slurm` installs SLURM")
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def cluster(started_cluster: Cluster) -> Cluster:
    """The cluster, whole again after what the test before did to it."""
    started_cluster.revive()
    return started_cluster


@pytest.fixture
def on_cluster(cluster: Cluster, tmp_path: Path) -> ClusterWorkspace:
    """An empty workspace with the tiny study."""
    return ClusterWorkspace(new_workspace(tmp_path / "work").folder, cluster)


@pytest.fixture
def partly(cluster: Cluster, finished: Workspace, tmp_path: Path) -> ClusterWorkspace:
    """The finished tiny study in a copy of its own, for tests that delete a part of it and run that on the cluster."""
    return ClusterWorkspace(finished.clone(tmp_path / "work").folder, cluster)
