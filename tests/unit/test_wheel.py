from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[Path, str]:
    """phenoloom built as a wheel from a commit and unpacked like an installation, and the commit."""
    source = tmp_path_factory.mktemp("wheel") / "source"
    source.mkdir()
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    shutil.copytree(repository / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    git(source, "init", "--quiet")
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message", "all of it")
    wheels = source.parent / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(wheels), str(source)], check=True)
    assert git(source, "status", "--porcelain") == ""
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(source.parent / "site")
    return source.parent / "site", git(source, "rev-parse", "HEAD")


@pytest.mark.parametrize("git", [True, False], ids=["with git", "without git"])
def test_an_installed_wheel_names_the_commit_that_it_was_built_from(
    git: bool, site: tuple[Path, str], tmp_path: Path
) -> None:
    folder, commit = site
    code = "from phenoloom.artifacts.provenance import code_commit; print(code_commit())"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(folder), "PATH": os.environ["PATH"] if git else str(tmp_path)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == commit


def test_a_wheel_is_built_where_there_is_no_git(site: tuple[Path, str], tmp_path: Path) -> None:
    """As in a container, which is built without the history, but with the commit in a variable."""
    source, empty = site[0].parent / "source", tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    environment = {**os.environ, "PATH": str(empty), "PHENOLOOM_COMMIT": "f00"}
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True, env=environment)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert wheel.read("phenoloom/commit.txt") == b"f00\n"


def test_a_wheel_has_the_files_that_are_no_code(site: tuple[Path, str]) -> None:
    folder, _ = site
    assert (folder / "phenoloom" / "report" / "templates" / "page.css").exists()
