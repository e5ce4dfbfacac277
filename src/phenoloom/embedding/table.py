"""Embedding tables: the vectors of one representation and split, as Parquet, one row a tile or contour.

Columns are `Metadata_*` and `<representation>_0000 ...` (float32), the convention of pycytominer and copairs. The
schema metadata states what the vectors are and how they were made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.parquet import read_result, table_facts, table_metadata
from ..artifacts.provenance import Provenance
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError

PREFIX = "Metadata_"
METADATA = ("id", "image_id", "plate", "well", "field", "object", "label")
"""Columns of an index that go into the table; those that the index lacks are null."""
ROWS_A_GROUP = 16_384


@dataclass(frozen=True)
class Features:
    """Features of the rows of an index that have any.

    Attributes:
        values: Features (found rows, features), in the order of the index.
        found: Mask of the rows of the index that have features (rows,).
        names: What the features are called; None where they are known by their number alone.
        scale: Sizes of the outlines in px (found rows,); None where there is no outline.
        parts: Number of features of each representation that was concatenated, in order; empty for a single one.
        seen_test_groups: Whether an encoder behind the features was trained on the test groups too.
    """

    values: NDArray[np.float32]
    found: NDArray[np.bool_]
    names: list[str] | None = None
    scale: NDArray[np.float32] | None = None
    parts: Mapping[str, int] = field(default_factory=dict)
    seen_test_groups: bool = False


@dataclass(frozen=True)
class TableFacts:
    """Facts that an embedding table states about itself.

    Attributes:
        study: Study of the rows.
        representation: Name of the representation; names the columns.
        split: Split of the encoder: `fold-<k>`, or `all`.
        made_by: Provenance of the table.
        more: Further facts, by their keys.
    """

    study: str
    representation: str
    split: str
    made_by: Provenance
    more: Mapping[str, Any] = field(default_factory=dict)

    def column(self, feature: int) -> str:
        """Return the name of the column of a feature."""
        return f"{self.representation}_{feature:04d}"


@dataclass(frozen=True)
class Embedding:
    """An embedding table in memory.

    Attributes:
        rows: Metadata of each vector (id, image_id, plate, well, ..., group, role), without prefix.
        vectors: Vectors (rows, features).
        parts: Number of features of each representation that the vectors are made of; mostly one.
        seen_test_groups: Whether an encoder behind the vectors was trained on the test groups too.
    """

    rows: pd.DataFrame
    vectors: NDArray[np.float32]
    parts: tuple[int, ...]
    seen_test_groups: bool = False


def write_embedding(path: Path, rows: pa.Table, features: Features, facts: TableFacts) -> None:
    """Write an embedding table, atomically and in blocks of rows.

    Args:
        path: The table.
        rows: The rows of the index that have features, with the further columns `group` and `role`.
        features: Their features.
        facts: What the table states about itself.

    Raises:
        PhenoloomError: A feature is not finite.
    """
    broken = _first_non_finite(features.values)
    if broken:
        row, feature, count = broken
        name = features.names[feature] if features.names else facts.column(feature)
        raise PhenoloomError(
            f"Feature {name} of {rows['id'][row]} is {features.values[row, feature]}, expected a finite number, and so "
            f"it is in {count} of {len(rows)} rows. Remove the object or repair the step that computed it"
        )
    metadata = _metadata(rows, features, facts.study)
    names = [facts.column(feature) for feature in range(features.values.shape[1])]
    fields = [pa.field(f"{PREFIX}{name}", column.type) for name, column in metadata.items()]
    fields += [pa.field(name, pa.float32()) for name in names]
    schema = pa.schema(fields, metadata=table_metadata(_record(features, facts)))
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, len(rows), ROWS_A_GROUP):
            block = features.values[start : start + ROWS_A_GROUP]
            columns = [column.slice(start, len(block)) for column in metadata.values()]
            columns += [pa.array(np.ascontiguousarray(values)) for values in block.T]
            writer.write_table(pa.table(columns, schema=schema))


def read_embedding(path: Path, representation: str) -> Embedding:
    """Read an embedding table.

    Args:
        path: The table.
        representation: Name of the representation that the caller expects in it.

    Raises:
        PhenoloomError: The table has no rows or no vectors of the representation, a value is not finite, or the parts
            that it states have another number of features than the vectors.
    """
    table = read_result(path)
    names = [name for name in table.column_names if name.startswith(f"{representation}_")]
    if not names or not table.num_rows:
        raise PhenoloomError(
            f"{path} must hold columns {representation}_0000 ... and at least one row, found {len(names)} such columns "
            f"and {table.num_rows} rows; delete it and rerun `embed`"
        )
    rows = table.select([name for name in table.column_names if name.startswith(PREFIX)]).to_pandas(
        ignore_metadata=True
    )
    rows = rows.rename(columns=lambda name: name.removeprefix(PREFIX)).rename(columns={"image": "image_id"})
    vectors = np.empty((table.num_rows, len(names)), np.float32)
    for position, name in enumerate(names):
        vectors[:, position] = table.column(name).to_numpy()
    broken = _first_non_finite(vectors)
    if broken:
        row, feature, count = broken
        raise PhenoloomError(
            f"{path}: {count} of {len(rows)} vectors are not finite, first {rows['id'].iloc[row]!r} in "
            f"{names[feature]}; find out how {representation} fails on it, or leave the representation out of the study"
        )
    facts = table_facts(table.schema)
    parts = tuple(features for _, features in facts.get("parts", [])) or (len(names),)
    if sum(parts) != len(names):
        raise PhenoloomError(
            f"{path} states that its parts have {' + '.join(map(str, parts))} features, but has {len(names)}; delete "
            "it and rerun `embed`"
        )
    return Embedding(rows, vectors, parts, bool(facts.get("seen_test_groups", False)))


def _metadata(rows: pa.Table, features: Features, study: str) -> dict[str, pa.ChunkedArray | pa.Array]:
    """Columns of the table without their prefix, in order."""
    nothing = pa.nulls(len(rows), pa.string())
    columns = {name: rows[name] if name in rows.column_names else nothing for name in METADATA}
    metadata = {"id": columns.pop("id"), "study": pa.array([study] * len(rows), pa.string())}
    metadata["image"] = columns.pop("image_id")
    metadata |= columns
    if features.scale is not None:
        metadata["scale"] = pa.array(np.log(features.scale))
    return metadata | {"group": rows["group"], "role": rows["role"]}


def _record(features: Features, facts: TableFacts) -> dict[str, Any]:
    """What the schema metadata states."""
    record: dict[str, Any] = {
        **facts.made_by.record(),
        "representation": facts.representation,
        "split": facts.split,
        "features": features.names,
        "rows": int(features.found.sum()),
        "missing": int((~features.found).sum()),
        "seen_test_groups": features.seen_test_groups,
        **facts.more,
    }
    return record | {"parts": [list(part) for part in features.parts.items()]} if features.parts else record


def _first_non_finite(values: NDArray[np.float32]) -> tuple[int, int, int] | None:
    """The first row with a value that is not finite, the feature, and how many rows have one; None for no row.

    In blocks, so that vectors that lie on the disk stay there.
    """
    first, count = None, 0
    for start in range(0, len(values), ROWS_A_GROUP):
        broken = ~np.isfinite(values[start : start + ROWS_A_GROUP])
        count += int(broken.any(axis=1).sum())
        if first is None and broken.any():
            row, feature = np.argwhere(broken)[0].tolist()
            first = start + row, feature
    return first and (*first, count)
