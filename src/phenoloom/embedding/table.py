"""The table of vectors of one representation: write it, read it, average it over units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.parquet import table_facts, table_metadata
from ..artifacts.provenance import Provenance
from ..config.base import Unit
from ..config.rule_settings import EmbedSettings
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from ..splits.split import ALL
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
    parts = tuple(features for _, features in table_facts(table.schema).get("parts", [])) or (len(names),)
    if sum(parts) != len(names):
        raise PhenoloomError(
            f"{path} says that its parts have {' + '.join(map(str, parts))} features, and has {len(names)}; delete it "
            "and rerun `embed`"
        )
    return Embedding(rows, vectors, parts)


def seen_test_groups(path: Path) -> bool:
    """Whether the encoder behind an embeddings table was trained on the test groups too."""
    return bool(table_facts(pq.read_schema(path)).get("seen_test_groups", False))


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


ROWS_A_GROUP = 16_384


METADATA = ("id", "image_id", "plate", "well", "field", "object", "label")


NAMES = {"image_id": "image"}


class Part(NamedTuple):
    """One of several representations in a vector."""

    name: str
    features: int
    seen_test_groups: bool


@dataclass(frozen=True)
class Features:
    """`values` (found rows, features) in the order of the index, where mask `found` says which rows have any."""

    values: NDArray[np.float32]
    found: NDArray[np.bool_]
    names: list[str] | None
    scale: NDArray[np.float32] | None = None
    parts: tuple[Part, ...] = ()
    """Where the values are concatenated: what they are of."""


def write_features(
    settings: EmbedSettings,
    table: pa.Table,
    features: Features,
    groups: pa.Array,
    roles: pa.Array,
    output: Path,
    **facts: Any,
) -> None:
    """Write the table of `features` of the rows of an index; `groups` and `roles` are those of the rows that have any.

    `facts` are added to what the schema metadata says. Raises PhenoloomError for a vector that is not finite.
    """
    kept = table.filter(pa.array(features.found))
    _refuse_non_finite(features, kept["id"].to_numpy(), settings.representation)
    metadata = _metadata(settings, kept, features)
    metadata["Metadata_group"], metadata["Metadata_role"] = groups, roles
    _write(output, metadata, features.values, settings.representation, _record(settings, features) | facts)


def _refuse_non_finite(features: Features, ids: NDArray[Any], representation: str) -> None:
    for start in range(0, len(ids), ROWS_A_GROUP):
        bad = ~np.isfinite(features.values[start : start + ROWS_A_GROUP])
        if bad.any():
            row, column = np.argwhere(bad)[0]
            name = features.names[column] if features.names else f"{representation}_{column:04d}"
            raise PhenoloomError(
                f"Feature {name} of {ids[start + row]} is {features.values[start + row, column]}, expected a finite "
                f"number; {int(bad.any(1).sum())} rows near it have one too. Remove the object or repair its step"
            )


def _metadata(settings: EmbedSettings, table: pa.Table, features: Features) -> dict[str, pa.Array]:
    metadata = {}
    for name in METADATA:
        values = table[name] if name in table.column_names else pa.nulls(len(table), pa.string())
        metadata[f"Metadata_{NAMES.get(name, name)}"] = values
        if name == "id":
            metadata["Metadata_study"] = pa.array([settings.study] * len(table), pa.string())
    if features.scale is not None:
        metadata["Metadata_scale"] = pa.array(np.log(features.scale))
    return metadata


def _record(settings: EmbedSettings, features: Features) -> dict[str, Any]:
    return {
        **Provenance.of(settings).record(),
        "representation": settings.representation,
        "split": settings.split,
        "features": features.names,
        "rows": int(features.found.sum()),
        "missing": int((~features.found).sum()),
        **({"parts": [[part.name, part.features] for part in features.parts]} if features.parts else {}),
        "seen_test_groups": any(part.seen_test_groups for part in features.parts)
        or (
            settings.model_name is not None and settings.split == ALL and not settings.untrained and not settings.source
        ),
    }


def _write(
    output: Path, metadata: dict[str, Any], values: NDArray[np.float32], representation: str, facts: dict[str, Any]
) -> None:
    names = [f"{representation}_{column:04d}" for column in range(values.shape[1])]
    fields = [pa.field(name, column.type) for name, column in metadata.items()]
    fields += [pa.field(name, pa.float32()) for name in names]
    schema = pa.schema(fields, metadata=table_metadata(facts))
    with atomic_path(output) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, len(values), ROWS_A_GROUP):
            block = values[start : start + ROWS_A_GROUP]
            columns = [column.slice(start, len(block)) for column in metadata.values()]
            columns += [pa.array(np.ascontiguousarray(block[:, i])) for i in range(len(names))]
            writer.write_table(pa.table(columns, schema=schema))
