"""The page on the architecture names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = "docs/architecture.md"


@pytest.fixture(scope="module")
def packages(repository: Path) -> set[str]:
    return {path.parent.name for path in (repository / "src" / "phenoloom").glob("*/__init__.py")}


def test_the_page_has_a_row_for_every_package(repository: Path, packages: set[str]) -> None:
    section = (repository / PAGE).read_text(encoding="utf-8").partition("## The packages")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == packages


def test_every_module_that_the_page_names_exists(repository: Path) -> None:
    text = (repository / PAGE).read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", text)
    assert len(named) > 10
    roots = (repository, repository / "src" / "phenoloom")
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


def test_the_picture_shows_every_package(repository: Path, packages: set[str]) -> None:
    picture = (repository / "docs" / "packages.svg").read_text(encoding="utf-8")
    assert set(re.findall(r'class="node">\n<title>(\w+)</title>', picture)) == packages


def test_the_arrows_of_the_picture_reach_exactly_what_the_plan_allows(repository: Path) -> None:
    picture = (repository / "docs" / "packages.svg").read_text(encoding="utf-8")
    arrows = re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", picture)
    assert reached(arrows) == reached(re.findall(r"(\w+) -> (\w+);", packages_graph(repository)))


def packages_graph(repository: Path) -> str:
    command = [sys.executable, repository / "docs" / "packages.py"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def reached(arrows: list[tuple[str, str]]) -> dict[str, set[str]]:
    """Every package with those that it reaches along arrows."""
    found = {name: {target for source, target in arrows if source == name} for name, _ in arrows}
    for _ in found:
        for targets in found.values():
            targets |= set().union(*(found.get(target, set()) for target in targets))
    return found
