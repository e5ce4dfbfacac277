"""Assignment of the units of a study to folds, with scores in mind where its labels allow any.

Where no folds of whole groups could score the labels (there are none, they are one class, or two classes are not in two
groups each), all units are dealt to folds by group alone: encoders are trained and vectors made as ever, and the facts
state why there are no scores. Where another `folds.count` or `folds.scheme` would give scores, the study is refused
with that advice, before hours of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..config.study import Folds
from ..core.errors import PhenoloomError
from .design import SplitDesign
from .groups import Groupings
from .split import NEVER_TESTED
from .stratify import missing, stratify

LEAVE_ONE_OUT, STRATIFIED = "leave-one-group-out", "stratified-group-kfold"
MOST_TRIED = 10
"""Largest `folds.count` that is tried for advice."""

FoldOfUnits = npt.NDArray[np.int16]


@dataclass(frozen=True)
class _Labelled:
    """The labelled units of a study.

    Attributes:
        rows: A row for each unit and class, `group` and `label`, by the position of the unit.
        unit: Kind of unit.
        multi: Whether a unit may have several classes.
        seed: Seed of the split.
    """

    rows: pd.DataFrame
    unit: str
    multi: bool
    seed: int

    def support(self) -> pd.Series[int]:
        """Return the number of groups of each class."""
        return self.rows.groupby("label")["group"].nunique()


@dataclass(frozen=True)
class _Plan:
    """Folds of the groups that have a class with enough groups.

    Attributes:
        kept: The rows of `_Labelled` with such a class.
        dropped: Classes with too few groups.
        counts: Units of each class in each group.
        fold: Fold of each group (groups,).
    """

    kept: pd.DataFrame
    dropped: list[str]
    counts: pd.DataFrame
    fold: npt.NDArray[np.int16]


def assign(
    units: pd.DataFrame, design: SplitDesign, multi: bool, study: str, others: Callable[[], Groupings]
) -> tuple[FoldOfUnits, dict[str, Any]]:
    """Return the fold of each unit (`NEVER_TESTED` for none), and counts of what takes part and what is left out.

    Args:
        units: One row a unit, sorted: `id`, `group`, `label` (a tuple of classes), `rows` (number of its objects; 0
            where these are not known yet).
        design: How to split.
        multi: Whether a unit may have several classes.
        study: Name of the study, for messages.
        others: Gives the other kinds of group that the units have, for advice.

    Raises:
        PhenoloomError: Other folds would give scores, or there are too few groups for folds at all.
    """
    labelled = _Labelled(units.explode("label")[["group", "label"]].dropna(), design.unit, multi, design.seed)
    plan, obstacle = _plan(labelled, design.folds)
    unlabelled = int((units["label"].map(len) == 0).sum())
    if plan is not None:
        fold = np.full(len(units), NEVER_TESTED, np.int16)
        tested = plan.kept.index.unique()
        fold[tested] = units.loc[tested, "group"].map(dict(zip(plan.counts.index, plan.fold, strict=True)))
        lacking = missing(plan.counts.to_numpy(np.int64), plan.fold, design.folds.count)
        return fold, {
            "classes": _count(plan.kept["label"]),
            "dropped": _count(labelled.rows.loc[labelled.rows["label"].isin(plan.dropped), "label"]),
            "folds_without": {str(c): int(n) for c, n in zip(plan.counts.columns, lacking, strict=True) if n},
            "unlabelled": unlabelled,
        }
    for folds, change in _other_folds(labelled, design.folds):
        if _plan(labelled, folds)[0] is not None:
            raise PhenoloomError(f"Study {study}: {obstacle}; {change}")
    fold = _by_group_alone(units, design, f"Study {study}: {obstacle}", others)
    reason = f"{obstacle}; {_what_would_score(units, labelled, design, others)}"
    facts = {"classes": _count(labelled.rows["label"]), "dropped": {}, "folds_without": {}, "unlabelled": unlabelled}
    return fold, {**facts, "unscored": reason}


def _count(labels: pd.Series[str]) -> dict[str, int]:
    return {str(name): int(n) for name, n in labels.value_counts().sort_index().items()}


def _plan(labelled: _Labelled, folds: Folds) -> tuple[_Plan | None, str]:
    """Return folds that score the labels, or None and what is in the way."""
    if labelled.rows.empty:
        return None, f"no {labelled.unit} has a label"
    groups, support = labelled.rows["group"].nunique(), labelled.support()
    # A class needs a group in each fold; where each group is a fold, one to train on and one to test.
    least = 2 if folds.scheme == LEAVE_ONE_OUT else folds.count
    if len(support) > 1 and folds.scheme == STRATIFIED and groups < folds.count:
        return None, (
            f"{folds.count} folds need at least {folds.count} labelled groups, but folds.group = {folds.group} gives "
            f"{groups}"
        )
    kept = labelled.rows[labelled.rows["label"].map(support) >= least]
    counts = pd.crosstab(kept["group"], kept["label"])
    if len(counts.columns) < 2:
        return None, _too_few_classes(labelled, least, folds.group)
    if folds.scheme == LEAVE_ONE_OUT and len(counts) != folds.count:
        return None, (
            f"leave-one-group-out has one fold a group, and there are {len(counts)} groups ({folds.group}), but "
            f"folds.count is {folds.count}"
        )
    if folds.scheme == LEAVE_ONE_OUT:
        fold = np.arange(len(counts), dtype=np.int16)
    else:
        fold = stratify(counts.to_numpy(np.int64), folds.count, labelled.seed)
    if not labelled.multi and (single := _single_class(counts, fold)):
        return None, single
    return _Plan(kept, sorted(support.index[support < least]), counts, fold), ""


def _too_few_classes(labelled: _Labelled, least: int, group: str) -> str:
    found = [(name, len(of), of["group"].nunique()) for name, of in labelled.rows.groupby("label")]
    if len(found) == 1:
        name, units, groups = found[0]
        return f"there is one class, {name!r} ({units} units in {groups} groups ({group}))"
    shown = "; ".join(f"{name}: {units} units in {groups}" for name, units, groups in found)
    return f"classification needs two classes in at least {least} groups ({group}) each, but found {shown}"


def _single_class(counts: pd.DataFrame, fold: npt.NDArray[np.int16]) -> str:
    """Return a sentence on test folds of one class: where none can be taken for another, a constant guess is best."""
    present = (counts > 0).groupby(fold).any()
    single = present[present.sum(axis=1) < 2]
    if single.empty:
        return ""
    first = single.index[0]
    groups, name = counts.index[fold == first], single.columns[single.loc[first]][0]
    return (
        f"a test fold must hold two classes, but {len(single)} of {len(present)} hold one; fold {first} (group "
        f"{', '.join(map(repr, groups[:3]))}) has {name!r} alone"
    )


def _other_folds(labelled: _Labelled, folds: Folds) -> Iterator[tuple[Folds, str]]:
    """Yield other folds of the same groups that may score the labels, the nearest first, and how to ask for them."""
    support = sorted(labelled.support(), reverse=True)
    most = support[1] if len(support) > 1 else 0
    if folds.scheme == LEAVE_ONE_OUT:
        classes = labelled.support()
        groups = labelled.rows.loc[labelled.rows["label"].map(classes) >= 2, "group"].nunique()
        if groups >= 2 and groups != folds.count:
            yield folds.model_copy(update={"count": groups}), f"set folds.count to {groups}"
    top = min(most, MOST_TRIED) if folds.scheme == LEAVE_ONE_OUT else min(most, folds.count - 1)
    for count in range(top, 1, -1):
        scheme = (
            "" if folds.scheme == STRATIFIED else f"let several groups share a fold: set folds.scheme to {STRATIFIED}"
        )
        change = f"{scheme} and folds.count to {count}" if scheme else f"set folds.count to {count}"
        yield folds.model_copy(update={"scheme": STRATIFIED, "count": count}), change


def _what_would_score(
    units: pd.DataFrame, labelled: _Labelled, design: SplitDesign, others: Callable[[], Groupings]
) -> str:
    """Say what a study without scores lacks."""
    if labelled.rows.empty:
        return (
            "to get scores, name the column of labels in source.columns.label, or write {label} in source.files, and "
            "check that the table joins the images"
        )
    if labelled.rows["label"].nunique() == 1:
        return "scores need units of a second class"
    for kind, groups in others().items():
        finer = units["id"].map(groups)
        moved = _Labelled(labelled.rows.assign(group=finer[labelled.rows.index]), *_rest(labelled))
        folds = design.folds.model_copy(update={"scheme": STRATIFIED, "group": kind})
        for count in dict.fromkeys([folds.count, 2]):
            if _plan(moved, folds.model_copy(update={"count": count}))[0] is not None:
                return (
                    f"label two groups ({design.folds.group}) of each of two classes; or, if units of one "
                    f"{design.folds.group} may be trained on and tested, set folds.scheme to {STRATIFIED}, folds.group "
                    f"to {kind} and folds.count to {count}"
                )
    return f"scores need two classes in at least two groups ({design.folds.group}) each"


def _rest(labelled: _Labelled) -> tuple[str, bool, int]:
    return labelled.unit, labelled.multi, labelled.seed


def _by_group_alone(units: pd.DataFrame, design: SplitDesign, why: str, others: Callable[[], Groupings]) -> FoldOfUnits:
    """Deal whole groups to folds, so that these have as equal numbers of units as groups allow."""
    sizes, folds = units.groupby("group").size(), design.folds
    one_each = folds.scheme == LEAVE_ONE_OUT
    if len(sizes) != folds.count if one_each else len(sizes) < folds.count:
        wants = f"leave-one-group-out with folds.count {folds.count}" if one_each else f"{folds.count} folds"
        raise PhenoloomError(
            f"{why}, so it can be embedded, but not scored; {wants} needs {folds.count} groups for that, and "
            f"folds.group = {folds.group} gives {len(sizes)}: {_more_groups(units, len(sizes), design, others())}"
        )
    if one_each:
        fold = np.arange(len(sizes), dtype=np.int16)
    else:
        fold = stratify(np.asarray(sizes, np.int64)[:, None], folds.count, design.seed)
    return units["group"].map(dict(zip(sizes.index, fold, strict=True))).to_numpy(np.int16)


def _more_groups(units: pd.DataFrame, groups: int, design: SplitDesign, others: Groupings) -> str:
    """Say which keys give a study without scores enough groups."""
    advice, wanted = [], design.folds.count
    if groups >= 2:
        advice.append(f"set folds.count to {groups}")
    numbers = {kind: of_units.nunique() for kind, of_units in others.items()}
    known, rows = bool(units["rows"].all()), int(units["rows"].sum())
    if not known:
        numbers.pop("object", None)
    enough = [kind for kind, number in numbers.items() if number >= wanted]
    some = [kind for kind, number in numbers.items() if number > max(groups, 1)]
    if kinds := enough[:1] or some[-1:]:
        changes = [f"folds.group to {kinds[0]} ({numbers[kinds[0]]} groups)"]
        if design.folds.scheme == LEAVE_ONE_OUT:
            changes.append(f"folds.scheme to {STRATIFIED}")
        if numbers[kinds[0]] < wanted:
            changes.append(f"folds.count to {numbers[kinds[0]]}")
        advice.append(f"set {' and '.join(changes)}")
    if not known and not kinds and design.folds.group != "object":
        unit = "" if design.unit in ("object", "tile") else "classify.unit to object and "
        advice.append(f"set {unit}folds.group to object")
    if not advice and rows >= 2 and rows > len(units):
        count = f" and folds.count to {rows}" if rows < wanted else ""
        advice.append(f"set classify.unit to object and folds.group to object{count} ({rows} objects)")
    return ", or ".join(advice) or "there is one object, and none can be held out; add images"
