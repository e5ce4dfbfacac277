"""Section on scores: every representation by probe, each seed, and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..charts.dot_plot import difference_dots, score_dots
from ..numbers import MISSING, amount, plus_minus, signed
from ..score_names import DUMMY, KIND_NAMES, MAIN_METRIC, METRIC_NAMES, PROBE_HEADS, PROBE_ORDER, SHUFFLED, probe_name
from ..scoreboard import Mean, Scoreboard
from ..seeds import over_seeds
from ..table import Cell, Column, PageTable, number, text
from .base import PageSection, ReportData, missing

Pair = tuple[str, str, str]
"""A representation, the one that it is compared with, and the role of that one."""


def section(data: ReportData) -> PageSection:
    """Return the section on scores."""
    board = data.scoreboard
    if board is None:
        reason = data.results.fold_facts.get("unscored", "`classify` and `compare` have not run")
        return PageSection("scores", "Scores", {}, [f"No scores: {reason}."])
    sample = sample_size(board, data.settings.unit)
    compared = pairs(board)
    content = {
        "sample": sample,
        "dots": score_dots(board, sample) if board.ranked() else None,
        "tables": [by_probe(board, metric) for metric in board.metrics],
        "audit": without_images(board),
        "seeds": by_seed(board),
        "difference_dots": difference_dots(board, compared),
        "differences": differences(board, compared),
        "facts": data.results.fold_facts,
    }
    reasons = {
        "differences": "No paired differences: the study compares no learned representation with descriptors "
        "or with an untrained encoder."
    }
    return PageSection("scores", "Scores", content, missing(content, reasons))


def sample_size(board: Scoreboard, unit: str) -> str:
    """Describe the size of the sample: `n = 320 objects in 32 groups, 5 test folds`."""
    units, groups = board.count("units_test"), board.count("groups_test")
    folds = len(units) or board.scores["fold"].nunique()
    size = f"n = {amount(sum(units.values()), unit)}" if units else ""
    grouped = f" in {amount(sum(groups.values()), 'group')}" if groups else ""
    return f"{size}{grouped}{', ' if size else ''}{amount(folds, 'test fold')}"


def by_probe(
    board: Scoreboard, metric: str, over: str = "test folds", extra_note: Callable[[str, str], str] | None = None
) -> PageTable:
    """Return the scores in one metric, a row for each representation and a column for each probe.

    A cell shows mean ± sd, and below it the sd over seeds; the best score of each column is bold.

    Args:
        board: the scores.
        metric: a metric over all classes.
        over: what mean and sd are over, for the caption.
        extra_note: gives another note below the score of a representation and a probe.
    """
    probes = [p for p in board.probes if any(board.mean(name, p, metric) for name in board.names)]
    best = {probe: _best(board, probe, metric) for probe in probes}
    rows = []
    for name in board.ranked() + [n for n in board.names if n not in board.ranked()]:
        head = Cell(name, note=board.families.with_seeds(name, KIND_NAMES[board.kind(name)]))
        cells = []
        for probe in probes:
            note = extra_note(name, probe) if extra_note else ""
            cells.append(_mean_cell(board.mean(name, probe, metric), note, strong=name == best[probe]))
        rows.append([head, *cells])
    return PageTable(_caption(metric, over), _probe_columns("representation", probes), rows)


def without_images(board: Scoreboard) -> PageTable | None:
    """Return the scores of probes on the place of a unit, without its image; None if the study states no places."""
    audited = board.audited()
    if not audited:
        return None
    probes = [p for p in PROBE_ORDER if any(board.mean(one.name, p) for one in audited)]
    rows = [
        [Cell(one.name, note=one.features), *(_mean_cell(board.mean(one.name, p)) for p in probes)] for one in audited
    ]
    note = (
        "Probes on the place of a unit alone, on the same folds; all probes, whatever the study asks for. A "
        "representation that scores no more than this may have learned the layout instead of the phenotype."
    )
    caption = f"What could explain the labels without any image: {METRIC_NAMES[MAIN_METRIC]}, mean ± sd over test folds"
    return PageTable(caption, _probe_columns("known", probes), rows, note)


def by_seed(board: Scoreboard) -> list[PageTable]:
    """Return the scores of every single training, a table for each metric, in the order of the study, unranked."""
    families = [name for name in board.names if board.families.seeds(name)]
    note = "Differences between the rows of one representation are luck; a seed chosen by its score is no better."
    tables = []
    for metric in board.metrics if families else []:
        probes = [p for p in board.probes if any(board.mean(name, p, metric) for name in families)]
        rows = [
            [
                Cell(member, note=f"seed {board.families.seed(member)}"),
                *(_mean_cell(board.mean(member, probe, metric)) for probe in probes),
            ]
            for family in families
            for member in board.families.members(family)
        ]
        columns = _probe_columns("training", probes)
        tables.append(PageTable(f"{_caption(metric)}, each seed by itself", columns, rows, note, sortable=False))
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
    means = {name: mean.value for name in board.ranked() if (mean := board.mean(name, probe, metric))}
    return max(means, key=lambda name: means[name]) if means else None


def pairs(board: Scoreboard) -> list[Pair]:
    """Pair each learned representation with the best descriptors and with its own untrained encoder."""
    descriptors = board.ranked("descriptors")
    found: list[Pair] = []
    for name in board.ranked("learned", "transductive"):
        if descriptors:
            found.append((name, descriptors[0], "best descriptors"))
        if twin := board.untrained_twin(name):
            found.append((name, twin, "untrained"))
    return found


def differences(board: Scoreboard, compared: Sequence[Pair]) -> PageTable | None:
    """Return paired differences in the main metric by probe, with the number of folds won."""
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
        Column("folds won", True, "folds in which the representation is better"),
    ]
    return PageTable("Paired differences on the same test folds; bold: no gain", columns, rows) if rows else None
