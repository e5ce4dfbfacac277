"""Read TIFF, BigTIFF and OME-TIFF files as planes, and refuse files that lack a part of their pixels.

tifffile parses files and decodes pages, within 20 % of the CPU time of a decoder of our own (LZW 1.02 times, deflate
1.1 to 1.2, Zstandard 1.1, uncompressed 0.9 to 1.1). What it lets pass is refused here: files that end before their last
strip does, strips that were never written, planes that lie behind the only page, and JPEG data without its end.
"""

from __future__ import annotations

import logging
import math
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..core.errors import ImageError
from .choice import Choice
from .tiff_pages import Axes, Pages, colours
from .tiff_series import chosen_pages

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

MAX_IMAGE_BYTES = 1 << 32
"""A header that asks for more is taken for damage (4 GiB is a 4-channel 16-bit image of 23,000 x 23,000 px)."""

_NO_COMPRESSION, _JPEG = 1, 7
_JPEG_END, _JPEG_TAIL = b"\xff\xd9", 16

# What it says about damaged files comes back as exceptions or is found below; printed, it would hide the progress.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def read_tiff(file: IO[bytes], name: str, choice: Choice) -> tuple[NDArray[Any], Axes]:
    """Read all planes of one image in a TIFF.

    Pages come in file order, those of an OME-TIFF in the order that its metadata gives; several colours a page follow
    each other. A colour table is a display setting of the microscope, so its indices are the intensities.

    Args:
        file: The open file.
        name: Its name, for error messages.
        choice: Which image and resolution are read.

    Returns:
        Planes (planes, h, w) in native byte order, C-contiguous, and their axes: C where the file states none.

    Raises:
        ImageError: The file holds full-resolution pages that the choice does not explain, pages differ in shape or
            dtype, or a part of the pixels is missing.
    """
    file.seek(0)
    with tifffile.TiffFile(file, _multifile=False) as tif:
        pages, axes = _pages(tif, name, choice)
        first, planes = pages[0], colours(pages[0])
        shape = (len(pages) * planes, first.imagelength, first.imagewidth)
        if math.prod(shape) * first.dtype.itemsize > MAX_IMAGE_BYTES:
            raise ImageError(f"expected an image below {MAX_IMAGE_BYTES >> 30} GiB, found {shape} in {name}")
        out = np.empty(shape, first.dtype.newbyteorder("="))
        for number, page in enumerate(pages):
            if page.compression == _JPEG:
                _refuse_cut_jpegs(page, file, name)
            _decode(page, out[number * planes : (number + 1) * planes])
    return out, axes


def tiff_axes(file: IO[bytes], name: str, choice: Choice) -> Axes:
    """Return the axes that `read_tiff` gives, without reading a pixel."""
    file.seek(0)
    with tifffile.TiffFile(file, _multifile=False) as tif:
        return _pages(tif, name, choice)[1]


def _decode(page: tifffile.TiffPage, out: NDArray[Any]) -> None:
    """Decode a page into `out`, (colours, h, w)."""
    if page.samplesperpixel > 1 and page.planarconfig == 1:
        out[...] = np.moveaxis(page.asarray(maxworkers=1), -1, 0).reshape(out.shape)
    else:
        page.asarray(out=out.reshape(page.shape), maxworkers=1)


def _pages(tif: tifffile.TiffFile, name: str, choice: Choice) -> tuple[Pages, Axes]:
    """Return the chosen pages in the order of their axes, and the axes; refuse unlike or cut ones."""
    pages, axes = chosen_pages(tif, name, choice)
    first = pages[0]
    if first.dtype is None:
        raise ImageError(f"expected pixels of a known type, found {first.bitspersample} bits a sample in {name}")
    for page in pages:
        if page.shape != first.shape or page.dtype != first.dtype:
            raise ImageError(
                f"expected pages of {first.shape} {first.dtype}, "
                f"found page {page.index} of {page.shape} {page.dtype} in {name}"
            )
        _refuse_truncated(page, tif.filehandle.size, name)
    return pages, axes


def _refuse_truncated(page: tifffile.TiffPage, size: int, name: str) -> None:
    kind = "tile" if page.is_tiled else "strip"
    if len(page.dataoffsets) < math.prod(page.chunked):
        raise ImageError(
            f"expected {math.prod(page.chunked)} {kind}s, found {len(page.dataoffsets)} in {name} (page {page.index})"
        )
    unwritten = [number for number, count in enumerate(page.databytecounts) if count == 0]
    if unwritten:
        raise ImageError(
            f"expected pixels in each {kind}, found {kind} {unwritten[0]} never written in {name} (page {page.index})"
        )
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > size:
        raise ImageError(
            f"expected {max(ends, default=0)} bytes, found a truncated file of {size} bytes: {name} (page {page.index})"
        )
    whole_bytes = page.dtype is not None and page.bitspersample == 8 * page.dtype.itemsize
    if page.compression == _NO_COMPRESSION and whole_bytes and sum(page.databytecounts) < page.nbytes:
        # tifffile would read what follows the strips in the file.
        raise ImageError(f"expected {page.nbytes} bytes of pixels, found {sum(page.databytecounts)} in {name}")


def _refuse_cut_jpegs(page: tifffile.TiffPage, file: IO[bytes], name: str) -> None:
    """Refuse JPEG data without its end: the decoder would make up what is missing."""
    for number, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        last = min(count, _JPEG_TAIL)
        file.seek(offset + count - last)
        if _JPEG_END not in file.read(last):
            raise ImageError(f"expected whole JPEG data, found part {number} of {name} (page {page.index}) cut off")
