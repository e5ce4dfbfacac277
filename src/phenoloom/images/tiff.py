"""TIFF pages to planes: strips are read in few large reads and decoded straight into the output.

tifffile parses the file and decodes rarer layouts (tiles, JPEG, floating point predictor, odd bit depths); uncompressed
strips are read into the output itself, and LZW, Deflate, PackBits and Zstandard strips are decoded into it.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from typing import IO, Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from ..core.errors import ImageError

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

MAX_IMAGE_BYTES = 1 << 32
"""A header that asks for more is taken for damage (4 GiB is a 4-channel 16-bit image of 23,000 x 23,000 px)."""

_DECODERS: dict[int, Callable[..., Any]] = {
    5: imagecodecs.lzw_decode,
    8: imagecodecs.deflate_decode,
    32773: imagecodecs.packbits_decode,
    32946: imagecodecs.deflate_decode,
    50000: imagecodecs.zstd_decode,
}
NATIVE = "<" if sys.byteorder == "little" else ">"
_NO_COMPRESSION, _NO_PREDICTOR, _HORIZONTAL, _JPEG = 1, 1, 2, 7
_JPEG_END, _JPEG_TAIL = b"\xff\xd9", 16

# Its complaints about damaged files come back as exceptions or are found below; printed, they would hide the progress.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


Axes = list[tuple[str, int]]


def read_tiff(file: IO[bytes], name: str, *, stack: bool = False) -> tuple[NDArray[Any], Axes]:
    """All full-resolution planes of a TIFF or BigTIFF, (planes, h, w), in native byte order and C-contiguous, and the
    axes that planes lie along with their sizes, slowest first (C where the file tells nothing).

    Pages come in file order, of an OME-TIFF in the order that its metadata gives; several colours a page follow each
    other. Raises ImageError if pages differ in shape or dtype, if the file ends before its last strip does, and unless
    `stack` if there are several focal planes or time points.
    """
    file.seek(0)
    with tifffile.TiffFile(file, _multifile=False) as tif:
        pages, axes = _pages(tif, name, stack)
        first, colours = pages[0], _colours(pages[0])
        shape = (len(pages) * colours, first.imagelength, first.imagewidth)
        if math.prod(shape) * first.dtype.itemsize > MAX_IMAGE_BYTES:
            raise ImageError(f"expected an image below {MAX_IMAGE_BYTES >> 30} GiB, found {shape} in {name}")
        out = np.empty(shape, first.dtype.newbyteorder("="))
        for number, page in enumerate(pages):
            _read_page(page, file, out[number * colours : (number + 1) * colours], name)
    return out, axes


def tiff_axes(file: IO[bytes], name: str) -> Axes:
    """The axes of a stack as `read_tiff` gives them, without reading a pixel."""
    file.seek(0)
    with tifffile.TiffFile(file, _multifile=False) as tif:
        return _pages(tif, name, stack=True)[1]


def _pages(tif: tifffile.TiffFile, name: str, stack: bool) -> tuple[list[tifffile.TiffPage], Axes]:
    """The file's full-resolution pages in the order of its axes, and these; all alike, and all of them whole."""
    pages, axes = _told_pages(tif, name, stack)
    first = pages[0]
    if first.dtype is None:
        raise ImageError(f"expected pixels of a known type, found {first.bitspersample} bits a sample in {name}")
    for number, page in enumerate(pages):
        if page.shape != first.shape or page.dtype != first.dtype:
            raise ImageError(
                f"expected pages of {first.shape} {first.dtype}, "
                f"found page {number} of {page.shape} {page.dtype} in {name}"
            )
        _refuse_truncated(page, tif.filehandle.size, name)
    if _colours(first) > 1 or not axes:
        # Several colours a page follow each other.
        axes = [*axes, ("C", len(pages) * _colours(first) // math.prod(n for _, n in axes))]
    return pages, axes


def _colours(page: tifffile.TiffPage) -> int:
    return int(page.imagedepth * page.samplesperpixel)


def _told_pages(tif: tifffile.TiffFile, name: str, stack: bool) -> tuple[list[tifffile.TiffPage], Axes]:
    """The full-resolution pages, and their axes as far as the file tells them."""
    pages, axes = list(tif.pages), Axes()
    if (tif.is_ome or tif.is_imagej) and len(pages) > 1:
        series, *others = tif.series
        if tif.is_ome and (alike := [other for other in others if other.shape == series.shape]):
            raise ImageError(
                f"expected one image, found {len(alike) + 1} of {series.shape} (positions) in {name}; save each in a "
                "file of its own"
            )
        axes = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS" and n > 1]
        if not stack and any(axis in "ZT" for axis, _ in axes):
            kind = "OME" if tif.is_ome else "ImageJ"
            raise ImageError(
                f"expected one plane a channel, found {kind} axes {series.axes} of {series.shape} in {name}; say in "
                "`source.planes` what becomes of focal planes and time points"
            )
        if tif.is_ome:
            if any(page is None for page in series.pages):
                raise ImageError(f"expected all planes of the OME metadata in the file, found some missing in {name}")
            pages = [pages[page.index] for page in series.pages]
    pages = [page for page in pages if not page.is_reduced and not page.is_mask]
    if not pages:
        raise ImageError(f"expected at least one full-resolution page, found none in {name}")
    _refuse_hidden(tif, pages, name)
    # Thumbnails among the pages belong to no axis.
    return pages, axes if math.prod(n for _, n in axes) == len(pages) else []


def _refuse_hidden(tif: tifffile.TiffFile, pages: list[tifffile.TiffPage], name: str) -> None:
    """Refuse planes that lie behind the one that a page tells, as in stacks of ImageJ and MetaMorph."""
    # OME metadata may tell of planes that lie in other files; each of these is an image file of its own here.
    if len(pages) > 1 or not (tif.is_imagej or tif.is_stk or tif.is_shaped):
        return
    told, found = math.prod(tif.series[0].shape), math.prod(pages[0].shape)
    if told > found:
        raise ImageError(
            f"expected a page for each plane, found one page for {told // found} planes in {name}; save it again with "
            "a page for each"
        )


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


def _read_page(page: tifffile.TiffPage, file: IO[bytes], out: NDArray[Any], name: str) -> None:
    """Fill `out`, (colours, h, w), with a page."""
    decoder = _DECODERS.get(page.compression)
    plain = (
        not page.is_tiled
        and page.imagedepth == 1
        and page.fillorder == 1
        and page.bitspersample == 8 * out.dtype.itemsize
        and not page.is_subsampled
    )
    if plain and page.compression == _NO_COMPRESSION and page.predictor == _NO_PREDICTOR:
        _read_strips(page, file, out, None, name)
    elif plain and decoder is not None and page.predictor in (_NO_PREDICTOR, _HORIZONTAL):
        _read_strips(page, file, out, decoder, name)
    else:
        if page.compression == _JPEG:
            _refuse_cut_jpegs(page, file, name)
        out[...] = _planes_first(page.asarray(maxworkers=1), page).reshape(out.shape)


def _refuse_cut_jpegs(page: tifffile.TiffPage, file: IO[bytes], name: str) -> None:
    """Refuse JPEG data without its end: the decoder would make up what is missing."""
    for number, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        last = min(count, _JPEG_TAIL)
        file.seek(offset + count - last)
        if _JPEG_END not in file.read(last):
            raise ImageError(f"expected whole JPEG data, found part {number} of {name} (page {page.index}) cut off")


def _planes_first(pixels: NDArray[Any], page: tifffile.TiffPage) -> NDArray[Any]:
    if page.samplesperpixel > 1 and page.planarconfig == 1:
        return np.moveaxis(pixels, -1, 0)
    return pixels


def _read_strips(
    page: tifffile.TiffPage, file: IO[bytes], out: NDArray[Any], decoder: Callable[..., Any] | None, name: str
) -> None:
    """Read or decode the strips of a page into `out`, by way of a copy where colours are interleaved."""
    colours, height, width = out.shape
    interleaved = colours > 1 and page.planarconfig == 1
    pixels = np.empty((1, height, width, colours), out.dtype) if interleaved else out[..., None]
    rows = min(page.rowsperstrip, height)
    strips = [plane[top : top + rows].reshape(-1).view(np.uint8) for plane in pixels for top in range(0, height, rows)]
    if len(strips) != len(page.dataoffsets):
        raise ImageError(f"expected {len(strips)} strips, found {len(page.dataoffsets)} in {name} (page {page.index})")
    if decoder is None:
        _copy_strips(page, file, pixels, strips, name)
    else:
        _decode_strips(page, file, strips, decoder, name)
    if page.parent.byteorder != NATIVE:
        pixels.byteswap(inplace=True)
    if page.predictor == _HORIZONTAL:
        np.add.accumulate(pixels, axis=2, dtype=pixels.dtype, out=pixels)
    if interleaved:
        out[...] = np.moveaxis(pixels[0], -1, 0)


def _copy_strips(
    page: tifffile.TiffPage, file: IO[bytes], pixels: NDArray[Any], strips: list[NDArray[np.uint8]], name: str
) -> None:
    if page.is_contiguous:
        strips = [pixels.reshape(-1).view(np.uint8)]
    if sum(page.databytecounts) < pixels.nbytes:
        raise ImageError(f"expected {pixels.nbytes} bytes of pixels, found {sum(page.databytecounts)} in {name}")
    for number, (offset, strip) in enumerate(zip(page.dataoffsets, strips, strict=False)):
        file.seek(offset)
        if file.readinto(strip) != strip.nbytes:  # type: ignore[attr-defined]
            raise ImageError(f"expected {strip.nbytes} bytes of pixels, found fewer in strip {number} of {name}")


def _decode_strips(
    page: tifffile.TiffPage, file: IO[bytes], strips: list[NDArray[np.uint8]], decoder: Callable[..., Any], name: str
) -> None:
    start = min(page.dataoffsets)
    end = max(offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True))
    # Strips nearly always follow each other; where they are scattered one read would bring in the whole file.
    together = end - start <= 2 * sum(page.databytecounts)
    if together:
        file.seek(start)
        block = memoryview(file.read(end - start))
    for number, (strip, offset, count) in enumerate(zip(strips, page.dataoffsets, page.databytecounts, strict=True)):
        if together:
            data = block[offset - start : offset - start + count]
        else:
            file.seek(offset)
            data = memoryview(file.read(count))
        if len(decoder(data, out=strip)) != strip.nbytes:
            raise ImageError(f"expected {strip.nbytes} bytes of pixels, found fewer in strip {number} of {name}")
