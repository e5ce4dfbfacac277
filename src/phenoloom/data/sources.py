"""Items of a study in the order of its index: the tiles, or the contours, of all shards as one source."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..artifacts.manifest import read_manifest
from ..core.errors import PhenoloomError
from ..shapes.store import ContourStore
from ..tiles.store import TileStore
from .loader import Rows, Source

_CONTOURS_A_BLOCK = 4096


class StudySource(Source, Protocol):
    """Items of one study; item i belongs to row i of a table of its index."""

    @property
    def channels(self) -> list[str] | None:
        """Return the names of the channels of a tile, or None where the items are not tiles."""

    @property
    def pixel_size_um(self) -> float | None:
        """Return the size of a pixel in µm, or None where it is not known or does not matter."""

    @property
    def scale(self) -> NDArray[np.float32] | None:
        """Return the size (items,) in px that each item was divided by, or None where it was not."""

    def file_order(self, rows: Rows) -> NDArray[np.int64]:
        """Return positions in `rows` in the order in which their items lie in the stores."""


class TileSource:
    """Tiles (c, y, x) of the rows of an index, in the camera's dtype.

    Attributes:
        item: Shape (c, y, x) of a tile.
        dtype: Dtype of its values.
        channels: Names of the channels.
        pixel_size_um: Size of a pixel in µm; None where the study does not state it.
        scale: None, because tiles are not divided by a size.
    """

    scale: NDArray[np.float32] | None = None

    def __init__(self, table: pd.DataFrame, stores: Sequence[Path]) -> None:
        """Open the stores of the rows of `table`, by their `shard` and `position`.

        Raises:
            PhenoloomError: The store of a shard is missing, or the stores hold tiles of different shapes or dtypes.
        """
        opened = {path.stem: _open_tiles(path) for path in stores}
        missing = sorted(set(table["shard"]) - set(opened))
        if missing:
            raise PhenoloomError(
                f"The index has tiles of shard {', '.join(missing)}, but no such store was given; rerun `convert`"
            )
        names = sorted(opened)
        self._stores = [opened[name] for name in names]
        self._shard = pd.Categorical(table["shard"], categories=names).codes.astype(np.int64)
        self._position = table["position"].to_numpy(np.int64)
        first = self._stores[0]
        self.item: tuple[int, ...] = first.shape[1:]
        self.dtype: np.dtype[Any] = first.dtype
        self.channels: list[str] = list(first.attrs["channels"])
        size = first.attrs.get("pixel_size_um")
        self.pixel_size_um: float | None = None if size is None else float(size)
        for name, store in opened.items():
            if store.shape[1:] != self.item or store.dtype != self.dtype:
                raise PhenoloomError(
                    f"All shards must hold tiles of {self.item} {self.dtype} like {names[0]}, but {name} holds "
                    f"{store.shape[1:]} {store.dtype}; rerun the step `convert`"
                )

    def __len__(self) -> int:
        return len(self._position)

    def file_order(self, rows: Rows) -> NDArray[np.int64]:
        """Return positions in `rows` in the order in which their tiles lie in the stores."""
        return np.asarray(np.lexsort((self._position[rows], self._shard[rows])), np.int64)

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        """Decode the tiles of `rows` into `out` (len(rows), c, y, x)."""
        shards, positions = self._shard[rows], self._position[rows]
        bounds = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(rows)]
        for start, end in pairwise(bounds):
            if start < end:
                self._stores[shards[start]].read(positions[start:end], out[start:end])


class ContourSource:
    """Contours (points, 2) of the rows of an index, centred and divided by their scale, as float32.

    Attributes:
        found: Mask of the rows that have a contour, which a rejected object has not; item i belongs to row i of
            `table[found]`.
        scale: Root mean square distance of each contour's points from its centroid, in px.
        item: Shape (points, 2) of a contour.
        dtype: float32.
        channels: None, because contours have none.
        pixel_size_um: None, because a contour is divided by its size.
    """

    channels: list[str] | None = None
    pixel_size_um: float | None = None

    def __init__(self, table: pd.DataFrame, stores: Sequence[Path], scratch: Path | None = None) -> None:
        """Read the contours of the rows of `table` by their `id`.

        Args:
            table: Rows of the index.
            stores: Manifests of all shards.
            scratch: Folder for a file without a name that holds the contours, so that memory does not grow with the
                study; without it they are held in memory, which training reads in any order.

        Raises:
            PhenoloomError: The stores hold contours of different numbers of points.
        """
        opened = [ContourStore(manifest) for manifest in stores]
        ids = np.concatenate([store.ids.to_numpy() for store in opened])
        positions = pd.Series(np.arange(len(ids)), index=ids).reindex(table["id"])
        self.found: NDArray[np.bool_] = positions.notna().to_numpy()
        self._rows = positions.to_numpy()[self.found].astype(np.int64)
        scales = [store.scales for store in opened]
        every = np.concatenate(scales)
        self.scale: NDArray[np.float32] = every[self._rows]
        self.item: tuple[int, ...] = _item_of(opened)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self._held = _Memory(len(every), self.item) if scratch is None else _File(scratch, self.item)
        for store, scale in zip(opened, scales, strict=True):
            for start, block in store.blocks(_CONTOURS_A_BLOCK):
                self._held.append(block / scale[start : start + len(block), None, None])

    def __len__(self) -> int:
        return len(self._rows)

    def file_order(self, rows: Rows) -> NDArray[np.int64]:
        """Return the positions in `rows` as they are, because contours lie in memory."""
        return np.arange(len(rows))

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        """Copy the contours of `rows` into `out` (len(rows), points, 2)."""
        self._held.read(self._rows[rows], out)


class _Memory:
    """Items in one array."""

    def __init__(self, count: int, item: tuple[int, ...]) -> None:
        self._items, self._filled = np.empty((count, *item), np.float32), 0

    def append(self, items: NDArray[np.float32]) -> None:
        self._items[self._filled : self._filled + len(items)] = items
        self._filled += len(items)

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        np.take(self._items, rows, axis=0, out=out)


class _File:
    """Items in a file without a name, which no kill leaves behind, and which takes no memory of the process."""

    def __init__(self, folder: Path, item: tuple[int, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)
        self._bytes = 4 * int(np.prod(item))

    def append(self, items: NDArray[np.float32]) -> None:
        self._file.write(items.data)
        self._file.flush()

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        # By position, so that threads may read at once.
        for place, row in enumerate(rows.tolist()):
            if os.preadv(self._file.fileno(), [out[place].data], row * self._bytes) != self._bytes:
                raise OSError(f"contour {row} could not be read from the scratch file")


def _open_tiles(manifest: Path) -> TileStore:
    read_manifest(manifest)
    return TileStore(manifest.with_suffix(".zarr"))


def _item_of(stores: Sequence[ContourStore]) -> tuple[int, ...]:
    """Return the shape of one contour, (points, 2), that all stores share."""
    shapes = {store.shape[1:] for store in stores}
    if len(shapes) != 1:
        raise PhenoloomError(
            f"All shards must hold contours of one number of points, found {sorted(s[0] for s in shapes)}; rerun the "
            "step `contours`"
        )
    return shapes.pop()
