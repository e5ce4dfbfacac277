"""Which rows of the index a split may train on: the one place that keeps test groups out of training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from ..artifacts.parquet import table_facts
from ..config.study import Unit
from ..core.errors import PhenoloomError
from .units import unit_ids

ALL, TRAIN, TEST, UNUSED = "all", "train", "test", "unused"
NEW = "new"
"""The role of rows that belong to no split of the encoder's study."""


@dataclass(frozen=True)
class FoldTable:
    """The folds of a study: `table` is indexed by unit id and has columns `group` (str) and `fold` (int)."""

    table: pd.DataFrame
    unit: Unit


def fold_table(path: Path) -> FoldTable:
    """Read `folds.parquet`; raises PhenoloomError where it does not say what its units are."""
    frame, facts = read_folds(path)
    if facts.get("unit") not in get_args(Unit):
        raise PhenoloomError(
            f"{path} must state the unit of its rows ({', '.join(get_args(Unit))}) in its metadata, "
            f"found {facts.get('unit')!r}; rerun the step `folds`"
        )
    table = frame.set_index("id")[["group", "fold"]]
    if not table.index.is_unique:
        raise PhenoloomError(
            f"{path} has unit {table.index[table.index.duplicated()][0]!r} twice; rerun the step `folds`"
        )
    return FoldTable(table, facts["unit"])


def row_groups(index: pd.DataFrame, folds: FoldTable) -> pd.Series:
    """The group of each row as the folds have it, after merging of duplicates; null for a row outside every unit."""
    return unit_ids(index, folds.unit).map(folds.table["group"])


def row_roles(index: pd.DataFrame, folds: FoldTable, split: str) -> np.ndarray:
    """`train`, `test` or `unused` for each row of the index; `all` everywhere for split `all`.

    A row is `test` when any unit of its group lies in the fold. A row outside every unit may be a copy of a test
    group's image, so it is neither trained on nor tested.
    """
    if split == ALL:
        return np.full(len(index), ALL, dtype=object)
    known = sorted(set(folds.table["fold"]) - {-1})
    names = [f"fold-{fold}" for fold in known]
    if split not in names:
        raise PhenoloomError(f"There is no split {split!r}; the study's folds give {', '.join([*names, ALL])}")
    fold = known[names.index(split)]
    tested = set(folds.table.loc[folds.table["fold"] == fold, "group"])
    groups = row_groups(index, folds)
    roles = np.where(groups.isin(tested), TEST, TRAIN).astype(object)
    roles[groups.isna().to_numpy()] = UNUSED
    return roles


def hold_out(groups: pd.Series, ids: pd.Series, fraction: float, seed: int) -> np.ndarray:
    """Mask of the rows held out for validation: whole groups, or single rows where there is one group only.

    Which are held out depends on their names and the seed alone, so neither the order of the rows nor groups that
    other splits leave out move the others. At least one is held out, and at least one stays.
    """
    keys = groups if groups.nunique(dropna=False) > 1 else ids
    keys = keys.fillna("").astype(str)
    names = sorted(keys.unique(), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    count = min(max(1, round(fraction * len(names))), len(names) - 1)
    return keys.isin(names[:count]).to_numpy()


Targets = npt.NDArray[Any]
"""Codes int64 (units,), or flags bool (units, classes)."""


@dataclass(frozen=True)
class Split:
    """Units that take part, sorted by id: arrays over units, and the names of the classes."""

    units: npt.NDArray[np.object_]
    groups: npt.NDArray[np.object_]
    fold: npt.NDArray[np.int64]
    targets: Targets
    classes: list[str]

    def among(self, classes: Sequence[str]) -> Split:
        """Only these classes, in this order, and the units that have one of them."""
        columns = [self.classes.index(name) for name in classes]
        if self.targets.ndim == 2:
            flags = self.targets[:, columns]
            return self._only(np.asarray(flags.any(axis=1), bool), flags, classes)
        codes = np.full(len(self.classes), -1, np.int64)
        codes[columns] = np.arange(len(columns))
        return self._only(np.asarray(codes[self.targets] >= 0), codes[self.targets], classes)

    def without(self, out: npt.NDArray[np.bool_]) -> Split:
        """Without the units of a mask."""
        return self._only(~out, self.targets, self.classes)

    def support(self) -> dict[str, int]:
        """Units of each class."""
        flags = self.targets if self.targets.ndim == 2 else self.targets[:, None] == np.arange(len(self.classes))
        return dict(zip(self.classes, flags.sum(axis=0).tolist(), strict=True))

    def _only(self, kept: npt.NDArray[np.bool_], targets: Targets, classes: Sequence[str]) -> Split:
        return Split(self.units[kept], self.groups[kept], self.fold[kept], targets[kept], list(classes))


def read_split(path: Path, unit: Unit, count: int | None = None) -> tuple[Split, dict[str, Any]]:
    """Units with a fold, and what the split says of itself; refuses one for other units or another number of folds."""
    frame, facts = read_folds(path)
    if facts["unit"] != unit or (count is not None and facts["count"] != count):
        folds = facts["count"] if count is None else count
        raise PhenoloomError(
            f"{path} splits {facts['unit']}s into {facts['count']} folds, but the study asks for {folds} "
            f"folds of {unit}s; rerun `folds`"
        )
    frame = frame[frame["fold"] >= 0]
    classes = sorted(facts["classes"])
    if facts["multi_label"]:
        targets = np.array([[name in set(label) for name in classes] for label in frame["label"]], bool)
    else:
        targets = frame["label"].map({name: code for code, name in enumerate(classes)}).to_numpy(np.int64)
    units, groups = frame["id"].to_numpy(object), frame["group"].to_numpy(object)
    return Split(units, groups, frame["fold"].to_numpy(np.int64), targets, classes), facts


def read_folds(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Units `id, group, label, fold` (label: str, None, or list for multi-label) and what the split says of itself."""
    table = pq.read_table(path)
    facts = table_facts(table.schema)
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    split = frame[frame["fold"] >= 0].groupby("group")["fold"].nunique()
    if (split > 1).any():
        raise PhenoloomError(
            f"{path}: group {split[split > 1].index[0]!r} sits in more than one fold, so test units would have been "
            "trained on; delete the file and rerun `folds`"
        )
    return frame, facts
