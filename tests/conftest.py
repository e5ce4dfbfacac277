"""Fixtures shared by all suites."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.workspace import Workspace, demo_workspace, new_workspace

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets, which are not part of the project; tests that need it skip without it."""
    root = Path(os.environ.get("PHENOLOOM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set PHENOLOOM_DATA to its folder")
    return root


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny study, run to its report."""
    workspace = new_workspace(tmp_path_factory.mktemp("workflow") / "work")
    workspace.snakemake()
    return workspace


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The demo, run to its report: where `make demo` has run, a copy of its results, brought up to date."""
    workspace = demo_workspace(tmp_path_factory.mktemp("demo") / "work")
    done = REPOSITORY / "results" / "demo"
    # Files of shards that the study has no more would be results that no run makes.
    if (done / "report" / "index.html").exists() and {path.stem for path in done.glob("tiles/*.json")} == {"0000"}:
        for name in ("results/demo", "results/benchmarks/demo", "results/logs/demo", ".snakemake"):
            shutil.copytree(REPOSITORY / name, workspace.folder / name, copy_function=shutil.copy2)
    workspace.snakemake()
    return workspace
