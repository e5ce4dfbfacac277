"""The store of contours: a Zarr v3 group with `contours (n, points, 2)`, and a table with one row a contour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BloscShuffle

from ..artifacts.manifest import file_digest, read_manifest
from ..artifacts.parquet import read_result
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError

CONVENTIONS = {
    "axes": ["contour", "point", "xy"],
    "unit": "px",
    "frame": "x to the right, y down as in the image; pixel centres are integers",
    "closed": "the last point is joined to the first and does not repeat it",
    "spacing": "equal arc length along the outline",
    "orientation": "counter-clockwise if y is drawn upwards (positive signed area of x, y)",
    "start": "the outline's vertex of largest x, of those the one of largest y",
    "origin": "centroid of the polygon; the table's centre_x, centre_y place it in the image",
    "scale": "not divided out; the table's scale is the root mean square distance of the points from the centroid",
}

TABLE = pa.schema(
    [
        ("id", pa.string()),
        ("image_id", pa.string()),
        ("object", pa.int32()),
        ("scale", pa.float32()),
        ("centre_y", pa.float32()),
        ("centre_x", pa.float32()),
        ("components", pa.int16()),
        ("holes", pa.int16()),
        ("border", pa.bool_()),
        ("vertices", pa.int32()),
        ("digest", pa.string()),
        ("points", pa.list_(pa.int64())),
    ]
)

_CHUNK_BYTES = 1 << 17
_SHARD_BYTES = 1 << 25


class ArrayWriter:
    """A writer of float32 items of one shape to an array of a new Zarr group, one whole shard file at a time.

    Attributes:
        count: Items appended so far.
    """

    def __init__(self, store: Path, name: str, item: tuple[int, ...], attributes: dict[str, Any]) -> None:
        """Create the group.

        Args:
            store: Folder of the group, which must not exist.
            name: Name of the array.
            item: Shape of one item.
            attributes: Attributes of the group.
        """
        size = 4 * int(np.prod(item))
        rows = max(1, _CHUNK_BYTES // size)
        per_file = rows * max(1, _SHARD_BYTES // (rows * size))
        self._group = zarr.create_group(store, zarr_format=3, attributes=attributes)
        self._array = self._group.create_array(
            name,
            shape=(0, *item),
            dtype="float32",
            chunks=(rows, *item),
            shards=(per_file, *item),
            compressors=BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.shuffle, typesize=4),
        )
        self.count = 0
        self._name, self._item = name, item
        self._waiting = np.empty((per_file, *item), np.float32)
        self._written = 0
        self._digest = xxhash.xxh3_128()

    def append(self, items: NDArray[np.floating[Any]]) -> None:
        """Write items (k, *item) after the last one."""
        while len(items):
            used = self.count - self._written
            take = items[: len(self._waiting) - used]
            self._waiting[used : used + len(take)] = take
            self.count += len(take)
            items = items[len(take) :]
            if self.count - self._written == len(self._waiting):
                self._flush()

    def close(self) -> str:
        """Write what is left, and return the digest of the items' bytes, as hex."""
        self._flush()
        return self._digest.hexdigest()

    def arrays(self) -> dict[str, dict[str, Any]]:
        """Return shape and dtype for the manifest."""
        return {self._name: {"shape": [self.count, *self._item], "dtype": "float32"}}

    def _flush(self) -> None:
        items = self._waiting[: self.count - self._written]
        if not len(items):
            return
        self._digest.update(items.data)
        self._array.resize((self.count, *self._item))
        self._array[self._written :] = items
        self._written = self.count


def write_table(manifest: Path, table: pa.Table) -> str:
    """Write the table beside the manifest by atomic rename, and return its digest."""
    path = manifest.with_suffix(".parquet")
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)
    return file_digest([path])


class ContourStore:
    """The contours of one finished shard, read block by block, with their ids and scales.

    Attributes:
        path: The Zarr group.
        shape: (contours, points, 2).
    """

    def __init__(self, manifest: Path) -> None:
        """Open the store of a manifest.

        Raises:
            PhenoloomError: The manifest is not that of a finished store, or states another shape than the store has.
        """
        self.shape: tuple[int, ...] = tuple(read_manifest(manifest)["arrays"]["contours"]["shape"])
        self.path = manifest.with_suffix(".zarr")
        self._array = zarr.open_array(self.path / "contours", mode="r")
        self._table = manifest.with_suffix(".parquet")
        if self._array.shape != self.shape:
            raise PhenoloomError(
                f"{manifest} states contours {self.shape}, but {self.path} holds {self._array.shape}; "
                f"rerun the step `contours`"
            )

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ids(self) -> pa.ChunkedArray:
        """Ids of the contours, in the order of the store."""
        return read_result(self._table, columns=["id"])["id"]

    @property
    def scales(self) -> NDArray[np.float32]:
        """Root mean square distance of each contour's points from its centroid, in px (contours,)."""
        return np.asarray(read_result(self._table, columns=["scale"])["scale"], np.float32)

    def blocks(self, rows: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the position of each block's first contour, and the block in px (at most `rows`, points, 2)."""
        for start in range(0, len(self), rows):
            yield start, np.asarray(self._array[start : start + rows], np.float32)
