"""Read TIFF, BigTIFF and OME-TIFF files as planes, and refuse files that lack a part of their pixels.

tifffile parses files; which pages are read is decided in `series`, and what their pixels are in `page`.
"""

from __future__ import annotations

import logging
import math
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...core.errors import ImageError
from ..choice import Choice
from .page import Page
from .pages import Axes
from .series import chosen_pages

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

MAX_IMAGE_BYTES = 1 << 32
"""A header that asks for more is taken for damage (4 GiB is a 4-channel 16-bit image of 23,000 x 23,000 px)."""

# What it says about damaged files comes back as exceptions or is found below; printed, it would hide the progress.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def read_tiff(file: IO[bytes], name: str, choice: Choice) -> tuple[NDArray[Any], Axes]:
    """Read all planes of one image in a TIFF.

    Pages come in file order, those of an OME-TIFF in the order that its metadata gives; several colours a page follow
    each other. A colour table is a display setting of the microscope, so its indices are the intensities. Pages are
    turned as their Orientation says.

    Args:
        file: The open file.
        name: Its name, for error messages.
        choice: Which image and resolution are read, and what the numbers mean.

    Returns:
        Planes (planes, h, w) in native byte order, C-contiguous, and their axes: C where the file states none.

    Raises:
        ImageError: The file holds full-resolution pages that the choice does not explain, pages differ in shape or
            dtype, or a part of the pixels is missing.
    """
    with _parsed(file, name) as tif:
        pages, axes = _pages(tif, name, choice)
        (planes, *plane), dtype = pages[0].shape, pages[0].dtype
        shape = (len(pages) * planes, *plane)
        if math.prod(shape) * dtype.itemsize > MAX_IMAGE_BYTES:
            raise ImageError(f"expected an image below {MAX_IMAGE_BYTES >> 30} GiB, found {shape} in {name}")
        out = np.empty(shape, dtype)
        for number, page in enumerate(pages):
            page.decode(out[number * planes : (number + 1) * planes], choice.meaning)
    return out, axes


def tiff_axes(file: IO[bytes], name: str, choice: Choice) -> Axes:
    """Return the axes that `read_tiff` gives, without reading a pixel."""
    with _parsed(file, name) as tif:
        return _pages(tif, name, choice)[1]


def tiff_shape(file: IO[bytes], name: str, choice: Choice) -> tuple[int, int, int]:
    """Return the planes that `read_tiff` gives, the pixels of a plane and the bytes of a pixel, from the header."""
    with _parsed(file, name) as tif:
        pages = chosen_pages(tif, name, choice)[0]
        first = pages[0]
        planes = sum(page.samplesperpixel * page.imagedepth for page in pages)
        return planes, first.imagelength * first.imagewidth, first.dtype.itemsize if first.dtype else 0


def _parsed(file: IO[bytes], name: str) -> tifffile.TiffFile:
    file.seek(0)
    try:
        return tifffile.TiffFile(file, _multifile=False)
    except TypeError as error:
        if "tuple" not in str(error):
            raise
        raise ImageError(f"expected one SampleFormat for all samples of a pixel, found several in {name}") from None


def _pages(tif: tifffile.TiffFile, name: str, choice: Choice) -> tuple[list[Page], Axes]:
    """Return the chosen pages in the order of their axes, and the axes; refuse unlike or cut ones."""
    chosen, axes = chosen_pages(tif, name, choice)
    pages = [Page(page, name) for page in chosen]
    first = pages[0]
    for page in pages:
        page.refuse()
        if (page.shape, page.dtype) != (first.shape, first.dtype):
            raise ImageError(
                f"expected pages of {first.shape} {first.dtype}, found {page.shape} {page.dtype} in {page.where}"
            )
    return pages, axes
