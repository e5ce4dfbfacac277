"""TIFF files of every kind, written by the book (TIFF 6.0, its supplements, BigTIFF) and by no library for TIFF."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np

COMPRESSIONS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (1, bytes),
    "lzw": (5, imagecodecs.lzw_encode),
    "deflate": (8, zlib.compress),
    "old deflate": (32946, zlib.compress),
    "packbits": (32773, imagecodecs.packbits_encode),
    "lzma": (34925, lzma.compress),
    "zstd": (50000, imagecodecs.zstd_encode),
}
"""Name -> number of the compression in a TIFF, and what encodes a strip or tile."""

KINDS = {"u": 1, "i": 2, "f": 3, "b": 1}
TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class TiffFile:
    """A TIFF of one page.

    Attributes:
        samples: Samples (colours, h, w).
        bits: Bits a sample; fewer than the type has are packed.
        order: `<` (II) or `>` (MM).
        big: Whether it is a BigTIFF.
        compression: A key of `COMPRESSIONS`.
        predictor: 1, 2 or 3.
        planar: Whether each colour lies apart.
        part: Rows of a strip (int), or rows and columns of a tile.
        padded: Whether the last strip is padded to its rows.
        tail: Bytes behind the data of each part, counted as part of it.
        reversed_bits: Whether the lowest bit of a byte comes first (FillOrder 2).
        directory_first: Whether the directory lies before the strips or tiles, and not behind them.
        tags: Tags that differ: None leaves a tag out; numbers, or text.
    """

    samples: np.ndarray
    bits: int = 0
    order: str = "<"
    big: bool = False
    compression: str = "none"
    predictor: int = 1
    planar: bool = False
    part: int | tuple[int, int] = 1 << 30
    padded: bool = False
    tail: bytes = b""
    reversed_bits: bool = False
    directory_first: bool = False
    tags: Mapping[int, Any] = field(default_factory=dict)

    def write(self) -> bytes:
        """Return the bytes of the file: header, strips or tiles, directory."""
        encode = COMPRESSIONS[self.compression][1]
        parts = [encode(part) + self.tail for part in self._parts()]
        if self.reversed_bits:
            parts = [imagecodecs.bitorder_encode(part) for part in parts]
        start, body = 16 if self.big else 8, b"".join(parts)
        offsets = [start + sum(map(len, parts[:n])) for n in range(len(parts))]
        if self.directory_first:
            length = len(self._directory(start, offsets, parts))
            return self._header(start) + self._directory(start, [at + length for at in offsets], parts) + body
        body += bytes(len(body) % 2)
        return self._header(start + len(body)) + body + self._directory(start + len(body), offsets, parts)

    @property
    def _bits(self) -> int:
        return self.bits or 8 * self.samples.dtype.itemsize

    def _parts(self) -> Iterator[bytes]:
        """Return strips or tiles in the order of the file, encoded by the predictor and in the byte order."""
        height, width = self.samples.shape[1:]
        tiled = not isinstance(self.part, int)
        rows, columns = self.part if isinstance(self.part, tuple) else (min(self.part, height), width)
        for plane in self.samples[:, None] if self.planar else self.samples[None]:
            for y in range(0, height, rows):
                for x in range(0, width, columns):
                    part = plane[:, y : y + rows, x : x + columns]
                    down, right = rows - part.shape[1], columns - part.shape[2]
                    if tiled or self.padded:
                        part = np.pad(part, ((0, 0), (0, down), (0, right)), mode="edge")
                    yield b"".join(self._row(row) for row in np.moveaxis(part, 0, -1))

    def _row(self, row: np.ndarray) -> bytes:
        """Return the bytes of a row (w, colours)."""
        width = row.dtype.itemsize
        if self._bits != 8 * width or row.dtype == bool:
            bits = row.astype(np.uint64)[..., None] >> np.arange(self._bits - 1, -1, -1, dtype=np.uint64) & np.uint64(1)
            return np.packbits(bits.astype(np.uint8).ravel()).tobytes()
        words = np.ascontiguousarray(row).view(f"u{width}")
        if self.predictor == 2:
            words = np.concatenate([words[:1], words[1:] - words[:-1]])
        if self.predictor == 3:
            # The highest bytes of all samples come first, and differ from those one pixel before.
            planes = words.astype(f">u{width}", order="C").view("u1").reshape(-1, width).T.ravel()
            colours = row.shape[1]
            return np.concatenate([planes[:colours], planes[colours:] - planes[:-colours]]).tobytes()
        return words.astype(f"{self.order}u{width}").tobytes()

    def _header(self, directory: int) -> bytes:
        mark = b"II" if self.order == "<" else b"MM"
        if self.big:
            return mark + struct.pack(f"{self.order}HHHQ", 43, 8, 0, directory)
        return mark + struct.pack(f"{self.order}HI", 42, directory)

    def _directory(self, start: int, offsets: list[int], parts: list[bytes]) -> bytes:
        colours, height, width = self.samples.shape
        counts = [len(part) for part in parts]
        tiled = isinstance(self.part, tuple)
        tags: dict[int, Any] = {
            256: width,
            257: height,
            258: [self._bits] * colours,
            259: COMPRESSIONS[self.compression][0],
            262: 2 if colours == 3 else 1,
            266: 2 if self.reversed_bits else None,
            277: colours,
            284: 2 if self.planar else 1,
            317: self.predictor if self.predictor > 1 else None,
            338: [0] * (colours - 1) if colours not in (1, 3) else None,
            339: [KINDS[self.samples.dtype.kind]] * colours,
        }
        tags |= {322: self.part[1], 323: self.part[0], 324: offsets, 325: counts} if tiled else {}
        tags |= {} if tiled else {273: offsets, 278: self.part, 279: counts}
        tags |= self.tags
        return _directory(sorted((tag, value) for tag, value in tags.items() if value is not None), start, self)


def _directory(tags: list[tuple[int, Any]], start: int, file: TiffFile) -> bytes:
    """Return a directory that lies at `start`, with the values that do not fit into it behind."""
    order, inline, counted, at = (file.order, 8, "Q", "Q") if file.big else (file.order, 4, "I", "I")
    entries = len(tags) * (20 if file.big else 12)
    behind, values_at = b"", start + (16 if file.big else 6) + entries
    out = struct.pack(order + ("Q" if file.big else "H"), len(tags))
    for tag, value in tags:
        kind, values = _typed(tag, value)
        packed = b"".join(struct.pack(order + TYPES[kind], item) for item in values) if kind != 2 else values
        out += struct.pack(f"{order}HH{counted}", tag, kind, len(values))
        if len(packed) <= inline:
            out += packed.ljust(inline, b"\0")
        else:
            out += struct.pack(order + at, values_at + len(behind))
            behind += packed + bytes(len(packed) % 2)
    return out + struct.pack(order + at, 0) + behind


def _typed(tag: int, value: Any) -> tuple[int, Any]:
    if isinstance(value, str):
        return 2, value.encode() + b"\0"
    values = list(value) if isinstance(value, list | tuple) else [value]
    if max(values) >= 1 << 32:
        return 16, values
    return (4, values) if tag in (256, 257, 273, 278, 279, 324, 325) else (3, values)
