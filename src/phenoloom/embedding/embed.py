"""Compute the vectors of one representation: descriptors, vectors of a model, or several representations in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from ..artifacts.layout import SHAPE_SUMMARY
from ..artifacts.parquet import read_result, read_result_schema
from ..artifacts.provenance import Provenance
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from ..data.study_input import StudyInput
from ..splits.split import ALL, NEW, Split
from .representation import Concatenation, Descriptors, Encoder, Representation
from .table import METADATA, Features, TableFacts, read_embedding, write_embedding

if TYPE_CHECKING:
    from .inference import Encoded

INTENSITY = ("channel_mean", "channel_std")
PLACE = ("shard", "position")
"""Where the tile of a row is stored."""


def embed(representation: Representation, study: StudyInput, output: Path, made_by: Provenance, threads: int) -> None:
    """Write the embedding table of one representation and split (`table`), one row a tile or contour.

    Rows without a vector are left out and counted in the schema metadata. What a trained model of contours has learned
    of shapes is written beside the table as `<split>.shapes.npz` (`shape_space`), but not for a model of another study,
    to which all rows are `new`.

    Args:
        representation: What is computed.
        study: Index, folds and stores of the rows; descriptors and concatenations need no stores.
        output: The embedding table.
        made_by: Provenance of the table.
        threads: Number of threads.

    Raises:
        PhenoloomError: A vector is not finite, or the representation does not fit the study.
    """
    origin, summary = representation.origin, output.with_suffix(SHAPE_SUMMARY)
    for path in (output, summary):
        path.unlink(missing_ok=True)
    index, encoded = _read_index(study.index, origin), None
    if isinstance(origin, Encoder):
        # Torch takes seconds to import, and descriptors do without it.
        from .inference import encode

        encoded = encode(origin, _frame(index, ("id", *PLACE)), study.stores, output.parent, threads)
        seen = origin.trained_here and origin.split == ALL
        features = Features(encoded.values, encoded.found, scale=encoded.source.scale, seen_test_groups=seen)
    elif isinstance(origin, Concatenation):
        features = _concatenate(origin, index["id"].to_pandas())
    else:
        features = _intensity(index) if origin.name == "intensity" else _described(origin, index["id"].to_pandas())
    rows = _with_roles(index.filter(pa.array(features.found)), origin, Split.read(study.folds), features)
    # The table takes its place last: without it the summary does not count.
    with atomic_path(output) as unfinished:
        write_embedding(unfinished, rows, features, TableFacts(study.name, representation.name, origin.split, made_by))
        if encoded is not None and encoded.encoder.trained_here:
            _write_shape_space(encoded, rows, summary)


def _read_index(path: Path, origin: Descriptors | Encoder | Concatenation) -> pa.Table:
    """The columns of an index that are needed; those that describe pixels are several lists a row."""
    wanted = {*METADATA, *PLACE}
    if isinstance(origin, Descriptors) and origin.name == "intensity":
        wanted |= {*INTENSITY}
    return read_result(path, columns=[name for name in read_result_schema(path).names if name in wanted])


def _frame(rows: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    """Those of the columns that the rows have."""
    frame: pd.DataFrame = rows.select([name for name in names if name in rows.column_names]).to_pandas()
    return frame


def _with_roles(
    rows: pa.Table, origin: Descriptors | Encoder | Concatenation, folds: Split, features: Features
) -> pa.Table:
    """The rows with their group, and with what the encoder knows of each."""
    frame = _frame(rows, ("id", "image_id", "plate", "well"))
    # Where a part has seen the test groups, no row is unseen.
    split = ALL if features.seen_test_groups else origin.split
    roles = np.full(len(frame), NEW, dtype=object) if origin.new else folds.roles(frame, split)
    groups = pa.array(folds.groups_of(frame), pa.string(), from_pandas=True)
    return rows.append_column("group", groups).append_column("role", pa.array(roles, pa.string()))


def _write_shape_space(encoded: Encoded, rows: pa.Table, path: Path) -> None:
    from .shape_space import ShapeSpace, label_masks, write_shape_space

    scale = encoded.source.scale
    if scale is not None:
        roles, labels = rows["role"].to_numpy(), label_masks(rows["label"].to_pandas())
        space = ShapeSpace(encoded.objective, encoded.source, scale, encoded.values, roles, labels)
        write_shape_space(path, space, encoded.card.seed)


def _concatenate(origin: Concatenation, ids: pd.Series[str]) -> Features:
    """The vectors of all tables side by side, for the rows that each of them has; the first size that one has."""
    by_name = {path.parent.name: path for path in origin.tables}
    if len(origin.tables) != len(origin.names) or set(by_name) != set(origin.names):
        raise PhenoloomError(
            f"Tables of {', '.join(origin.names)} are to be concatenated, each <representation>/<split>.parquet, found "
            f"{', '.join(map(str, origin.tables)) or 'none'}"
        )
    embeddings = {name: read_embedding(by_name[name], name) for name in origin.names}
    places = {name: pd.Index(one.rows["id"]).get_indexer(pd.Index(ids)) for name, one in embeddings.items()}
    found = np.all([place >= 0 for place in places.values()], axis=0)
    values = np.hstack([one.vectors[places[name][found]] for name, one in embeddings.items()])
    scales = [
        np.exp(one.rows["scale"].to_numpy(np.float32)[places[name][found]])
        for name, one in embeddings.items()
        if "scale" in one.rows
    ]
    parts = {name: one.vectors.shape[1] for name, one in embeddings.items()}
    names = [f"{name}_{feature:04d}" for name, features in parts.items() for feature in range(features)]
    seen = any(one.seen_test_groups for one in embeddings.values())
    return Features(values, found, names, scales[0] if scales else None, parts, seen)


def _intensity(index: pa.Table) -> Features:
    """Mean and standard deviation of each channel over the pixels of a tile, for the rows that have one."""
    found = index["position"].to_numpy() >= 0
    index = index.filter(pa.array(found))
    columns = {name: np.stack(index[name].to_numpy()).astype(np.float32) for name in INTENSITY}
    names = [f"{name}_{channel}" for name, values in columns.items() for channel in range(values.shape[1])]
    return Features(np.hstack(list(columns.values())), found, names)


def _described(origin: Descriptors, ids: pd.Series[str]) -> Features:
    """The columns `<descriptor>_*` of all shards, joined to the index by id."""
    prefix = f"{origin.name}_"
    parts: list[pd.DataFrame] = []
    names: list[str] | None = None
    for path in origin.tables:
        columns = [name for name in read_result_schema(path).names if name.startswith(prefix)]
        if not columns or (names is not None and columns != names):
            raise PhenoloomError(
                f"{path} must have the same `{prefix}*` columns as the other shards, found {columns or 'none'}; "
                f"rerun the step `describe`"
            )
        names = columns
        parts.append(read_result(path, columns=["id", *columns]).to_pandas())
    described = pd.concat(parts).set_index("id")
    positions = pd.Series(np.arange(len(described)), index=described.index).reindex(ids)
    found = positions.notna().to_numpy()
    values = described.to_numpy(np.float32)[positions.to_numpy()[found].astype(np.int64)]
    return Features(values, found, names)
