"""What a model looks at: tiles of all shards, or contours of all shards, as one source of items."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.manifest import read_manifest
from ..core.errors import PhenoloomError
from ..shapes.store import ContourStore
from ..tiles.store import TileStore
from .loader import Rows

_CONTOURS_A_BLOCK = 4096


def stores_in(folder: Path, index: Path) -> list[Path]:
    """Manifests of the stores in the folder of a view (`tiles` or `shapes`) of all shards that the index names."""
    shards = pq.read_table(index, columns=["shard"])["shard"].unique().to_pylist()
    return [folder / f"{shard}.json" for shard in sorted(shards)]


class TileView:
    """Tiles (c, y, x) of the rows of an index, in the camera's dtype; item i belongs to row i of `table`."""

    def __init__(self, table: pd.DataFrame, stores: Sequence[Path]) -> None:
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
        for name, store in opened.items():
            if store.shape[1:] != self.item or store.dtype != self.dtype:
                raise PhenoloomError(
                    f"All shards must hold tiles of {self.item} {self.dtype} like {names[0]}, but {name} holds "
                    f"{store.shape[1:]} {store.dtype}; rerun the step `convert`"
                )

    def __len__(self) -> int:
        return len(self._position)

    def file_order(self, rows: Rows) -> NDArray[np.int64]:
        """Positions in `rows` in the order in which their tiles lie in the stores."""
        return np.asarray(np.lexsort((self._position[rows], self._shard[rows])), np.int64)

    @property
    def pixel_size_um(self) -> float | None:
        """Pixel size in µm, as far as the study tells it."""
        size = self._stores[0].attrs.get("pixel_size_um")
        return None if size is None else float(size)

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        """Decode the tiles of `rows` into `out` (len(rows), c, y, x)."""
        shards, positions = self._shard[rows], self._position[rows]
        bounds = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(rows)]
        for start, end in pairwise(bounds):
            if start < end:
                self._stores[shards[start]].read(positions[start:end], out[start:end])


class ShapeView:
    """Contours (points, 2) of the rows of an index, centred and divided by their scale, as float32.

    `found` is the mask of the rows that have a contour (an object may have been rejected on the way); item i belongs
    to row i of `table[found]`. `scale` is the root mean square distance from the centroid in px.
    Contours are held in memory, which training reads in any order, or, given a folder `scratch`, in a file without a
    name there, so that memory does not grow with the study.
    """

    def __init__(self, table: pd.DataFrame, stores: Sequence[Path], scratch: Path | None = None) -> None:
        opened = [ContourStore(manifest) for manifest in stores]
        ids = np.concatenate([store.ids.to_numpy() for store in opened])
        positions = pd.Series(np.arange(len(ids)), index=ids).reindex(table["id"])
        self.found: NDArray[np.bool_] = positions.notna().to_numpy()
        self._rows = positions.to_numpy()[self.found].astype(np.int64)
        scales = [store.scales for store in opened]
        every = np.concatenate(scales)
        self.scale: NDArray[np.float32] = every[self._rows]
        self.item = _item_of(opened)
        self.dtype = np.dtype(np.float32)
        self._held = _Memory(len(every), self.item) if scratch is None else _File(scratch, self.item)
        for store, scale in zip(opened, scales, strict=True):
            for start, block in store.blocks(_CONTOURS_A_BLOCK):
                self._held.append(block / scale[start : start + len(block), None, None])

    def __len__(self) -> int:
        return len(self._rows)

    def file_order(self, rows: Rows) -> NDArray[np.int64]:
        """Positions in `rows` as they are: contours lie in memory."""
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
    """Items in a file without a name, which no kill leaves behind; what is read of it is no memory of the process."""

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
