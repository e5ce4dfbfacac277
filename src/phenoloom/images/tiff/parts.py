"""Where the strips or tiles of a TIFF page lie, in the file and in the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...core.errors import ImageError
from .codecs import BYTE_COMPRESSIONS, RAW

Extents = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """The strips or tiles of a page, in the order of the file's lists.

    Attributes:
        page: The page.
        shape: Depth, rows, width and colours of each of them; the last strip may have fewer rows.
        image: Planes that lie apart, depth, height and width of the page.
    """

    page: tifffile.TiffPage
    shape: tuple[int, int, int, int]
    image: tuple[int, int, int, int]

    @classmethod
    def of(cls, page: tifffile.TiffPage) -> Parts:
        """Return the strips or tiles of a page that has pixels."""
        together = page.planarconfig == 1
        colours = int(page.samplesperpixel)
        within, apart = (colours, 1) if together else (1, colours)
        strip = (1, page.rowsperstrip, page.imagewidth)
        shape = (page.tiledepth, page.tilelength, page.tilewidth) if page.is_tiled else strip
        return cls(page, (*shape, within), (apart, page.imagedepth, page.imagelength, page.imagewidth))

    @property
    def kind(self) -> str:
        """What they are called in messages."""
        return "tile" if self.page.is_tiled else "strip"

    @cached_property
    def grid(self) -> tuple[int, int, int, int]:
        """Their number along planes, depth, height and width."""
        planes, *lengths = self.image
        depths, rows, columns = (math.ceil(n / own) for n, own in zip(lengths, self.shape[:3], strict=True))
        return planes, depths, rows, columns

    @cached_property
    def count(self) -> int:
        """Their number."""
        return math.prod(self.grid)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one row of all colours that lie together; a row begins a byte."""
        return int(self.shape[2] * self.shape[3] * self.page.bitspersample + 7) // 8

    @property
    def size(self) -> int:
        """Bytes of one that is full."""
        return self.shape[0] * self.shape[1] * self.row_bytes

    @cached_property
    def needed(self) -> Extents:
        """Bytes of the rows of each that lie in the image."""
        planes, depths, rows, columns = self.grid
        needed = np.full((planes * depths, rows, columns), self.size)
        if self.shape[0] == 1:
            needed[:, -1] = (self.image[2] - self.shape[1] * (rows - 1)) * self.row_bytes
        return needed.ravel()

    def at(self, number: int) -> tuple[int, int, int, int]:
        """Return plane, depth, y and x where one begins."""
        _, depths, rows, columns = self.grid
        number, column = divmod(number, columns)
        number, row = divmod(number, rows)
        plane, z = divmod(number, depths)
        return plane, z * self.shape[0], row * self.shape[1], column * self.shape[2]

    @cached_property
    def extents(self) -> tuple[Extents, Extents]:
        """Offset and byte count of each in the file; as libtiff does, bad counts are estimated (`is_estimated`)."""
        offsets = np.array(self.page.dataoffsets[: self.count], np.int64)
        if self.is_estimated:
            raw = self.page.compression == RAW
            return offsets, np.full(len(offsets), self.size) if raw else self.page.parent.filehandle.size - offsets
        return offsets, np.array(self.page.databytecounts[: self.count], np.int64)

    @cached_property
    def is_estimated(self) -> bool:
        """Whether the file states no byte counts, or a single one that cannot be.

        These are zero, or fewer bytes in a strip without compression than its pixels have. Sizes are then known only if
        each plane is one strip or tile.
        """
        page = self.page
        unstated = 325 not in page.tags and 279 not in page.tags
        if not unstated and len(page.databytecounts) == 1 and self.count == 1:
            raw_strip = page.compression == RAW and not page.is_tiled
            unstated = page.dataoffsets[0] > 0 and page.databytecounts[0] < (self.needed[0] if raw_strip else 1)
        return unstated and self.count == self.image[0] and page.compression in BYTE_COMPRESSIONS

    def refuse_missing(self, where: str) -> None:
        """Refuse a page with parts that are not all listed, were never written, or lie behind the file's end.

        The byte count of compressed data may reach further than the file: whether the data is whole shows when it is
        decoded.
        """
        page, kind, count, size = self.page, self.kind, self.count, self.page.parent.filehandle.size
        if len(page.dataoffsets) < count:
            raise ImageError(f"expected {count} {kind}s, found {len(page.dataoffsets)} in {where}")
        offsets, counts = self.extents
        if len(counts) < count:
            raise ImageError(f"expected the byte counts of {count} {kind}s, found {len(counts)} in {where}")
        least = np.minimum(counts, offsets)
        if least.min() <= 0:
            unwritten = np.argmin(least)
            raise ImageError(f"expected pixels in each {kind}, found {kind} {unwritten} never written in {where}")
        ends = offsets + (self.needed if page.compression == RAW else counts)
        begun = offsets + 1 if page.compression in BYTE_COMPRESSIONS and page.compression != RAW else ends
        if begun.max() > size:
            raise ImageError(f"expected {ends.max()} bytes, found a truncated file of {size} bytes: {where}")
        if page.compression != RAW:
            return
        if self.is_estimated and ((offsets < page.offset) & (page.offset < ends)).any():
            raise ImageError(
                f"expected {self.needed.sum()} bytes of pixels, found the directory of the page after "
                f"{page.offset - offsets[0]} of them in {where}"
            )
        if (counts < self.needed).any():
            raise ImageError(f"expected {self.needed.sum()} bytes of pixels, found {counts.sum()} in {where}")
