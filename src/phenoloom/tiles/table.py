"""Write the table beside a tile store: one row a tile in the order of the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .crop import Window
from .measure import Measurements

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
    ]
)

ROWS_HELD = 8192
"""Rows kept in memory before they are written as one row group."""


class TileTable:
    """A writer of `tiles/<shard>.parquet`, row group by row group."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA)
        self._batches: list[pa.RecordBatch] = []
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def append(
        self, image_id: str, windows: Sequence[Window], foreground: Sequence[float], measured: Measurements, digest: str
    ) -> None:
        """Add the rows of one image's tiles.

        Args:
            image_id: Id of the image.
            windows: Where each tile lies.
            foreground: Fraction of each tile that is foreground.
            measured: Measurements of the tiles.
            digest: Digest of the image's pixels.
        """
        columns = {
            "id": [f"{image_id}#{window.name}" for window in windows],
            "image_id": [image_id] * len(windows),
            "object": [window.object for window in windows],
            "y": [window.y for window in windows],
            "x": [window.x for window in windows],
            "foreground": foreground,
            "focus": measured.focus,
            "saturation": measured.saturation,
            "area_px": [window.area_px for window in windows],
            "border": [window.border for window in windows],
            "channel_mean": list(measured.mean.astype(np.float32)),
            "channel_std": list(measured.std.astype(np.float32)),
            "digest": [digest] * len(windows),
        }
        self._batches.append(pa.RecordBatch.from_pydict(columns, SCHEMA))
        self._held += len(windows)
        if self._held >= ROWS_HELD:
            self._flush()

    def _flush(self) -> None:
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches).combine_chunks())
            self._batches.clear()
            self._held = 0
