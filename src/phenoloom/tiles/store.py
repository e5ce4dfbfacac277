"""The tile store: a Zarr v3 group with `tiles (n, c, y, x)` and, where the study has masks, `masks (n, y, x)`.

Inner chunk = one tile, so that a random read decodes nothing else. `tiles.shard_file` writes and reads the files; any
Zarr reader reads the same pixels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from ..core.errors import PhenoloomError
from .shard_file import LEVELS, SHUFFLES, Layout, ShardReader, ShardWriter, writing

SCHEMA = 1
"""Version of the layout, in the group's attributes as `phenoloom`."""

DIMENSIONS = {"tiles": ("tile", "channel", "y", "x"), "masks": ("tile", "y", "x")}
_REMEDY = "convert the shard again"
_KEYS = {"name": "default", "configuration": {"separator": "."}}
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}

Rows = Sequence[int] | NDArray[np.integer[Any]]


class TileWriter:
    """A writer of a store, tile by tile in order; `encode` may run in many threads, `append` in one.

    The store cannot be opened before `close`, which writes the metadata with the attributes given to it. As a context
    manager it closes its files when something fails before that.

    Args:
        path: Folder of the store; it must not exist.
        tiles: Layout of the tiles (c, h, w).
        masks: Layout of their masks (h, w); None: the store has no masks.

    Raises:
        PhenoloomError: The folder cannot be made or written.
    """

    def __init__(self, path: Path, tiles: Layout, masks: Layout | None = None) -> None:
        self.path = path
        layouts = {"tiles": tiles} if masks is None else {"tiles": tiles, "masks": masks}
        with writing(path):
            path.mkdir(parents=True)
        self._writers = {name: ShardWriter(path / name, layout) for name, layout in layouts.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.abandon()

    def __len__(self) -> int:
        return self._writers["tiles"].count

    def encode(self, tile: NDArray[Any], mask: NDArray[Any] | None = None) -> dict[str, bytes]:
        """Compress a tile (c, y, x) and its mask (y, x)."""
        items = {"tiles": tile} if mask is None else {"tiles": tile, "masks": mask}
        return {name: self._writers[name].layout.encode(item) for name, item in items.items()}

    def append(self, encoded: dict[str, bytes]) -> None:
        """Write an encoded tile after the last one."""
        self.extend([encoded])

    def extend(self, encoded: Sequence[dict[str, bytes]]) -> None:
        """Write encoded tiles after the last one, in few calls of the system."""
        for name, writer in self._writers.items():
            writer.extend([item[name] for item in encoded])

    def close(self, attributes: dict[str, Any]) -> str:
        """Finish the files and write the metadata; return xxh3-128 over the encoded items of all arrays as hex."""
        content = xxhash.xxh3_128()
        group = zarr.create_group(self.path, zarr_format=3, attributes={"phenoloom": SCHEMA, **attributes})
        for name, writer in self._writers.items():
            writer.finish_file()
            layout = writer.layout
            group.create_array(
                name,
                shape=(writer.count, *layout.item),
                dtype=layout.dtype,
                chunks=(1, *layout.item),
                shards=(layout.per_file, *layout.item),
                compressors=BloscCodec(**layout.blosc),
                chunk_key_encoding={"name": "default", "separator": "."},
                dimension_names=DIMENSIONS[name],
                fill_value=0,
            )
            content.update(writer.digest.digest())
        return content.hexdigest()

    def arrays(self) -> dict[str, dict[str, Any]]:
        """Return shape and dtype by array name, for the manifest."""
        return {
            name: {"shape": [writer.count, *writer.layout.item], "dtype": writer.layout.dtype.name}
            for name, writer in self._writers.items()
        }


class TileStore:
    """A reader of a store; threads may share one instance.

    Attributes:
        path: Folder of the store.
        attrs: Attributes of the store: names of channels, size of a pixel, statistics.
        shape: Shape (n, c, h, w) of its tiles.
        dtype: Type of the pixels.

    Raises:
        PhenoloomError: The store is missing, damaged, or written by another program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        metadata = _metadata(path)
        self.attrs: dict[str, Any] = metadata.get("attributes", {})
        if self.attrs.get("phenoloom") != SCHEMA:
            raise PhenoloomError(
                f"{path}: expected a tile store of schema {SCHEMA}, found {self.attrs.get('phenoloom')!r}; {_REMEDY}"
            )
        self._tiles = _open_array(path, "tiles")
        self._masks = _open_array(path, "masks") if (path / "masks" / "zarr.json").is_file() else None
        self.shape, self.dtype = self._tiles.shape, self._tiles.dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def has_masks(self) -> bool:
        """Whether the store holds masks."""
        return self._masks is not None

    def read(self, rows: Rows, out: NDArray[Any] | None = None, threads: int = 1) -> NDArray[Any]:
        """Read tiles as (b, c, h, w) in the camera's dtype.

        Args:
            rows: Positions of b tiles in the store, in any order.
            out: C-contiguous array to decode into; reusing one is 2 to 3 times faster than a fresh one.
            threads: Threads that decode, outside the interpreter lock.
        """
        return _read_rows(self._tiles, rows, out, threads)

    def read_masks(self, rows: Rows, out: NDArray[Any] | None = None, threads: int = 1) -> NDArray[Any]:
        """Read masks of tiles as (b, h, w): 1 for the tile's own object (uint8), or the labels of a grid tile.

        Args:
            rows: Positions of b tiles in the store, in any order.
            out: C-contiguous array to decode into.
            threads: Threads that decode.

        Raises:
            PhenoloomError: The store holds no masks.
        """
        if self._masks is None:
            raise PhenoloomError(f"{self.path} holds no masks; set `source.masks` in the study and convert again")
        return _read_rows(self._masks, rows, out, threads)


def _read_rows(array: ShardReader, rows: Rows, out: NDArray[Any] | None, threads: int) -> NDArray[Any]:
    wanted = np.asarray(rows, np.int64)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= array.shape[0]):
        raise IndexError(f"expected rows from 0 to {array.shape[0] - 1}, found {wanted.min()} to {wanted.max()}")
    shape = (len(wanted), *array.shape[1:])
    if out is None:
        out = np.empty(shape, array.dtype)
    elif out.shape != shape or out.dtype != array.dtype or not out.flags.c_contiguous:
        raise ValueError(f"expected out as C-contiguous {shape} {array.dtype}, found {out.shape} {out.dtype}")
    parts = min(threads, len(wanted))
    if parts <= 1:
        array.read(wanted, out)
        return out
    cuts = np.linspace(0, len(wanted), parts + 1).astype(int).tolist()
    spans = [slice(start, end) for start, end in pairwise(cuts)]
    for done in [_pool(threads).submit(array.read, wanted[span], out[span]) for span in spans]:
        done.result()
    return out


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="tiles")


def _open_array(path: Path, name: str) -> ShardReader:
    metadata = _metadata(path / name)
    layout = _layout(metadata)
    if layout is None:
        raise PhenoloomError(
            f"{path}: expected {name} with the chunks and codecs of a tile store, found others; {_REMEDY}"
        )
    return ShardReader(path / name, tuple(metadata["shape"]), layout)


def _metadata(path: Path) -> dict[str, Any]:
    file = path / "zarr.json"
    try:
        metadata: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PhenoloomError(f"expected a Zarr v3 store, found no {file}; run `convert` for this shard") from None
    except json.JSONDecodeError as error:
        raise PhenoloomError(f"{file}: expected JSON, found {error}; {_REMEDY}") from None
    return metadata


def _layout(metadata: dict[str, Any]) -> Layout | None:
    """Return the layout that the metadata describes, or None where `TileWriter` writes no such metadata."""
    shard = metadata["chunk_grid"]["configuration"].get("chunk_shape", [0])
    inner = metadata["codecs"][0].get("configuration", {}).get("codecs", [{}])[-1]
    blosc = inner.get("configuration", {})
    compression, shuffle = blosc.get("cname"), blosc.get("shuffle")
    if compression not in LEVELS or shuffle not in SHUFFLES:
        return None
    layout = Layout(tuple(metadata["shape"][1:]), np.dtype(metadata["data_type"]), shard[0], compression, shuffle)
    # The reader need not know how hard the writer tried: every block of Blosc states how it was compressed.
    effort = {key: blosc.get(key) for key in ("clevel", "blocksize")}
    sharding = {
        "chunk_shape": [1, *layout.item],
        "codecs": [
            _LITTLE if layout.dtype.itemsize > 1 else {"name": "bytes"},
            {"name": "blosc", "configuration": {**layout.blosc, **effort}},
        ],
        "index_codecs": [_LITTLE, {"name": "crc32c"}],
        "index_location": "end",
    }
    same = (
        metadata["codecs"] == [{"name": "sharding_indexed", "configuration": sharding}]
        and metadata["chunk_key_encoding"] == _KEYS
        and shard[1:] == list(layout.item)
    )
    return layout if same else None
