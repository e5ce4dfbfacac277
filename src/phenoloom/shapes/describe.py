"""The step that computes the classical descriptors of one shard's contours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.parquet import table_metadata
from ..artifacts.provenance import Provenance
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from ..core.progress import progress
from .descriptors import DESCRIPTORS
from .store import ContourStore

ROWS_A_BLOCK = 1024


def describe_shard(descriptors: Sequence[str], shapes: Path, output: Path, made_by: Provenance) -> None:
    """Write the descriptors of one shard's contours, in the order of its store.

    One block of contours is in memory at a time.

    Args:
        descriptors: Names of descriptor sets, of `descriptors.DESCRIPTORS`.
        shapes: Manifest of the shard's contours.
        output: Table to write: `id`, and float32 columns `<descriptor>_<name>`.
        made_by: Study and settings of the step.

    Raises:
        PhenoloomError: A value is not a finite number; the message names the contour.
    """
    output.unlink(missing_ok=True)
    contours = ContourStore(shapes)
    ids = contours.ids
    names = [f"{name}_{column}" for name in descriptors for column in DESCRIPTORS[name].names]
    fields = [("id", pa.string()), *((name, pa.float32()) for name in names)]
    schema = pa.schema(fields, metadata=table_metadata(made_by.record()))
    total = -(-len(contours) // ROWS_A_BLOCK)
    blocks = progress(contours.blocks(ROWS_A_BLOCK), total, f"descriptors of shard {shapes.stem}", "block")
    with atomic_path(output) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start, block in blocks:
            values = describe(block, descriptors)
            some = ids.slice(start, len(block))
            _refuse_non_finite(values, names, some, shapes)
            writer.write_table(pa.table([some, *(pa.array(column) for column in values.T)], schema=schema))


def describe(contours: NDArray[np.floating[Any]], descriptors: Sequence[str]) -> NDArray[np.float32]:
    """Return the columns of the named descriptor sets side by side (n, k) of contours (n, p, 2) in px."""
    parts = [np.empty((len(contours), 0)), *(DESCRIPTORS[name].compute(contours) for name in descriptors)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _refuse_non_finite(values: NDArray[np.float32], names: list[str], ids: pa.ChunkedArray, shapes: Path) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0].tolist()
        raise PhenoloomError(
            f"{names[column]} of object {ids[row].as_py()!r} in {shapes} is {values[row, column]}; expected a finite "
            f"number: its contour is degenerate. Raise `shapes.min_points`, and report the outline"
        )
