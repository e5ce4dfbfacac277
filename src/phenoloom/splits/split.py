"""The split of a study, read from `folds.parquet`: the one place that keeps test groups out of training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..artifacts.parquet import read_result, table_facts
from ..config.base import Unit
from ..core.errors import PhenoloomError
from .units import unit_ids

ALL, TRAIN, TEST, UNUSED = "all", "train", "test", "unused"
NEW = "new"
"""The role of rows that belong to no split of the encoder's study."""

NEVER_TESTED = -1
"""The fold of a unit without a label, or with a label that is too rare for the folds, in a study with scores."""

Targets = npt.NDArray[Any]
"""Class codes int64 (units,), -1 for a unit without a class; or flags bool (units, classes) for several labels."""


@dataclass(frozen=True)
class Split:
    """The units of a study with their groups, folds and labels.

    Attributes:
        units: Names, each once, in the order of the file, object (units,).
        groups: What each unit must stay together with, after merging of duplicates, object (units,).
        fold: Fold in which each unit is tested, `NEVER_TESTED` for none, int64 (units,).
        targets: Labels as numbers (`Targets`).
        classes: Names of the classes, sorted; a unit with a label that was dropped has no class.
        facts: Metadata of the file: `unit`, `count`, `group`, `scheme`, `multi_label`, `classes`, `dropped`, ...
        tiled: Whether each unit has a tile (units,), which objects larger than a tile have not; None: all have.
    """

    units: npt.NDArray[np.object_]
    groups: npt.NDArray[np.object_]
    fold: npt.NDArray[np.int64]
    targets: Targets
    classes: list[str]
    facts: dict[str, Any]
    tiled: npt.NDArray[np.bool_] | None = None

    @classmethod
    def read(cls, path: Path, unit: Unit | None = None, count: int | None = None) -> Split:
        """Read `folds.parquet`.

        Args:
            path: The file.
            unit: Kind of unit that the caller expects; None takes any.
            count: Number of folds that the caller expects; None takes any.

        Raises:
            PhenoloomError: A group lies in two folds, a unit is listed twice, the file does not state its unit and
                classes, or it has other units or another number of folds than expected.
        """
        table = read_result(path)
        facts = table_facts(table.schema)
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
        _refuse(path, frame, facts)
        if (unit is not None and facts["unit"] != unit) or (count is not None and facts["count"] != count):
            raise PhenoloomError(
                f"{path} splits {facts['unit']}s into {facts['count']} folds, but the study asks for "
                f"{facts['count'] if count is None else count} folds of {unit or facts['unit']}s; rerun `folds`"
            )
        classes = sorted(facts["classes"])
        targets = _flags(frame["label"], classes) if facts["multi_label"] else _codes(frame["label"], classes)
        fold = frame["fold"].to_numpy(np.int64)
        tiled = frame["tile"].to_numpy(bool) if "tile" in frame else None
        return cls(frame["id"].to_numpy(object), frame["group"].to_numpy(object), fold, targets, classes, facts, tiled)

    @property
    def unit(self) -> Unit:
        """Kind of unit that is classified."""
        unit: Unit = self.facts["unit"]
        return unit

    @property
    def unscored(self) -> str | None:
        """Why no unit can be classified, as a clause; None where some can. Its folds hold out groups all the same."""
        reason: str | None = self.facts.get("unscored")
        return reason

    @property
    def names(self) -> list[str]:
        """Names of the splits, one a fold: `fold-0`, `fold-1`, ..."""
        return [f"fold-{fold}" for fold in self._folds]

    def units_of(self, rows: pd.DataFrame) -> pd.Series[str]:
        """Return the unit of each row of an index; null for a row without one."""
        return unit_ids(rows, self.unit)

    def groups_of(self, rows: pd.DataFrame) -> pd.Series[str]:
        """Return the group of each row of an index; null for a row outside every unit."""
        return self.units_of(rows).map(pd.Series(self.groups, index=self.units))

    def folds_of(self, rows: pd.DataFrame) -> npt.NDArray[np.int16]:
        """Return the fold in which each row of an index is tested, `NEVER_TESTED` for none (rows,)."""
        return self.units_of(rows).map(pd.Series(self.fold, index=self.units)).fillna(NEVER_TESTED).to_numpy(np.int16)

    def roles(self, rows: pd.DataFrame, name: str) -> npt.NDArray[np.object_]:
        """Return `train`, `test` or `unused` for each row of an index; `all` everywhere for the split `all`.

        A row is `test` when any unit of its group lies in the fold. A row outside every unit may be a copy of a test
        group's image, so it is neither trained on nor tested.

        Raises:
            PhenoloomError: There is no split of that name.
        """
        if name == ALL:
            return np.full(len(rows), ALL, dtype=object)
        if name not in self.names:
            raise PhenoloomError(f"There is no split {name!r}; the study's folds give {', '.join([*self.names, ALL])}")
        fold = self._folds[self.names.index(name)]
        groups = self.groups_of(rows)
        roles = np.where(groups.isin(set(self.groups[self.fold == fold])), TEST, TRAIN).astype(object)
        roles[groups.isna().to_numpy()] = UNUSED
        return roles

    def tested(self) -> Split:
        """Return the split of only the units that some fold tests."""
        return self._only(self.fold != NEVER_TESTED)

    def without(self, out: npt.NDArray[np.bool_]) -> Split:
        """Return the split without the units of a mask (units,)."""
        return self._only(~out)

    def among(self, classes: Sequence[str]) -> Split:
        """Return the split of only these classes, in this order, and of the units that have one of them."""
        columns = [self.classes.index(name) for name in classes]
        if self.targets.ndim == 2:
            targets: Targets = self.targets[:, columns]
        else:
            # Units without a class have code -1, which is the last entry.
            codes = np.full(len(self.classes) + 1, -1, np.int64)
            codes[columns] = np.arange(len(columns))
            targets = codes[self.targets]
        chosen = replace(self, targets=targets, classes=list(classes))
        return chosen._only(np.asarray(chosen.flags().any(axis=1), bool))

    def flags(self) -> npt.NDArray[np.bool_]:
        """Return which classes each unit has (units, classes)."""
        if self.targets.ndim == 2:
            return np.asarray(self.targets, bool)
        return np.asarray(self.targets[:, None] == np.arange(len(self.classes)), bool)

    def support(self) -> dict[str, int]:
        """Return the number of units of each class."""
        return dict(zip(self.classes, self.flags().sum(axis=0).tolist(), strict=True))

    @property
    def _folds(self) -> list[int]:
        return sorted(set(self.fold.tolist()) - {NEVER_TESTED})

    def _only(self, kept: npt.NDArray[np.bool_]) -> Split:
        return replace(
            self,
            units=self.units[kept],
            groups=self.groups[kept],
            fold=self.fold[kept],
            targets=self.targets[kept],
            tiled=None if self.tiled is None else self.tiled[kept],
        )


def hold_out(groups: pd.Series, ids: pd.Series, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return the mask of the rows held out for validation: whole groups, or single rows where all have one group.

    Which are held out depends on their names and the seed alone, so neither the order of the rows nor groups that
    other splits leave out move the others. At least one is held out, and at least one stays.

    Args:
        groups: Group of each row.
        ids: Id of each row, which decides where all rows have one group.
        fraction: Share of the groups, or of the rows, to hold out.
        seed: Seed of the choice.
    """
    keys = groups if groups.nunique(dropna=False) > 1 else ids
    keys = keys.fillna("").astype(str)
    names = sorted(keys.unique(), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    count = min(max(1, round(fraction * len(names))), len(names) - 1)
    return keys.isin(names[:count]).to_numpy()


def _refuse(path: Path, frame: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Refuse a file that would let test units be trained on, or that does not describe itself."""
    tested = frame[frame["fold"] != NEVER_TESTED].groupby("group")["fold"].nunique()
    if (tested > 1).any():
        raise PhenoloomError(
            f"{path}: group {tested[tested > 1].index[0]!r} sits in more than one fold, so test units would have been "
            "trained on; delete the file and rerun `folds`"
        )
    if facts.get("unit") not in get_args(Unit):
        raise PhenoloomError(
            f"{path} must state the unit of its rows ({', '.join(get_args(Unit))}) in its metadata, "
            f"found {facts.get('unit')!r}; rerun `folds`"
        )
    absent = [name for name in ("classes", "count", "multi_label") if name not in facts]
    if absent:
        raise PhenoloomError(f"{path} must state {', '.join(absent)} in its metadata; rerun `folds`")
    twice = frame["id"][frame["id"].duplicated()]
    if len(twice):
        raise PhenoloomError(f"{path} has unit {twice.iloc[0]!r} twice; rerun `folds`")


def _codes(labels: pd.Series[str], classes: list[str]) -> npt.NDArray[np.int64]:
    codes = labels.map({name: code for code, name in enumerate(classes)}).fillna(-1)
    return np.asarray(codes, np.int64)


def _flags(labels: pd.Series[Any], classes: list[str]) -> npt.NDArray[np.bool_]:
    flags = np.zeros((len(labels), len(classes)), bool)
    column = {name: code for code, name in enumerate(classes)}
    for unit, names in enumerate(labels):
        flags[unit, [column[name] for name in names if name in column]] = True
    return flags
