"""Benchmarks are scripts that only CI runs whole: here they are loaded, so that no name they use may vanish unseen."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "benchmarks").glob("bench_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_benchmark_finds_all_that_it_imports(script: Path) -> None:
    assert callable(runpy.run_path(str(script))["main"])
