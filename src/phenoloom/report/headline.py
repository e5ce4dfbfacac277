"""The main results of a study as JSON beside its page, which the page of all studies shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..config.rule_settings import ReportSettings
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from .results import Results
from .scoreboard import DUMMY, MAIN_METRIC, Scoreboard


def write_headline(path: Path, settings: ReportSettings, results: Results, scoreboard: Scoreboard | None) -> None:
    """Write the counts of a study, and the scores of its best representation, its best descriptors and the dummy."""
    facts: dict[str, Any] = {
        "title": settings.title,
        "licence": settings.licence,
        "images": results.image_count,
        "objects": None if results.index is None else len(results.index),
        "classes": len(results.fold_facts.get("classes", {})) or None,
        "best": None,
        "descriptors": None,
        "dummy": None,
    }
    if scoreboard is not None and (ranked := scoreboard.ranked("descriptors", "learned", "transductive")):
        descriptors = scoreboard.ranked("descriptors")
        facts |= {
            "metric": MAIN_METRIC,
            "probe": scoreboard.main_probe,
            "best": _scored(scoreboard, ranked[0]),
            "descriptors": _scored(scoreboard, descriptors[0]) if descriptors else None,
            "dummy": _scored(scoreboard, ranked[0], DUMMY),
        }
    text = json.dumps(facts, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_headline(path: Path) -> dict[str, Any] | None:
    """Read what `write_headline` wrote; None if the study has no report.

    Raises:
        PhenoloomError: if the file is damaged.
    """
    if not path.exists():
        return None
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise PhenoloomError(
            f"{path} cannot be read ({error}); delete the report beside it and rerun `report`"
        ) from None
    return facts


def _scored(scoreboard: Scoreboard, name: str, probe: str | None = None) -> dict[str, Any] | None:
    mean = scoreboard.mean(name, probe)
    if mean is None:
        return None
    sd = mean.sd if mean.sd == mean.sd else None
    facts = {"name": name, "kind": scoreboard.kind(name), "value": mean.value, "sd": sd, "folds": mean.folds}
    return facts | ({"seeds": mean.seeds, "sd_seeds": mean.sd_seeds} if mean.seeds > 1 else {})
