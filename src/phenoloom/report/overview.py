"""The page over all studies: a row a study, each linked to its report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..config.rule_settings import OverviewSettings
from ..core.errors import PhenoloomError
from .numbers import MISSING, amount, count, plus_minus, score
from .render import render
from .report import HEADLINE
from .seeds import over_seeds
from .table import Cell, Column, Table, number, text


def make_overview(settings: OverviewSettings, results: Path, output: Path) -> None:
    """Write the index over `results/<study>/report`; a study without a report is listed as such."""
    rows = [
        _row(name, title, _headline(results / name / "report" / HEADLINE)) for name, title in settings.studies.items()
    ]
    columns = [
        Column("study"),
        Column("licence"),
        Column("images", True),
        Column("objects", True, "tiles or objects with a vector"),
        Column("classes", True),
        Column("best representation"),
        Column("macro-F1", True, "mean ± sd over test folds"),
        Column("best descriptors", True, "macro-F1 of the best classical descriptors, mean ± sd over test folds"),
        Column("dummy", True, "macro-F1 of always answering the commonest class"),
    ]
    table = Table("Studies and their best representation, macro-F1 as mean ± sd over test folds", columns, rows)
    render("overview.html.j2", output, table=table, number=len(rows))


def _row(name: str, title: str, headline: dict[str, Any] | None) -> list[Cell]:
    facts = headline or {}
    link = f"{quote(name)}/report/index.html" if headline else ""
    best, described, dummy = (facts.get(key) or {} for key in ("best", "descriptors", "dummy"))
    return [
        Cell(title, link=link),
        text(facts.get("licence", "no report yet")),
        number(count(facts.get("images")), facts.get("images")),
        number(count(facts.get("objects")), facts.get("objects")),
        number(count(facts.get("classes")), facts.get("classes")),
        Cell(best.get("name", MISSING), strong=bool(best), note=_seeds(best)),
        number(
            plus_minus(best.get("value"), best.get("sd")),
            best.get("value"),
            strong=bool(best),
            note=over_seeds(best.get("sd_seeds", math.nan)),
        ),
        _described(described),
        number(score(dummy.get("value")), dummy.get("value")),
    ]


def _described(entry: dict[str, Any]) -> Cell:
    return number(plus_minus(entry.get("value"), entry.get("sd")), entry.get("value"), note=entry.get("name", ""))


def _seeds(entry: dict[str, Any]) -> str:
    return amount(entry["seeds"], "seed") if "seeds" in entry else ""


def _headline(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise PhenoloomError(
            f"{path} cannot be read ({error}); delete the report beside it and rerun `report`"
        ) from None
    return facts
