"""Write the table beside a tile store: one row a tile in the order of the store, and one an object without a tile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..images.objects import LeftOut
from .tiler import TiledImage

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image_id", pa.string()),
        ("object", pa.int32()),
        ("y", pa.int32()),
        ("x", pa.int32()),
        ("foreground", pa.float32()),
        ("focus", pa.float32()),
        ("saturation", pa.float32()),
        ("area_px", pa.int32()),
        ("border", pa.bool_()),
        ("channel_mean", pa.list_(pa.float32())),
        ("channel_std", pa.list_(pa.float32())),
        ("digest", pa.string()),
        ("height_px", pa.int32()),
        ("width_px", pa.int32()),
        ("position", pa.int64()),
        ("left_out", pa.string()),
        ("runs", pa.list_(pa.int32())),
        ("points", pa.list_(pa.int64())),
    ]
)
"""`position` is the place of the tile in the store; -1 for an object without a tile, for the reason in `left_out`.

What is measured on pixels is null there. `runs` is the mask of an object that is larger than a tile. `points` are the
rows of the table of objects whose points lie in the object; null where the study has no such table.
"""

IN_TABLE = frozenset({LeftOut.AT_IMAGE_BORDER, LeftOut.WINDOW_AT_BORDER, LeftOut.TOO_LARGE})
"""Reasons for which an object without a tile has a row all the same; of other reasons there are only counts."""

ROWS_HELD = 8192
"""Rows kept in memory before they are written as one row group."""

RUNS_HELD = 1 << 22
"""Runs of masks kept in memory before they are written."""


class TileTable:
    """A writer of `tiles/<shard>.parquet`, row group by row group."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA)
        self._batches: list[pa.RecordBatch] = []
        self._held, self._runs_held, self._tiles = 0, 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def append(self, image_id: str, image: TiledImage) -> None:
        """Add the rows of one image."""
        windows, measured = image.windows, image.measured
        if measured is None:
            return
        tiled = np.array([window.left_out is None for window in windows], bool)
        large = np.array([window.left_out == LeftOut.TOO_LARGE for window in windows], bool)
        position = np.where(tiled, self._tiles + np.cumsum(tiled) - 1, -1)
        columns = {
            "id": [f"{image_id}#{window.name}" for window in windows],
            "image_id": [image_id] * len(windows),
            "object": [window.object for window in windows],
            "y": [window.y for window in windows],
            "x": [window.x for window in windows],
            "foreground": _spread(image.foreground, tiled, "foreground"),
            "focus": _spread(measured.focus, tiled, "focus"),
            "saturation": _spread(measured.saturation, tiled, "saturation"),
            "area_px": [window.area_px for window in windows],
            "border": [window.border for window in windows],
            "channel_mean": _spread(list(measured.mean.astype(np.float32)), tiled, "channel_mean"),
            "channel_std": _spread(list(measured.std.astype(np.float32)), tiled, "channel_std"),
            "digest": [image.digest] * len(windows),
            "height_px": [window.height_px for window in windows],
            "width_px": [window.width_px for window in windows],
            "position": position,
            "left_out": [window.left_out for window in windows],
            "runs": _spread(image.runs, large, "runs"),
            "points": image.points or pa.nulls(len(windows), SCHEMA.field("points").type),
        }
        self._batches.append(pa.RecordBatch.from_pydict(columns, SCHEMA))
        self._tiles += int(tiled.sum())
        self._held += len(windows)
        self._runs_held += sum(map(len, image.runs))
        if self._held >= ROWS_HELD or self._runs_held >= RUNS_HELD:
            self._flush()

    def _flush(self) -> None:
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches).combine_chunks())
            self._batches.clear()
            self._held = self._runs_held = 0


def _spread(values: Sequence[Any] | NDArray[Any], where: NDArray[np.bool_], column: str) -> pa.Array:
    """Return a column with one of the values, in their order, where `where` (rows,) is true, and null elsewhere."""
    found = pa.array(values, SCHEMA.field(column).type)
    return found if where.all() else found.take(pa.array(np.cumsum(where) - 1, mask=~where))
