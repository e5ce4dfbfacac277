"""What a model looks at: tiles of all shards, or contours of all shards, as one source of items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from .data import Rows
from .errors import PhenoloomError
from .manifest import read_manifest
from .store import TileStore


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
    """Contours (points, 2) of the rows of an index, centred and divided by their scale, in memory as float32.

    `found` is the mask of the rows that have a contour (an object may have been rejected on the way); item i belongs
    to row i of `table[found]`. `scale` is the root mean square distance from the centroid in px.
    """

    def __init__(self, table: pd.DataFrame, stores: Sequence[Path]) -> None:
        contours, facts = _read_contours(stores)
        positions = pd.Series(np.arange(len(facts)), index=facts["id"]).reindex(table["id"])
        self.found: NDArray[np.bool_] = positions.notna().to_numpy()
        kept = positions.to_numpy()[self.found].astype(np.int64)
        self.scale: NDArray[np.float32] = facts["scale"].to_numpy(np.float32)[kept]
        self._contours = np.ascontiguousarray(contours[kept] / self.scale[:, None, None], np.float32)
        self.item: tuple[int, ...] = self._contours.shape[1:]
        self.dtype = self._contours.dtype

    def __len__(self) -> int:
        return len(self._contours)

    def file_order(self, rows: Rows) -> NDArray[np.int64]:
        """Positions in `rows` as they are: contours lie in memory."""
        return np.arange(len(rows))

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        """Copy the contours of `rows` into `out` (len(rows), points, 2)."""
        np.take(self._contours, rows, axis=0, out=out)


def _open_tiles(manifest: Path) -> TileStore:
    read_manifest(manifest)
    return TileStore(manifest.with_suffix(".zarr"))


def _read_contours(stores: Sequence[Path]) -> tuple[NDArray[np.float32], pd.DataFrame]:
    contours: list[NDArray[np.float32]] = []
    facts: list[pd.DataFrame] = []
    for manifest in stores:
        read_manifest(manifest)
        group = zarr.open_group(manifest.with_suffix(".zarr"), mode="r")
        contours.append(np.asarray(group["contours"][:], np.float32))  # type: ignore[index]
        facts.append(pq.read_table(manifest.with_suffix(".parquet"), columns=["id", "scale"]).to_pandas())
    points = {array.shape[1] for array in contours}
    if len(points) != 1:
        raise PhenoloomError(
            f"All shards must hold contours of one number of points, found {sorted(points)}; rerun the step `contours`"
        )
    return np.concatenate(contours), pd.concat(facts, ignore_index=True)
