"""Tables of scores: every representation by probe, paired differences, per-class F1, confusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from ..numbers import MISSING, amount, count, percent, plus_minus, score, signed
from ..scoreboard import (
    DUMMY,
    KIND_NAMES,
    MAIN_METRIC,
    METRIC_NAMES,
    PROBE_HEADS,
    SHUFFLED,
    Mean,
    Scoreboard,
    probe_name,
)
from ..seeds import over_seeds
from ..table import Cell, Column, Table, number, text

MOST_CLASSES_IN_MATRIX = 16
MOST_CONFUSIONS = 20

Pair = tuple[str, str, str]
"""A representation, what it is compared with, and what that is to it."""


@dataclass(frozen=True)
class Confusion:
    """Counts of one representation and probe: `rows` of (class, support, cells of (count, share of the row))."""

    title: str
    classes: list[str]
    rows: list[tuple[str, int, list[tuple[int, float]]]]
    worst: Table | None


def sample_size(board: Scoreboard, unit: str) -> str:
    """What n is: `n = 320 objects of 32 groups, 5 test folds`."""
    units, groups = board.count("units_test"), board.count("groups_test")
    folds = len(units) or board.scores["fold"].nunique()
    size = f"n = {amount(sum(units.values()), unit)}" if units else ""
    grouped = f" in {amount(sum(groups.values()), 'group')}" if groups else ""
    return f"{size}{grouped}{', ' if size else ''}{amount(folds, 'test fold')}"


def by_probe(
    board: Scoreboard, metric: str, over: str = "test folds", beside: Callable[[str, str], str] | None = None
) -> Table:
    """One metric: a row a representation or family, a column a probe, mean ± sd over folds and below it ± sd over
    seeds; the best of a column is bold.

    `beside` gives another note under the score of a representation and probe.
    """
    probes = [p for p in board.probes if any(board.mean(name, p, metric) for name in board.names)]
    best = {probe: _best(board, probe, metric) for probe in probes}
    rows = []
    for name in board.ranked() + [n for n in board.names if n not in board.ranked()]:
        what = Cell(name, note=board.draws.note(name, KIND_NAMES[board.kind(name)]))
        cells = []
        for probe in probes:
            note = beside(name, probe) if beside else ""
            cells.append(_mean_cell(board.mean(name, probe, metric), note, strong=name == best[probe]))
        rows.append([what, *cells])
    return Table(_caption(metric, over), _probe_columns("representation", probes), rows)


def by_seed(board: Scoreboard) -> list[Table]:
    """Of each metric, every member of every family by itself, in the order of the study and never by rank."""
    families = [name for name in board.names if board.draws.seeds(name)]
    note = "What differs between the rows of one representation is luck; a seed chosen by its score is no better."
    tables = []
    for metric in board.metrics if families else []:
        probes = [p for p in board.probes if any(board.mean(name, p, metric) for name in families)]
        rows = [
            [
                Cell(member, note=f"seed {board.draws.seed(member)}"),
                *(_mean_cell(board.mean(member, probe, metric)) for probe in probes),
            ]
            for family in families
            for member in board.draws.members(family)
        ]
        columns = _probe_columns("training", probes)
        tables.append(Table(f"{_caption(metric)}, of each seed by itself", columns, rows, note, sortable=False))
    return tables


def _caption(metric: str, over: str = "test folds") -> str:
    name = METRIC_NAMES[metric]
    return f"{name[0].upper()}{name[1:]}, mean ± sd over {over}"


def _probe_columns(first: str, probes: Sequence[str]) -> list[Column]:
    return [Column(first), *(Column(PROBE_HEADS.get(probe, probe), True, probe_name(probe)) for probe in probes)]


def _mean_cell(mean: Mean | None, note: str = "", *, strong: bool = False) -> Cell:
    if mean is None:
        return number(MISSING, None, strong=strong, note=note)
    notes = ", ".join(filter(None, (over_seeds(mean.sd_seeds), note)))
    return number(plus_minus(mean.value, mean.sd), mean.value, strong=strong, note=notes)


def _best(board: Scoreboard, probe: str, metric: str) -> str | None:
    if probe in (DUMMY, SHUFFLED):
        return None
    means = {name: mean.value for name in board.names if (mean := board.mean(name, probe, metric))}
    return max(means, key=lambda name: means[name]) if means else None


def pairs(board: Scoreboard) -> list[Pair]:
    """Each learned representation against the best descriptors and against its untrained twin."""
    descriptors = board.ranked("descriptors")
    found: list[Pair] = []
    for name in board.ranked("learned", "transductive"):
        if descriptors:
            found.append((name, descriptors[0], "best descriptors"))
        if twin := board.untrained_twin(name):
            found.append((name, twin, "untrained"))
    return found


def differences(board: Scoreboard, compared: Sequence[Pair]) -> Table | None:
    """Paired differences in the main metric by probe, with the number of folds that agree with their sign."""
    rows = []
    for name, other, role in compared:
        for probe in board.classifiers:
            if not (mean := board.difference(name, other, probe)):
                continue
            mine, theirs = board.per_fold(name, probe), board.per_fold(other, probe)
            won = sum(mine[fold] > theirs[fold] for fold in mine if fold in theirs)
            rows.append(
                [
                    text(name),
                    text(f"{other} ({role})"),
                    text(probe_name(probe)),
                    number(
                        signed(mean.value, mean.sd),
                        mean.value,
                        strong=mean.value <= 0,
                        note=over_seeds(mean.sd_seeds),
                    ),
                    number(f"{won} of {mean.folds}", won),
                ]
            )
    columns = [
        Column("representation"),
        Column("minus"),
        Column("probe"),
        Column(METRIC_NAMES[MAIN_METRIC], True, "mean ± sd of the differences, fold by fold"),
        Column("folds won", True),
    ]
    return Table("Paired differences on the same test folds; bold: no gain", columns, rows) if rows else None


def per_class(board: Scoreboard) -> Table | None:
    """F1 of every class by representation (main probe), with the class's support."""
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
    seeds = " and over seeds" if any(map(board.draws.seeds, names)) else ""
    return Table(f"F1 by class, mean over the folds that test it{seeds} ({probe})", columns, rows)


def confusions(board: Scoreboard) -> list[Confusion]:
    """Confusion of each representation with its best probe, best representation first; seeds are counted together."""
    found = []
    for name in board.ranked():
        probe = board.best_probe(name)
        table = board.confusion(name, probe)
        if table is not None:
            seeds = board.draws.seeds(name)
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


def _worst(title: str, table: pd.DataFrame, shares: pd.DataFrame) -> Table:
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
    note = f"The {len(rows)} commonest of {amount(len(wrong), 'kind')} of error among {len(table)} classes."
    return Table(title, columns, rows, note)
