"""Reading embeddings: the vectors of one representation, by row and averaged over units."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..config.study import Unit
from ..core.errors import PhenoloomError
from ..splits.units import unit_ids

PREFIX = "Metadata_"


@dataclass(frozen=True)
class Embedding:
    """Rows of one split: `rows` holds the metadata (id, image_id, plate ..., without prefix) of each vector."""

    rows: pd.DataFrame
    vectors: npt.NDArray[np.float32]
    """(rows, features)."""
    parts: tuple[int, ...]
    """Features of each representation that the vector is made of; mostly one."""


@dataclass(frozen=True)
class UnitVectors:
    """One vector a unit, the mean over its rows."""

    units: pd.Index[str]
    vectors: npt.NDArray[np.float32]
    """(units, features)."""
    parts: tuple[int, ...]
    """Features of each representation that the vector is made of."""
    log_scale: npt.NDArray[np.float32] | None
    """(units, 1), for representations of shapes."""
    trained_on: npt.NDArray[np.bool_]
    """(units,): a row of the unit says that the encoder was trained on it."""
    tested: npt.NDArray[np.bool_]
    """(units,): a row of the unit says that the encoder never saw it."""


def read_embedding(path: Path, representation: str) -> Embedding:
    """Read an embeddings table; refuses one without vectors of `representation` or with values that are not finite."""
    table = pq.read_table(path)
    names = [name for name in table.column_names if name.startswith(f"{representation}_")]
    if not names or not table.num_rows:
        raise PhenoloomError(
            f"{path} must hold columns {representation}_0000 ... and at least one row, found {len(names)} such columns "
            f"and {table.num_rows} rows; delete it and rerun `embed`"
        )
    metadata = [name for name in table.column_names if name.startswith(PREFIX)]
    rows = table.select(metadata).to_pandas(ignore_metadata=True)
    rows.columns = rows.columns.str.removeprefix(PREFIX)
    rows = rows.rename(columns={"image": "image_id"})
    vectors = np.empty((table.num_rows, len(names)), np.float32)
    for position, name in enumerate(names):
        vectors[:, position] = table.column(name).to_numpy()
    broken = ~np.isfinite(vectors).all(axis=1)
    if broken.any():
        row, feature = np.argwhere(~np.isfinite(vectors))[0]
        raise PhenoloomError(
            f"{path}: {int(broken.sum())} of {len(rows)} vectors are not finite, first {rows['id'].iloc[row]!r} in "
            f"{names[feature]}; find out how {representation} fails on it, or leave the representation out of the study"
        )
    parts = tuple(features for _, features in _facts(table.schema).get("parts", [])) or (len(names),)
    if sum(parts) != len(names):
        raise PhenoloomError(
            f"{path} says that its parts have {' + '.join(map(str, parts))} features, and has {len(names)}; delete it "
            "and rerun `embed`"
        )
    return Embedding(rows, vectors, parts)


def seen_test_groups(path: Path) -> bool:
    """Whether the encoder behind an embeddings table was trained on the test groups too."""
    return bool(_facts(pq.read_schema(path)).get("seen_test_groups", False))


def _facts(schema: pa.Schema) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((schema.metadata or {}).get(b"phenoloom", b"{}"))
    return facts


def average(embedding: Embedding, unit: Unit) -> UnitVectors:
    """Mean vector of each unit, units sorted; summed in float64 in the order of the rows."""
    rows = embedding.rows
    ids = unit_ids(rows, unit)
    if ids.isna().any():
        raise PhenoloomError(
            f"Row {rows.loc[ids.isna(), 'id'].iloc[0]!r} has no {unit}, so it cannot be averaged with its {unit}; set "
            "classify.unit to something that all rows have"
        )
    codes, units = pd.factorize(ids, sort=True)
    trained_on, tested = np.zeros(len(units), bool), np.zeros(len(units), bool)
    trained_on[codes[(rows["role"] == "train").to_numpy()]] = True
    tested[codes[(rows["role"] == "test").to_numpy()]] = True
    scale = rows["scale"].to_numpy(np.float32)[:, None] if "scale" in rows else None
    return UnitVectors(
        pd.Index(units),
        _means(embedding.vectors, codes, len(units)),
        embedding.parts,
        None if scale is None else _means(scale, codes, len(units)),
        trained_on,
        tested,
    )


def _means(values: npt.NDArray[np.float32], codes: npt.NDArray[np.int64], units: int) -> npt.NDArray[np.float32]:
    order = np.argsort(codes, kind="stable")
    if len(codes) == units:
        return values[order]
    starts = np.searchsorted(codes[order], np.arange(units))
    sums = np.add.reduceat(values[order], starts, axis=0, dtype=np.float64)
    means: npt.NDArray[np.float32] = (sums / np.bincount(codes)[:, None]).astype(np.float32)
    return means
