"""Dot plots: scores and paired differences, a small dot a fold, a large one with a bar for mean and sd."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..numbers import plus_minus, score, signed
from ..scoreboard import DUMMY, KIND_NAMES, METRIC_NAMES, Kind, Mean, Scoreboard, probe_name
from ..seeds import over_seeds
from . import svg


@dataclass(frozen=True)
class Dots:
    """A row of a dot plot; places are percent of the plot's width."""

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
    """Rows over one axis with labelled ticks and reference lines (place in percent, label, CSS class)."""

    caption: str
    label: str
    rows: list[Dots]
    ticks: list[tuple[float, str]]
    references: list[tuple[float, str, str]]


class _Axis:
    """Data to percent of the width; limits are rounded outwards to tenths."""

    def __init__(self, values: Sequence[float], step: float = 0.1) -> None:
        finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
        self.low = math.floor(min(finite) / step + 1e-9) * step
        self.high = math.ceil(max(finite) / step - 1e-9) * step
        if self.high <= self.low:
            self.high = self.low + step

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        # Room at both ends, so that no glyph or label is cut.
        return round(3 + 94 * min(1.0, max(0.0, share)), 2)

    def ticks(self) -> list[tuple[float, str]]:
        values = svg.ticks(self.low, self.high, 6)
        return [(self(v), shown) for v, shown in zip(values, svg.tick_labels(values), strict=True)]


def score_dots(board: Scoreboard, sample: str) -> DotPlot:
    """Main metric of every representation with the main probe: a point a fold, mean and sd; best first."""
    names = board.ranked()
    folds = {name: board.per_fold(name) for name in names}
    dummies = [m.value for name in names if (m := board.mean(name, DUMMY))]
    axis = _Axis([v for values in folds.values() for v in values.values()] + dummies)
    rows = []
    for name in names:
        mean = board.mean(name)
        assert mean is not None
        points = [(f"fold {fold}: {score(value)}", value) for fold, value in folds[name].items()]
        kind, shown = board.kind(name), plus_minus(mean.value, mean.sd)
        note = _note(board.draws.note(name, KIND_NAMES[kind]), mean)
        rows.append(_dots(axis, name, note, kind, shown, mean.value, mean.sd, points))
    references = [(axis(dummies[0]), f"majority dummy {score(dummies[0])}", "dummy")] if dummies else []
    if best := board.ranked("descriptors"):
        value = board.mean(best[0])
        assert value is not None
        references.append((axis(value.value), f"best descriptors {score(value.value)}", "best"))
    metric, probe = METRIC_NAMES["macro_f1"], probe_name(board.main_probe)
    seeds = " (of several seeds, their mean)" if any(map(board.draws.seeds, names)) else ""
    caption = (
        f"{metric} of {probe} on frozen vectors; {sample}. Small dots: test folds{seeds}; large mark and bar: "
        "mean ± sd."
    )
    return DotPlot(caption, metric, rows, axis.ticks(), references)


def difference_dots(board: Scoreboard, pairs: Sequence[tuple[str, str, str]]) -> DotPlot | None:
    """Paired differences in the main metric for `pairs` of (representation, other, what the other is)."""
    found = []
    for name, other, role in pairs:
        if mean := board.difference(name, other):
            mine, theirs = board.per_fold(name), board.per_fold(other)
            note = _note(f"minus {role} {other}", mean)
            found.append((name, note, mean, {k: mine[k] - theirs[k] for k in mine if k in theirs}))
    if not found:
        return None
    axis = _Axis([0.0, *(v for *_, folds in found for v in folds.values())], step=0.05)
    rows = []
    for name, note, mean, folds in found:
        points = [(f"fold {fold}: {signed(value)}", value) for fold, value in folds.items()]
        shown = signed(mean.value, mean.sd)
        rows.append(_dots(axis, name, note, board.kind(name), shown, mean.value, mean.sd, points))
    caption = (
        f"Paired differences in macro-F1 on the same test folds ({probe_name(board.main_probe)}). "
        "Right of zero: the learned representation is better."
    )
    return DotPlot(caption, "difference in macro-F1", rows, axis.ticks(), [(axis(0.0), "no difference", "zero")])


def _note(what: str, mean: Mean) -> str:
    """What a row is, and the spread over seeds where it has several."""
    return ", ".join(filter(None, (what, over_seeds(mean.sd_seeds))))


def _dots(
    axis: _Axis, name: str, note: str, kind: Kind, shown: str, mean: float, sd: float, points: list[tuple[str, float]]
) -> Dots:
    sd = sd if math.isfinite(sd) else 0.0
    folds = [(axis(value), title) for title, value in points if math.isfinite(value)]
    return Dots(name, note, kind, shown, axis(mean), axis(mean - sd), axis(mean + sd), folds)
