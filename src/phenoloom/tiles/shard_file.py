"""Write and read shard files of Zarr v3: compressed items one after another, then an index with a checksum.

Format: Zarr v3 core specification and its `sharding_indexed` codec, version 1.0. Written and read by hand because that
is several times faster than a general reader; any Zarr reader reads the same numbers.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import google_crc32c
import imagecodecs
import numpy as np
import xxhash
from numpy.typing import NDArray

from ..core.errors import PhenoloomError
from .file_cache import OpenFiles

_codec: Any = imagecodecs  # its stubs know bytes only, no arrays

LEVELS = {"lz4": 5, "zstd": 5}

BITS, BYTES = "bitshuffle", "shuffle"
SHUFFLES = (BYTES, BITS)
"""What is brought together before compression: the equal bytes of all elements, or their equal bits."""

_BLOCK_BYTES = {("lz4", BITS): 1 << 15}
"""Blosc's own choice (0, elsewhere) outgrows the fast caches where bits are shuffled: lz4 encodes a tenth slower then
and saves 0.5 % of bytes. Of bytes it decodes a tenth faster."""

_WORTH = {"lz4": 0.05, "zstd": 0.0}
"""Share of the bytes of an array that shuffling bits must save: lz4 is there to be read fast, zstd to be small."""

_MISSING = 2**64 - 1
_CRC_BYTES = 4
_VECTORS = os.sysconf("SC_IOV_MAX")
_REMEDY = "delete the shard's manifest and convert it again"


@dataclass(frozen=True)
class Layout:
    """One array of a store: items of equal shape along the first axis.

    Attributes:
        item: Shape of one item, which is one inner chunk.
        dtype: Type of its elements.
        per_file: Items in one shard file.
        compression: Codec inside Blosc, `lz4` or `zstd`.
        shuffle: One of `SHUFFLES` (see `better_shuffle`).
    """

    item: tuple[int, ...]
    dtype: np.dtype[Any]
    per_file: int
    compression: str
    shuffle: str = BYTES

    @cached_property
    def nbytes(self) -> int:
        """Return the bytes of one item."""
        return math.prod(self.item) * self.dtype.itemsize

    @property
    def index_bytes(self) -> int:
        """Return the bytes of the index: offset and length of each item, and a checksum."""
        return 16 * self.per_file + _CRC_BYTES

    @cached_property
    def blosc(self) -> dict[str, Any]:
        """Return the configuration of the Blosc codec.

        Bits are shuffled only where the number of elements is a multiple of 8: elsewhere Blosc leaves them as they are
        in silence, and shuffled bytes compress better.
        """
        shuffle = self.shuffle if math.prod(self.item) % 8 == 0 else BYTES
        return {
            "typesize": self.dtype.itemsize,
            "cname": self.compression,
            "clevel": LEVELS[self.compression],
            "shuffle": shuffle,
            "blocksize": _BLOCK_BYTES.get((self.compression, shuffle), 0),
        }

    def encode(self, item: NDArray[Any]) -> bytes:
        """Compress one item; safe to call from many threads."""
        blosc = self.blosc
        # The element size comes from the array: imagecodecs ignores `typesize` for arrays and bytes.
        encoded: bytes = _codec.blosc_encode(
            np.ascontiguousarray(item, self.dtype),
            level=blosc["clevel"],
            compressor=blosc["cname"],
            shuffle=blosc["shuffle"],
            blocksize=blosc["blocksize"],
            numthreads=1,
        )
        return encoded

    def decode(self, data: memoryview, out: NDArray[np.uint8]) -> None:
        """Decompress one item into its bytes `out`; the interpreter lock is released meanwhile."""
        decoded = _codec.blosc_decode(data, numthreads=1, out=out)
        if len(decoded) != self.nbytes:
            raise ValueError(f"expected {self.nbytes} bytes, found {len(decoded)}")

    def file_name(self, number: int) -> str:
        """Return the name of a shard file; all files of an array lie in one flat folder."""
        return ".".join(["c", str(number)] + ["0"] * len(self.item))


def better_shuffle(sample: NDArray[Any], compression: str) -> str:
    """Return how items that look like a sample are better shuffled: `shuffle` (bytes) or `bitshuffle`.

    Each study is tried, as no fixed choice and none by dtype suits all cameras. Of 16-bit images in lz4, bits take 0.60
    of the size of bytes where 12 bits fill the upper ones of 16, 0.65 on images of Cell Painting, and 0.98 on camera
    noise, where they take 3 times as long to decode.

    Args:
        sample: Pixels of any shape.
        compression: Codec inside Blosc; bits must save more of the size the faster it is (`_WORTH`).
    """
    whole = np.ascontiguousarray(sample).reshape(-1)
    whole = whole[: len(whole) // 8 * 8]
    sizes = {way: len(Layout(whole.shape, whole.dtype, 1, compression, way).encode(whole)) for way in SHUFFLES}
    return BITS if sizes[BYTES] - sizes[BITS] > _WORTH[compression] * whole.nbytes else BYTES


class ShardWriter:
    """A writer that appends encoded items to shard files, one file open at a time."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder, self.layout = folder, layout
        self.count = 0
        self.digest = xxhash.xxh3_128()
        self._file: IO[bytes] | None = None
        self._index: list[tuple[int, int]] = []
        self._end = 0
        with writing(folder):
            folder.mkdir(parents=True)

    def extend(self, encoded: Sequence[bytes]) -> None:
        """Write encoded items after the last one: one system call a shard file, as calls cost more than bytes."""
        for item in encoded:
            self.digest.update(item)
        left = list(encoded)
        while left:
            number, position = divmod(self.count, self.layout.per_file)
            part, left = left[: self.layout.per_file - position], left[self.layout.per_file - position :]
            self._write(self.folder / self.layout.file_name(number), part)
            self.count += len(part)
            if len(self._index) == self.layout.per_file:
                self.finish_file()

    def _write(self, path: Path, items: list[bytes]) -> None:
        with writing(path):
            if self._file is None:
                self._file = path.open("xb", buffering=0)
                self._index, self._end = [], 0
            _write_all(self._file, items)
        for item in items:
            self._index.append((self._end, len(item)))
            self._end += len(item)

    def finish_file(self) -> None:
        """Write the index behind the items of the open file and close it."""
        if self._file is None:
            return
        missing = [(_MISSING, _MISSING)] * (self.layout.per_file - len(self._index))
        index = np.array(self._index + missing, "<u8").tobytes()
        with writing(self.folder):
            _write_all(self._file, [index, google_crc32c.value(index).to_bytes(_CRC_BYTES, "little")])
        self.abandon()

    def abandon(self) -> None:
        """Close the open file as it is."""
        if self._file is not None:
            self._file.close()
            self._file = None


class ShardReader:
    """A reader of the items of one array; safe to use from many threads.

    Each index is parsed once. An item is one `pread` into a buffer of the thread, and is decompressed into the array of
    the caller.
    """

    _files = OpenFiles()
    _owners = itertools.count()
    _scratch = threading.local()

    def __init__(self, folder: Path, shape: tuple[int, ...], layout: Layout) -> None:
        self.folder, self.shape, self.layout, self.dtype = folder, shape, layout, layout.dtype
        self._indexes: dict[int, memoryview] = {}
        self._paths: dict[int, Path] = {}
        self._owner = next(self._owners)
        weakref.finalize(self, self._files.drop, self._owner)

    def read(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Decode items `rows` into `out`, (rows, *item)."""
        items = out.reshape(len(rows), math.prod(self.layout.item)).view(np.uint8)
        for row, item in zip(rows.tolist(), items, strict=True):
            number, position = divmod(row, self.layout.per_file)
            self._read_item(number, position, item)

    def _read_item(self, number: int, position: int, out: NDArray[np.uint8]) -> None:
        file = self._open(number)
        index = self._indexes.get(number)
        if index is None:
            index = self._indexes[number] = read_index(file, self.layout, self._path(number)).reshape(-1).data
        offset, nbytes = index[2 * position], index[2 * position + 1]
        if offset == _MISSING:
            raise self._damaged(number, position, "was never written")
        buffer = self._buffer(nbytes)
        if os.preadv(file.fileno(), [buffer], offset) != nbytes:
            raise self._damaged(number, position, "is cut off")
        try:
            self.layout.decode(buffer, out)
        except (imagecodecs.BloscError, ValueError) as error:
            raise self._damaged(number, position, f"cannot be decoded ({error})") from None

    def _open(self, number: int) -> IO[bytes]:
        path = self._path(number)
        try:
            return self._files.get((self._owner, number), path)
        except FileNotFoundError:
            raise PhenoloomError(f"{path}: expected a shard file, found none; {_REMEDY}") from None

    def _path(self, number: int) -> Path:
        # Building a path anew costs more than finding the open file.
        path = self._paths.get(number)
        if path is None:
            path = self._paths[number] = self.folder / self.layout.file_name(number)
        return path

    def _buffer(self, nbytes: int) -> memoryview:
        # A fresh buffer for every item costs more than the read itself (page faults).
        held: memoryview | None = getattr(self._scratch, "buffer", None)
        if held is None or len(held) < nbytes:
            held = self._scratch.buffer = memoryview(bytearray(nbytes + nbytes // 4))
        return held[:nbytes]

    def _damaged(self, number: int, position: int, what: str) -> PhenoloomError:
        return PhenoloomError(
            f"{self._path(number)}: expected a whole shard file, but item {position} {what}; {_REMEDY}"
        )


def read_index(file: IO[bytes], layout: Layout, path: Path) -> NDArray[np.uint64]:
    """Read offsets and lengths, (per_file, 2), of a shard file; PhenoloomError where it is cut off or damaged."""
    descriptor = file.fileno()
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, layout.index_bytes, max(size - layout.index_bytes, 0))
    index, checksum = data[:-_CRC_BYTES], int.from_bytes(data[-_CRC_BYTES:], "little")
    if len(data) != layout.index_bytes or google_crc32c.value(index) != checksum:
        raise PhenoloomError(
            f"{path}: expected an index of {layout.index_bytes} bytes with its checksum at the end, found a damaged or "
            f"cut off file of {size} bytes; {_REMEDY}"
        )
    return np.frombuffer(index, "<u8").reshape(-1, 2).astype(np.uint64)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into a sentence."""
    try:
        yield
    except OSError as error:
        raise PhenoloomError(
            f"{path} cannot be written ({error.strerror or error}); look at free space, quota and permissions, then "
            "run the step again"
        ) from error


def _write_all(file: IO[bytes], items: Sequence[bytes]) -> None:
    """Write all items, however few bytes the system takes at once."""
    left = [memoryview(item) for item in items]
    while left:
        written = os.writev(file.fileno(), left[:_VECTORS])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]
