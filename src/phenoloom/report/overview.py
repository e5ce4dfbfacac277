"""The page of all studies: one row for each study, linked to its report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..artifacts.layout import ResultsFolder
from .headline import read_headline
from .numbers import MISSING, amount, count, plus_minus, score
from .render import render
from .score_names import KIND_NAMES
from .seeds import over_seeds
from .table import Cell, Column, PageTable, number, text


def make_overview(studies: Mapping[str, str], results: Path, output: Path) -> None:
    """Write the page of all studies; a study without a report is listed as such.

    Args:
        studies: title of each study, by name.
        results: folder of the results of all studies.
        output: path of the page.
    """
    folder = ResultsFolder(results)
    rows = []
    for name, title in studies.items():
        study = folder.study(name)
        address = quote(study.report.relative_to(folder.path).as_posix())
        rows.append(_row(title, address, read_headline(study.headline)))
    columns = [
        Column("study"),
        Column("licence"),
        Column("images", True),
        Column("objects", True, "tiles or objects with a vector"),
        Column("classes", True),
        Column("best representation"),
        Column("macro-F1", True, "mean ± sd over test folds"),
        Column("best learned", True, "macro-F1 of the best trained encoder, mean ± sd over test folds"),
        Column("best descriptors", True, "macro-F1 of the best classical descriptors, mean ± sd over test folds"),
        Column("dummy", True, "macro-F1 of always answering the commonest class"),
    ]
    table = PageTable("Studies and their best representation, macro-F1 as mean ± sd over test folds", columns, rows)
    render("overview.html.j2", output, table=table, number=len(rows))


def _row(title: str, address: str, headline: dict[str, Any] | None) -> list[Cell]:
    facts = headline or {}
    best, learned, descriptors, dummy = (facts.get(key) or {} for key in ("best", "learned", "descriptors", "dummy"))
    return [
        Cell(title, link=address if headline else ""),
        text(facts.get("licence", "no report yet")),
        number(count(facts.get("images")), facts.get("images")),
        number(count(facts.get("objects")), facts.get("objects")),
        number(count(facts.get("classes")), facts.get("classes")),
        Cell(best.get("name", "no scores" if facts.get("unscored") else MISSING), strong=bool(best), note=_note(facts)),
        number(
            plus_minus(best.get("value"), best.get("sd")),
            best.get("value"),
            strong=bool(best),
            note=over_seeds(best.get("sd_seeds", math.nan)),
        ),
        _rival(learned),
        _rival(descriptors),
        number(score(dummy.get("value")), dummy.get("value")),
    ]


def _rival(entry: dict[str, Any]) -> Cell:
    within = "within the spread of the best" if entry.get("within_spread") and entry.get("to_best") else ""
    note = ", ".join(filter(None, (entry.get("name", ""), within)))
    return number(plus_minus(entry.get("value"), entry.get("sd")), entry.get("value"), note=note)


def _note(facts: dict[str, Any]) -> str:
    """Return the kind of the best representation, its seeds, and what tells the label as well without images."""
    best, audit = facts.get("best"), facts.get("audit") or {}
    if not best:
        # The page of the study says what to do about it.
        return str(facts.get("unscored") or "").partition(";")[0]
    seeds = amount(best["seeds"], "seed") if "seeds" in best else ""
    layout = f"but {audit['name']} {score(audit['value'])}" if audit.get("reaches_best") else ""
    return ", ".join(filter(None, (KIND_NAMES[best["kind"]], seeds, layout)))
