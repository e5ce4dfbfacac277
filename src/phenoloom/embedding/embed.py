"""One table of vectors a representation and split: descriptors, what a model makes of its view, or several in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..config.rule_settings import EmbedSettings
from ..core.errors import PhenoloomError
from ..splits.split import ALL, NEW, Split
from .table import (
    METADATA,
    Features,
    Part,
    _metadata,
    _refuse_non_finite,
    read_embedding,
    seen_test_groups,
    write_features,
)

if TYPE_CHECKING:
    from .inference import Vectors

INTENSITY = ("channel_mean", "channel_std")
SUMMARY = ".shapes.npz"


def embed(
    settings: EmbedSettings,
    index: Path,
    folds: Path,
    stores: list[Path],
    descriptors: list[Path],
    model: Path | None,
    output: Path,
    threads: int,
    parts: Sequence[Path] = (),
) -> None:
    """Write the vectors of one representation: `Metadata_*` and `<representation>_0000 ...`, one row a tile or contour.

    `model` is the folder of the model or the `model.yaml` in it, `parts` are the tables that are concatenated; a row is
    kept where all of them have it. Rows without a vector are left out and counted in the
    schema metadata (key `phenoloom`, JSON). What a trained model of contours knows of shapes is written beside it as
    `<split>.shapes.npz` (`shape_summary`), but for one of another study (`settings.source`), to which all rows are
    `new`. Raises PhenoloomError for a vector that is not finite, naming its row.
    """
    output.unlink(missing_ok=True)
    summary = output.with_suffix(SUMMARY)
    summary.unlink(missing_ok=True)
    # What tiles look like, several lists a row, is read where it is wanted only.
    wanted = {*METADATA, "shard", "position", *(INTENSITY if settings.descriptors == "intensity" else ())}
    table = pq.read_table(index, columns=[name for name in pq.read_schema(index).names if name in wanted])
    rows = table.select(
        [name for name in ("id", "image_id", "plate", "well", "shard", "position") if name in table.column_names]
    )
    frame = rows.to_pandas()
    split = Split.read(folds)
    if settings.concatenate:
        features = _concatenate(settings.concatenate, frame["id"], parts)
    elif settings.descriptors == "intensity":
        features = _intensity(table)
    elif settings.descriptors:
        features = _gather(settings.descriptors, frame["id"], descriptors)
    else:
        vectors = _from_model(settings, frame, stores, model, output.parent, threads)
        features = Features(vectors.values, vectors.found, None, vectors.scale)
    kept = frame[features.found]
    groups = pa.array(split.groups_of(kept), pa.string(), from_pandas=True)
    roles = pa.array(_roles(settings, kept, split, features), pa.string())
    if settings.model_name and settings.view == "shapes" and not settings.untrained and not settings.source:
        _refuse_non_finite(features, kept["id"].to_numpy(), settings.representation)
        _summarise(vectors, roles, _metadata(settings, table.filter(pa.array(features.found)), features), summary)
    write_features(settings, table, features, groups, roles, output)


def _roles(settings: EmbedSettings, rows: pd.DataFrame, split: Split, features: Features) -> NDArray[Any]:
    """What the encoder knows of each row; to that of another study all of them are new."""
    if settings.source:
        return np.full(len(rows), NEW, dtype=object)
    # Of a part that has seen the test groups nobody may say that it has not.
    return split.roles(rows, ALL if any(part.seen_test_groups for part in features.parts) else settings.split)


def _concatenate(names: Sequence[str], ids: pd.Series, tables: Sequence[Path]) -> Features:
    """The vectors of all tables side by side, for the rows that each of them has; the first size that one has."""
    by_name = {path.parent.name: path for path in tables}
    if len(tables) != len(names) or set(by_name) != set(names):
        raise PhenoloomError(
            f"Tables of {', '.join(names)} are to be concatenated, each embeddings/<representation>/<split>.parquet, "
            f"found {', '.join(map(str, tables)) or 'none'}"
        )
    embeddings = {name: read_embedding(by_name[name], name) for name in names}
    places = [pd.Index(one.rows["id"]).get_indexer(pd.Index(ids)) for one in embeddings.values()]
    found = np.all([place >= 0 for place in places], axis=0)
    values = np.hstack([one.vectors[at[found]] for one, at in zip(embeddings.values(), places, strict=True)])
    scale = None
    for one, at in zip(embeddings.values(), places, strict=True):
        if scale is None and "scale" in one.rows:
            scale = np.exp(one.rows["scale"].to_numpy(np.float32)[at[found]])
    labels = [f"{name}_{column:04d}" for name, one in embeddings.items() for column in range(one.vectors.shape[1])]
    parts = tuple(Part(name, one.vectors.shape[1], seen_test_groups(by_name[name])) for name, one in embeddings.items())
    return Features(values, found, labels, scale, parts)


def _from_model(
    settings: EmbedSettings, frame: pd.DataFrame, stores: list[Path], model: Path | None, scratch: Path, threads: int
) -> Vectors:
    # Torch takes seconds to import, and descriptors do without it.
    from .inference import Guest, encode

    if model is None:
        raise PhenoloomError(f"Representation {settings.representation} needs a trained model: give `--model`")
    folder = model if model.is_dir() else model.parent
    return encode(
        frame,
        stores,
        folder,
        split=settings.split,
        untrained=settings.untrained,
        threads=threads,
        scratch=scratch,
        guest=Guest(settings.study, settings.source) if settings.source else None,
    )


def _summarise(vectors: Vectors, roles: pa.Array, metadata: dict[str, pa.Array], path: Path) -> None:
    from ..data.sources import ContourSource
    from .shape_space import Space, masks_of, write_summary

    assert isinstance(vectors.view, ContourSource)
    seen = roles.to_numpy(zero_copy_only=False)
    space = Space(
        vectors.objective, vectors.view, vectors.values, seen, masks_of(metadata["Metadata_label"].to_pandas())
    )
    write_summary(path, space, vectors.card.seed)


def _intensity(table: pa.Table) -> Features:
    """Mean and standard deviation of each channel over a tile's pixels."""
    names, columns = [], []
    for column in INTENSITY:
        values = np.stack(table[column].to_numpy()).astype(np.float32)
        names += [f"{column}_{channel}" for channel in range(values.shape[1])]
        columns.append(values)
    return Features(np.hstack(columns), np.ones(len(table), bool), names)


def _gather(descriptor: str, ids: pd.Series, tables: Sequence[Path]) -> Features:
    """The columns `<descriptor>_*` of all shards, joined to the index by id."""
    prefix = f"{descriptor}_"
    parts: list[pd.DataFrame] = []
    names: list[str] | None = None
    for path in tables:
        columns = [name for name in pq.read_schema(path).names if name.startswith(prefix)]
        if not columns or (names is not None and columns != names):
            raise PhenoloomError(
                f"{path} must have the same `{prefix}*` columns as the other shards, found {columns or 'none'}; "
                f"rerun the step `describe`"
            )
        names = columns
        parts.append(pq.read_table(path, columns=["id", *columns]).to_pandas())
    described = pd.concat(parts).set_index("id")
    positions = pd.Series(np.arange(len(described)), index=described.index).reindex(ids)
    found = positions.notna().to_numpy()
    values = described.to_numpy(np.float32)[positions.to_numpy()[found].astype(np.int64)]
    return Features(values, found, names)
