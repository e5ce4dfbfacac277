"""The link that `make install` makes, so that Snakemake finds the cluster's profile by its name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.helpers.workspace import Workspace, new_workspace


def make(folder: Path, *arguments: str) -> str:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Workspace:
    """A workspace with the project's profiles and Makefile."""
    workspace = new_workspace(tmp_path / "work")
    shutil.copytree(repository / "profiles", workspace.folder / "profiles")
    shutil.copy(repository / "Makefile", workspace.folder)
    return workspace


def test_make_install_links_the_profile_of_the_cluster(repository: Path) -> None:
    assert "ln -s profiles/slurm slurm" in make(repository, "--dry-run", "install")


def test_snakemake_finds_the_linked_profile_by_its_name(checkout: Workspace) -> None:
    unlinked = checkout.snakemake("--profile", "slurm", "--dry-run", check=False)
    assert unlinked.returncode
    make(checkout.folder, "link")
    checkout.snakemake("--profile", "slurm", "--dry-run", "--quiet", "rules")
    assert (checkout.folder / "slurm").readlink() == Path("profiles/slurm")


def test_a_profile_of_ones_own_stays_and_a_link_is_made_once(checkout: Workspace) -> None:
    own = checkout.folder / "slurm"
    own.mkdir()
    make(checkout.folder, "link")
    assert not own.is_symlink()
    own.rmdir()
    make(checkout.folder, "link")
    make(checkout.folder, "link")
    assert own.is_symlink()
