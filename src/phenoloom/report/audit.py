"""What the page says where place, plate or field tell the label without any image."""

from __future__ import annotations

from dataclasses import dataclass

from ..evaluation.audit import FIELD, PLATE
from .numbers import plus_minus, score
from .score_names import DUMMY, MAIN_METRIC, METRIC_NAMES, PROBE_NAMES, probe_name
from .scoreboard import Audited, Mean, Scoreboard

LEAST_ABOVE = 0.1
"""Difference to a guess below which a score is not spoken of."""


@dataclass(frozen=True)
class LayoutFinding:
    """Probes that see no image, but are above chance.

    Attributes:
        audited: the best of them.
        leader: name of the representation that scores best.
        best: its score with the main probe.
        chance: score of a guess.
        metric: metric of all three.
    """

    audited: Audited
    leader: str
    best: Mean
    chance: float
    metric: str

    @property
    def reaches(self) -> bool:
        """Whether they come within one standard deviation over folds of the best representation, or above it."""
        sd = self.best.sd if self.best.sd == self.best.sd else 0.0
        return self.audited.mean.value >= self.best.value - sd

    @property
    def matters(self) -> bool:
        """Whether they explain at least half of what the best representation has above a guess."""
        return self.reaches or self.audited.mean.value - self.chance >= (self.best.value - self.chance) / 2


def layout_finding(board: Scoreboard, classes: dict[str, int]) -> LayoutFinding | None:
    """Return what the best probe without images finds, or None if it is not above chance.

    Each of them counts with the best of its probes: a linear one does not see that the middle of a plate has one label.
    Representations count with the main probe, as in the chart. Above chance: by a tenth of the scale at least, and by
    more than two standard deviations of the mean over folds.

    Args:
        board: the scores.
        classes: units of each class.
    """
    several = "average_precision" in board.metrics
    metric = "average_precision" if several else MAIN_METRIC
    audited, ranked = board.audited(metric), board.ranked()
    best = board.mean(ranked[0], metric=metric) if ranked else None
    if not audited or best is None:
        return None
    # A constant answer scores less than a guess where classes are alike in size.
    dummy = board.mean(ranked[0], DUMMY, metric)
    guesses = [dummy.value if dummy else 0.0, 0.0 if several else 1 / max(len(classes), 1)]
    found = audited[0]
    sd = found.mean.sd if found.mean.sd == found.mean.sd else 0.0
    if found.mean.value - max(LEAST_ABOVE, 2 * sd / found.mean.folds**0.5) < max(guesses):
        return None
    return LayoutFinding(found, ranked[0], best, max(guesses), metric)


def in_short(finding: LayoutFinding) -> str:
    """Return the finding as a sentence for the summary."""
    found, best = finding.audited, finding.best.value
    shown = f"{plus_minus(found.mean.value, found.mean.sd)} ({probe_name(found.probe)})"
    if finding.reaches:
        relation = "above every representation" if found.mean.value > best else "within one sd of the best"
        return (
            f"But the label can be predicted without any image: from {found.features} alone with {shown}, {relation}."
        )
    return f"Without any image, from {found.features} alone, the label is predicted with {shown}."


def as_caveat(finding: LayoutFinding, board: Scoreboard) -> str:
    """Return the finding as a warning: what it means, and what to do."""
    found, metric = finding.audited, METRIC_NAMES[finding.metric]
    without = (
        f"{found.features} alone, {metric} {plus_minus(found.mean.value, found.mean.sd)} ({PROBE_NAMES[found.probe]})"
    )
    best = (
        f"{finding.leader}, the best representation, has {plus_minus(finding.best.value, finding.best.sd)} "
        f"({probe_name(board.main_probe)}), a guess {score(finding.chance)}"
    )
    if not finding.reaches:
        return (
            f"Part of the scores may not come from the phenotype: probes that see no image predict the label from "
            f"{without}; {best}. {_advice(found.name)}"
        )
    return (
        f"Probes that see no image predict the label from {without}; {best}. Scores of this study say nothing about "
        f"the phenotype as long as the label follows {_what(found.name)}. {_advice(found.name)}"
    )


def _what(name: str) -> str:
    return {PLATE: "the plate", FIELD: "the field"}.get(name, "the layout of the plate")


def _advice(name: str) -> str:
    if name == PLATE:
        return "Only plates that hold several labels can tell the label and the plate apart."
    if name == FIELD:
        return "Only fields that hold several labels can tell the label and the field apart."
    return "Only plates with another layout, where the same wells hold other labels, can tell the two apart."
