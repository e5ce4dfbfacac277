"""Small tables, studies and rates with closed-form forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phenoloom.cluster.forecast.rates import DEFAULTS, Rate
from phenoloom.cluster.forecast.sizes import StudySize
from phenoloom.config.study import Study

CONFIG = Path(__file__).parents[2] / "config"


HEADER = "study\tplates\timages\tbytes"


SIZE = StudySize("s", plates=4, images=100, bytes=8_000_000, samples=2_000_000, channels=2, shards=3)


def table(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "studies.tsv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def outline_study(representations: dict[str, dict[str, Any]]) -> Study:
    """Contours of mask files, in four folds."""
    source = {"files": "{image}.tif", "masks": {"files": "{image}.png"}}
    values = {"title": "t", "licence": "l", "source": source, "shapes": {"points": 32}, "folds": {"count": 4}}
    return Study.model_validate({**values, "representations": representations})


def grid_study(**changes: object) -> Study:
    """Grid tiles of 100 px with one set of descriptors of pixels; no network."""
    values = {"title": "t", "licence": "l", "tiles": {"size": 100}, "folds": {"count": 4}}
    source = {"files": "{image}.tif", "channels": ["a", "b"]}
    entries = {"intensity": {"descriptors": "intensity"}}
    return Study.model_validate({**values, "source": source, "representations": entries, **changes})


def rates(each: float = 0.0, factor: float = 2.0) -> dict[str, Rate]:
    return {step: Rate("u", 1.0, each, factor, "test") for step in DEFAULTS}
