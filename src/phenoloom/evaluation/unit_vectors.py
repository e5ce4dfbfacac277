"""Vectors of units: the mean over the rows of each unit, from one table of vectors for all folds or one a fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..config.base import Unit
from ..core.errors import PhenoloomError
from ..embedding.table import Embedding, read_embedding
from ..splits.split import TEST, TRAIN
from ..splits.units import unit_ids

WHOLE = "all"
"""Stem of the one table of a representation that does not depend on the fold."""


@dataclass(frozen=True)
class UnitVectors:
    """One vector for each unit.

    Attributes:
        units: Names of the units, sorted.
        vectors: Their vectors (units, features).
        parts: Number of features of each representation that the vectors are made of.
        log_scale: Mean logarithm of the outlines' sizes in px (units, 1); None where there is no outline.
        trained_on: Whether the encoder was trained on any row of a unit (units,).
        tested: Whether any row of a unit is a test row of the encoder (units,).
        seen_test_groups: Whether the encoder was trained on the test groups of all folds.
    """

    units: pd.Index[str]
    vectors: NDArray[np.float32]
    parts: tuple[int, ...]
    log_scale: NDArray[np.float32] | None
    trained_on: NDArray[np.bool_]
    tested: NDArray[np.bool_]
    seen_test_groups: bool = False


@dataclass(frozen=True)
class FoldVectors:
    """The vectors of a representation for each fold.

    Attributes:
        representation: Its name.
        unit: Kind of unit that the vectors are averaged over.
        files: The embedding table of each fold, in order.
        shared: The vectors where all folds share one table.
    """

    representation: str
    unit: Unit
    files: list[Path]
    shared: UnitVectors | None

    @classmethod
    def of(cls, representation: str, unit: Unit, tables: Sequence[Path], folds: int) -> FoldVectors:
        """Return the vectors of the `tables` of a representation: one `all.parquet`, or `fold-<k>.parquet` a fold.

        Args:
            representation: Name of the representation.
            unit: Kind of unit to average the vectors over.
            tables: Embedding tables of the representation.
            folds: Number of folds.

        Raises:
            PhenoloomError: A table is missing, or there are tables of other splits.
        """
        files = _file_of_each_fold(representation, tables, folds)
        shared = average(read_embedding(files[0], representation), unit) if len(set(files)) == 1 else None
        return cls(representation, unit, files, shared)

    def of_fold(self, number: int) -> UnitVectors:
        """Return the vectors of one fold; a table that all folds share is read once."""
        return self.shared or average(read_embedding(self.files[number], self.representation), self.unit)


def average(embedding: Embedding, unit: Unit) -> UnitVectors:
    """Return the mean vector of each unit, summed in float64 in the order of the rows.

    Raises:
        PhenoloomError: A row belongs to no unit.
    """
    rows = embedding.rows
    ids = unit_ids(rows, unit)
    if ids.isna().any():
        raise PhenoloomError(
            f"Row {rows.loc[ids.isna(), 'id'].iloc[0]!r} has no {unit}, so it cannot be averaged with its {unit}; set "
            "classify.unit to image"
        )
    codes, units = pd.factorize(ids, sort=True)
    trained_on, tested = np.zeros(len(units), bool), np.zeros(len(units), bool)
    trained_on[codes[(rows["role"] == TRAIN).to_numpy()]] = True
    tested[codes[(rows["role"] == TEST).to_numpy()]] = True
    scale = rows["scale"].to_numpy(np.float32)[:, None] if "scale" in rows else None
    return UnitVectors(
        pd.Index(units),
        _means(embedding.vectors, codes, len(units)),
        embedding.parts,
        None if scale is None else _means(scale, codes, len(units)),
        trained_on,
        tested,
        embedding.seen_test_groups,
    )


def _means(values: NDArray[np.float32], codes: NDArray[np.int64], units: int) -> NDArray[np.float32]:
    order = np.argsort(codes, kind="stable")
    if len(codes) == units:
        return values[order]
    starts = np.searchsorted(codes[order], np.arange(units))
    sums = np.add.reduceat(values[order], starts, axis=0, dtype=np.float64)
    means: NDArray[np.float32] = (sums / np.bincount(codes)[:, None]).astype(np.float32)
    return means


def _file_of_each_fold(representation: str, tables: Sequence[Path], folds: int) -> list[Path]:
    by_split = {path.stem: path for path in tables}
    if set(by_split) == {WHOLE}:
        return [by_split[WHOLE]] * folds
    wanted = [f"fold-{fold}" for fold in range(folds)]
    if set(by_split) != set(wanted):
        raise PhenoloomError(
            f"{representation} must come as all.parquet or as {wanted[0]}.parquet ... {wanted[-1]}.parquet, "
            f"found {', '.join(sorted(by_split)) or 'no file'}"
        )
    return [by_split[name] for name in wanted]
