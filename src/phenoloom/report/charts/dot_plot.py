"""Dot plots of scores and paired differences: a small dot for each fold, a large mark and a bar for mean and sd."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..numbers import plus_minus, score, signed
from ..score_names import DUMMY, KIND_NAMES, METRIC_NAMES, Kind, probe_name
from ..scoreboard import Mean, Scoreboard
from ..seeds import over_seeds
from . import svg


@dataclass(frozen=True)
class DotRow:
    """A row of a dot plot; positions are percent of the plot's width.

    Attributes:
        name: the representation.
        note: small text after the name.
        kind: kind of the representation, which is its colour and mark.
        shown: the value as text.
        mean: position of the mean.
        low, high: positions of the mean minus and plus one sd.
        folds: position and title of each fold.
    """

    name: str
    note: str
    kind: str
    shown: str
    mean: float
    low: float
    high: float
    folds: list[tuple[float, str]]


@dataclass(frozen=True)
class DotPlot:
    """Rows over one axis.

    Attributes:
        caption: the caption.
        label: label of the axis.
        rows: the rows.
        ticks: position in percent and label of each tick.
        references: position in percent, label and CSS class of each reference line.
    """

    caption: str
    label: str
    rows: list[DotRow]
    ticks: list[tuple[float, str]]
    references: list[tuple[float, str, str]]


class _Axis:
    """An axis that maps data to percent of the width; its limits are rounded outwards to multiples of `step`."""

    def __init__(self, values: Sequence[float], step: float = 0.1) -> None:
        finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
        self.low = math.floor(min(finite) / step + 1e-9) * step
        self.high = math.ceil(max(finite) / step - 1e-9) * step
        if self.high <= self.low:
            self.high = self.low + step

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        # A margin at both ends, so that no mark or label is cut.
        return round(3 + 94 * min(1.0, max(0.0, share)), 2)

    def ticks(self) -> list[tuple[float, str]]:
        values = svg.ticks(self.low, self.high, 6)
        return [(self(v), shown) for v, shown in zip(values, svg.tick_labels(values), strict=True)]


@dataclass(frozen=True)
class _Entry:
    """What a row shows, in units of the data."""

    name: str
    note: str
    shown: str
    mean: Mean
    folds: dict[int, float]


def score_dots(scoreboard: Scoreboard, sample: str) -> DotPlot:
    """Plot the main metric of every representation with the main probe, the best first.

    Args:
        scoreboard: the scores.
        sample: the size of the sample in words, for the caption.
    """
    entries = []
    for name in scoreboard.ranked():
        if mean := scoreboard.mean(name):
            note = _note(scoreboard.families.with_seeds(name, KIND_NAMES[scoreboard.kind(name)]), mean)
            entries.append(_Entry(name, note, plus_minus(mean.value, mean.sd), mean, scoreboard.per_fold(name)))
    dummies = [mean.value for entry in entries if (mean := scoreboard.mean(entry.name, DUMMY))]
    layout = scoreboard.audited()[:1]
    axis = _Axis([v for e in entries for v in e.folds.values()] + dummies + [one.mean.value for one in layout])
    references = [(axis(dummies[0]), f"majority dummy {score(dummies[0])}", "dummy")] if dummies else []
    descriptors = scoreboard.ranked("descriptors")
    if descriptors and (best := scoreboard.mean(descriptors[0])):
        references.append((axis(best.value), f"best descriptors {score(best.value)}", "best"))
    for one in layout:
        label = f"{one.name} {score(one.mean.value)} ({probe_name(one.probe)})"
        references.append((axis(one.mean.value), label, "layout"))
    metric, probe = METRIC_NAMES["macro_f1"], probe_name(scoreboard.main_probe)
    seeds = (
        " (mean over seeds, if there are several)" if any(scoreboard.families.seeds(e.name) for e in entries) else ""
    )
    caption = (
        f"{metric} of {probe} on frozen vectors; {sample}. Small dots: test folds{seeds}; large mark and bar: "
        "mean ± sd."
    )
    rows = [_row(axis, entry, scoreboard.kind(entry.name), score) for entry in entries]
    return DotPlot(caption, metric, rows, axis.ticks(), references)


def difference_dots(scoreboard: Scoreboard, pairs: Sequence[tuple[str, str, str]]) -> DotPlot | None:
    """Plot paired differences in the main metric.

    Args:
        scoreboard: the scores.
        pairs: for each difference the representation, the other one, and the role of the other.

    Returns:
        The plot, or None if no pair has a difference.
    """
    entries = []
    for name, other, role in pairs:
        if mean := scoreboard.difference(name, other):
            mine, theirs = scoreboard.per_fold(name), scoreboard.per_fold(other)
            folds = {fold: mine[fold] - theirs[fold] for fold in mine if fold in theirs}
            note = _note(f"minus {role} {other}", mean)
            entries.append(_Entry(name, note, signed(mean.value, mean.sd), mean, folds))
    if not entries:
        return None
    axis = _Axis([0.0, *(v for entry in entries for v in entry.folds.values())], step=0.05)
    caption = (
        f"Paired differences in macro-F1 on the same test folds ({probe_name(scoreboard.main_probe)}). "
        "Right of zero: the learned representation is better."
    )
    rows = [_row(axis, entry, scoreboard.kind(entry.name), signed) for entry in entries]
    return DotPlot(caption, "difference in macro-F1", rows, axis.ticks(), [(axis(0.0), "no difference", "zero")])


def _note(description: str, mean: Mean) -> str:
    return ", ".join(filter(None, (description, over_seeds(mean.sd_seeds))))


def _row(axis: _Axis, entry: _Entry, kind: Kind, text: Callable[[float], str]) -> DotRow:
    value, sd = entry.mean.value, entry.mean.sd if math.isfinite(entry.mean.sd) else 0.0
    folds = [(axis(v), f"fold {fold}: {text(v)}") for fold, v in entry.folds.items() if math.isfinite(v)]
    return DotRow(entry.name, entry.note, kind, entry.shown, axis(value), axis(value - sd), axis(value + sd), folds)
