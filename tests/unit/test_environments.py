"""The pinned environments agree with each other and with what is installed."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def lock(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", repository / "envs" / "lock.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def versions(repository: Path) -> dict[str, str]:
    lines = (repository / "envs" / "requirements.lock").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_the_conda_environments_hold_the_versions_of_the_lock(
    repository: Path, lock: ModuleType, versions: dict[str, str]
) -> None:
    for device in ("cpu", "gpu"):
        text = (repository / "envs" / f"{device}.yaml").read_text()
        assert text == lock.conda_text(versions, device), "run `make lock`"
        pins = dict(re.findall(r"^ +- ([a-z0-9-]+)==(\S+)$", text, re.MULTILINE))
        assert len(pins) > 20
        assert pins == {name: versions[name] for name in pins}


def test_the_lock_holds_every_dependency_and_no_hash(
    repository: Path, lock: ModuleType, versions: dict[str, str]
) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        assert lock.canonical(re.split("[<>=]", requirement)[0]) in versions
    assert "--hash" not in (repository / "envs" / "requirements.lock").read_text()


def test_what_is_tested_is_what_is_locked(lock: ModuleType, versions: dict[str, str]) -> None:
    installed = lock.installed()
    assert {name: installed.get(name) for name in versions} == versions
