"""Decode one page of a TIFF, and refuse a page whose pixels are not all there.

Pages of bytes, compressed or packed, are decoded here, those of pictures in strips or tiles (JPEG, JPEG 2000, ...) by
tifffile. It lets pass files that end before their last strip does, and takes differences of the words of floating-point
numbers for differences of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...core.errors import ImageError
from ..choice import Meaning
from ..orientation import TAG, known, oriented, turns
from .checks import JPEG, PHOTOMETRIC, WHITE_IS_ZERO, refuse_page
from .codecs import BYTE_COMPRESSIONS, RAW, Samples, expand, unpack
from .parts import Parts

_JPEG_END, _JPEG_TAIL = b"\xff\xd9", 16


@dataclass(frozen=True)
class Page:
    """A page of a TIFF.

    Attributes:
        tags: The page as tifffile parsed it.
        file: Name of the file, for error messages.
    """

    tags: tifffile.TiffPage
    file: str

    @property
    def where(self) -> str:
        """What the page is called in messages."""
        return f"{self.file} (page {self.tags.index})"

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels, native: uint8 for one bit, the next larger type for other packed numbers."""
        stored: np.dtype[Any] = np.dtype(self.tags.dtype)
        return np.dtype(np.uint8) if stored.kind == "b" else stored.newbyteorder("=")

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Planes, which are colours at each depth, height and width of the page as it is seen."""
        height, width = self.tags.imagelength, self.tags.imagewidth
        planes = int(self.tags.imagedepth * self.tags.samplesperpixel)
        return (planes, width, height) if turns(self._orientation) else (planes, height, width)

    def refuse(self) -> None:
        """Refuse a page whose pixels cannot be read, are no intensities, or are not all in the file.

        Raises:
            ImageError: What was expected and what was found.
        """
        refuse_page(self.tags, self.where)
        if 0 not in self.shape:
            self._parts.refuse_missing(self.where)
            if self.tags.compression in JPEG:
                self._refuse_cut_jpegs()

    def decode(self, out: NDArray[Any], meaning: Meaning) -> None:
        """Decode a page that `refuse` lets pass.

        A page that says that white is zero gives the complement of what is stored, so that white is the largest value,
        and 1 in a page of one bit.

        Args:
            out: Planes (planes, h, w), to be written.
            meaning: What the numbers are. Labels that say that white is zero are refused, unless they have one bit.

        Raises:
            ImageError: A part of the pixels is missing or damaged, or labels are stored as brightness.
        """
        if out.size == 0:
            return
        page, code, bits = self.tags, self._orientation, self.tags.bitspersample
        white_is_zero = page.tags.valueof(PHOTOMETRIC) == WHITE_IS_ZERO
        if white_is_zero and bits > 1 and meaning == "labels":
            raise ImageError(
                f"expected a mask in which zero is black, found one in which zero is white (WhiteIsZero) in "
                f"{self.where}: readers differ in what is foreground then; save it with zero as black, or list the "
                "stored values of the foreground in `source.masks.values`"
            )
        planes = np.empty((len(out), page.imagelength, page.imagewidth), out.dtype) if code > 1 else out
        if page.compression in BYTE_COMPRESSIONS:
            self._decode_bytes(planes)
        elif page.samplesperpixel > 1 and page.planarconfig == 1:
            planes[...] = np.moveaxis(page.asarray(maxworkers=1), -1, 0).reshape(planes.shape)
        else:
            planes[...] = page.asarray(maxworkers=1).reshape(planes.shape)
        if white_is_zero and (bits == 1 or meaning == "intensities"):
            np.bitwise_xor(planes, planes.dtype.type((1 << bits) - 1), out=planes)
        if code > 1:
            out[...] = oriented(planes, code)

    @cached_property
    def _orientation(self) -> int:
        return known(self.tags.tags.valueof(TAG))

    @cached_property
    def _parts(self) -> Parts:
        return Parts.of(self.tags)

    @property
    def _samples(self) -> Samples:
        page = self.tags
        return Samples(
            compression=page.compression,
            predictor=page.predictor,
            stored=np.dtype(page.dtype).newbyteorder(page.parent.byteorder),
            bits=page.bitspersample,
            width=self._parts.shape[2],
            colours=self._parts.shape[3],
            reversed_bits=page.fillorder == 2,
        )

    def _decode_bytes(self, planes: NDArray[Any]) -> None:
        """Decode strips or tiles of bytes into planes (planes, h, w), as they are stored."""
        page, parts, samples, file = self.tags, self._parts, self._samples, self.tags.parent.filehandle
        offsets, counts = parts.extents
        if _lie_as_in_memory(parts, samples):
            file.seek(int(offsets[0]))
            file.read_array(samples.stored, planes.size, out=planes)
            return
        depth, rows, width, colours = parts.shape
        needed, row_bytes, size = parts.needed.tolist(), parts.row_bytes, parts.size
        target = planes.reshape(-1, page.imagedepth, page.imagelength, page.imagewidth)
        inside = np.minimum(counts, file.size - offsets)
        for data, number in file.read_segments(offsets.tolist(), inside.tolist(), sort=True):
            found = expand(data, size, samples)
            if len(found) < needed[number]:
                raise ImageError(
                    f"expected a whole image, found a damaged or truncated file: {self.file} ({parts.kind} {number} of "
                    f"page {page.index} has {len(found)} of {needed[number]} bytes)"
                )
            lines = len(found) // row_bytes
            values = unpack(found[: lines * row_bytes], lines, samples).reshape(depth, lines // depth, width, colours)
            plane, z, y, x = parts.at(number)
            to = target[plane * colours : (plane + 1) * colours, z : z + depth, y : y + rows, x : x + width]
            to[...] = values[: to.shape[1], : to.shape[2], : to.shape[3]].transpose(3, 0, 1, 2)

    def _refuse_cut_jpegs(self) -> None:
        """Refuse JPEG data without its end: the decoder would make up what is missing.

        The tiles of a page of NDPI are pieces of one JPEG, and only the last has its end.
        """
        file, (offsets, counts) = self.tags.parent.filehandle, self._parts.extents
        parts = list(enumerate(zip(offsets.tolist(), counts.tolist(), strict=True)))
        for number, (offset, count) in parts if self.tags.jpegheader is None else parts[-1:]:
            last = min(count, _JPEG_TAIL)
            file.seek(offset + count - last)
            if _JPEG_END not in file.read(last):
                raise ImageError(f"expected whole JPEG data, found part {number} of {self.where} cut off")


def _lie_as_in_memory(parts: Parts, samples: Samples) -> bool:
    """Whether the pixels lie in the file as in memory, but for their byte order."""
    page, offsets = parts.page, parts.extents[0]
    return (
        page.compression == RAW
        and not page.is_tiled
        and parts.shape[3] == 1
        and samples.bits == 8 * samples.stored.itemsize
        and not samples.reversed_bits
        and bool((offsets[:-1] + parts.needed[:-1] == offsets[1:]).all())
    )
