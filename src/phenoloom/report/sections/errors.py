"""Section on errors: F1 and confusion by class."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..numbers import amount, count, percent, plus_minus, score
from ..score_names import probe_name
from ..scoreboard import Scoreboard
from ..table import Column, PageTable, number, text
from .base import PageSection, ReportData, missing

MOST_CLASSES_IN_MATRIX = 16
MOST_CONFUSIONS = 20


@dataclass(frozen=True)
class Confusion:
    """Confusion of one representation with one probe.

    Attributes:
        title: the representation and the probe.
        classes: names of the classes.
        rows: class, support, and count and share for each predicted class; empty if there are too many classes.
        worst: the most frequent errors, if there are too many classes for a matrix.
    """

    title: str
    classes: list[str]
    rows: list[tuple[str, int, list[tuple[int, float]]]]
    worst: PageTable | None


def section(data: ReportData) -> PageSection | None:
    """Return the section on errors by class, or None if the study cannot be scored."""
    board = data.scoreboard
    if "unscored" in data.results.fold_facts:
        return None
    content = {"per_class": per_class(board) if board else None, "confusions": confusions(board) if board else []}
    reasons = {
        "per_class": "No scores by class.",
        "confusions": "No confusion matrices: they need scores, and units with one label each.",
    }
    return PageSection("errors", "Errors by class", content, missing(content, reasons))


def per_class(board: Scoreboard) -> PageTable | None:
    """Return F1 with the main probe by class and representation, with the support of each class."""
    names = board.ranked()
    tables = {name: board.per_class(name) for name in names}
    support = pd.concat([t["support"] for t in tables.values()], axis=1).max(axis=1) if tables else pd.Series(dtype=int)
    if support.empty:
        return None
    rows = []
    for label in sorted(support.index, key=lambda c: (-support[c], c)):
        cells = [text(label), number(count(support[label]), float(support[label]))]
        for name in names:
            here = tables[name].loc[label] if label in tables[name].index else None
            value, sd = (float(here["mean"]), float(here["sd"])) if here is not None else (None, None)
            cells.append(number(score(value), value, shade=value, title=f"{name}, {label}: {plus_minus(value, sd)}"))
        rows.append(cells)
    columns = [Column("class"), Column("support", True, "test units over all folds"), *(Column(n, True) for n in names)]
    probe = probe_name(board.main_probe)
    seeds = " and over seeds" if any(map(board.families.seeds, names)) else ""
    return PageTable(f"F1 by class, mean over the folds that test the class{seeds} ({probe})", columns, rows)


def confusions(board: Scoreboard) -> list[Confusion]:
    """Return the confusion of each representation with its best probe, the best first; seeds are added up."""
    found = []
    for name in board.ranked():
        probe = board.best_probe(name)
        table = board.confusion(name, probe)
        if table is not None:
            seeds = board.families.seeds(name)
            title = f"{name}, {probe_name(probe)}{f', counts of {seeds} together' if seeds else ''}"
            found.append(_confusion(title, table))
    return found


def _confusion(title: str, table: pd.DataFrame) -> Confusion:
    classes = [str(c) for c in table.index]
    support = table.sum(axis=1)
    shares = table.div(support.where(support > 0, 1), axis=0)
    if len(classes) > MOST_CLASSES_IN_MATRIX:
        return Confusion(title, classes, [], _worst(title, table, shares))
    rows = [
        (label, int(support.iloc[i]), [(int(n), float(s)) for n, s in zip(table.iloc[i], shares.iloc[i], strict=True)])
        for i, label in enumerate(classes)
    ]
    return Confusion(title, classes, rows, None)


def _worst(title: str, table: pd.DataFrame, shares: pd.DataFrame) -> PageTable:
    wrong = [
        (true, predicted, int(table.loc[true, predicted]), float(shares.loc[true, predicted]))
        for true in table.index
        for predicted in table.columns
        if true != predicted and table.loc[true, predicted]
    ]
    wrong.sort(key=lambda row: (-row[2], str(row[0]), str(row[1])))
    rows = [
        [text(true), text(predicted), number(count(n), n), number(percent(s), s, shade=s)]
        for true, predicted, n, s in wrong[:MOST_CONFUSIONS]
    ]
    columns = [Column("true class"), Column("predicted"), Column("units", True), Column("share of class", True)]
    note = f"The {len(rows)} most frequent of {amount(len(wrong), 'kind')} of error among {len(table)} classes."
    return PageTable(title, columns, rows, note)
