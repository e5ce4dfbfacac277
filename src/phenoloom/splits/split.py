"""Which rows of the index a split may train on: the one place that keeps test groups out of training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from ..config.study import Unit
from ..core.errors import PhenoloomError
from .folds import read_folds
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
