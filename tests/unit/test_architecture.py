"""The page on the architecture names what there is."""

from __future__ import annotations

import re
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
