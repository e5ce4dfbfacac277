"""The main results of a study as JSON beside its page, which the page of all studies shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..config.rule_settings import ReportSettings
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from .audit import layout_finding
from .results import Results
from .score_names import DUMMY, MAIN_METRIC, Kind
from .scoreboard import Scoreboard


def write_headline(path: Path, settings: ReportSettings, results: Results, scoreboard: Scoreboard | None) -> None:
    """Write the counts of a study, and what leads its scores, beside the best of each kind and the controls."""
    facts: dict[str, Any] = {
        "title": settings.title,
        "licence": settings.licence,
        "images": results.image_count,
        "objects": None if results.index is None else len(results.index),
        "classes": len(results.fold_facts.get("classes", {})) or None,
        "unscored": results.fold_facts.get("unscored"),
        "best": None,
        "descriptors": None,
        "learned": None,
        "untrained": None,
        "dummy": None,
        "audit": None,
    }
    if scoreboard is not None and (ranked := scoreboard.ranked()):
        kinds: dict[str, tuple[Kind, ...]] = {
            "descriptors": ("descriptors",),
            "learned": ("learned", "transductive"),
            "untrained": ("untrained",),
        }
        facts |= {
            "metric": MAIN_METRIC,
            "probe": scoreboard.main_probe,
            "best": _scored(scoreboard, ranked[0]),
            **{name: _behind(scoreboard, scoreboard.ranked(*of)) for name, of in kinds.items()},
            "dummy": _scored(scoreboard, ranked[0], DUMMY),
            "audit": _audit(scoreboard, results),
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


def _behind(scoreboard: Scoreboard, names: list[str]) -> dict[str, Any] | None:
    """Return the first of some names with its difference to what leads, and whether that is within the spread."""
    found = _scored(scoreboard, names[0]) if names else None
    if found is None or not (difference := scoreboard.difference(names[0], scoreboard.ranked()[0])):
        return found
    sd = difference.sd if difference.sd == difference.sd else None
    return found | {"to_best": difference.value, "to_best_sd": sd, "within_spread": bool(difference.within)}


def _audit(scoreboard: Scoreboard, results: Results) -> dict[str, Any] | None:
    """Return the best score without images, and whether it reaches that of the best representation."""
    finding = layout_finding(scoreboard, results.fold_facts.get("classes", {}))
    if finding is None:
        return None
    found, mean = finding.audited, finding.audited.mean
    sd = mean.sd if mean.sd == mean.sd else None
    return {
        "name": found.name,
        "probe": found.probe,
        "metric": finding.metric,
        "value": mean.value,
        "sd": sd,
        "reaches_best": finding.reaches,
    }


def _scored(scoreboard: Scoreboard, name: str, probe: str | None = None) -> dict[str, Any] | None:
    mean = scoreboard.mean(name, probe)
    if mean is None:
        return None
    sd = mean.sd if mean.sd == mean.sd else None
    facts = {"name": name, "kind": scoreboard.kind(name), "value": mean.value, "sd": sd, "folds": mean.folds}
    return facts | ({"seeds": mean.seeds, "sd_seeds": mean.sd_seeds} if mean.seeds > 1 else {})
