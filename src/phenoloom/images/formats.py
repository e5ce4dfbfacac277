"""Image files to arrays: TIFF (see `tiff.py`), PNG, JPEG and BMP, told apart by their first bytes.

A TIFF's colour table is a display setting of the microscope, so its indices are the intensities; the palettes of PNG
and BMP are colours, and are expanded. A fully opaque alpha channel is dropped. Three equal colours where one channel is
expected are one grey channel: nothing is lost.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.errors import ImageError
from .tiff import TIFF_MAGIC, Axes, read_tiff, tiff_axes

PIXELS: tuple[str, ...] = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32")
"""Pixel types that the store holds without loss."""

LIBRARY_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,  # Pillow raises it for a broken PNG
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
)
"""What tifffile, imagecodecs and Pillow raise on damaged files."""

_KINDS: dict[bytes, str] = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP"}
_PNG_COLOUR_TYPE = 25
_PNG_PALETTE = 3


def read_image(files: Sequence[Path], channels: int) -> NDArray[Any]:
    """Read one image as (c, h, w) in the camera's dtype, C-contiguous.

    `files` is one file per channel in channel order, or one file that holds all channels as pages or colours. Raises
    ImageError with the reason if a file is missing, empty, truncated or no image, if files differ in shape or dtype, if
    the number of channels or the dtype is not as expected, or if a pixel is NaN or infinite.
    """
    if len(files) == 1:
        image = _planes(files[0], channels)
    elif len(files) == channels:
        image = _stack([_planes(file, 1) for file in files], files)
    else:
        raise ImageError(f"expected one file or one file for each of {channels} channels, found {len(files)} files")
    if image.dtype.name not in PIXELS:
        raise ImageError(f"expected pixels of type {', '.join(PIXELS)}, found {image.dtype.name} in {files[0].name}")
    _refuse_empty(image, files[0])
    _refuse_not_finite(image, files)
    return image


def read_mask(file: Path) -> NDArray[Any]:
    """Read a mask as (h, w) integers, values as they are in the file; a palette PNG gives its indices.

    A colour file whose colours are equal is one plane (alpha ignored); true colours raise ImageError, and so do
    values that are not whole numbers.
    """
    planes = _read(file, palette_indices=True)
    if len(planes) in (2, 4):
        planes = planes[:-1]
    if len(planes) > 1 and not (planes[1:] == planes[0]).all():
        raise ImageError(
            f"expected a mask of one plane, found {len(planes)} different planes or colours in {file.name}"
        )
    mask = np.ascontiguousarray(planes[0])
    _refuse_empty(mask, file)
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    if mask.dtype.kind in "iu":
        return mask
    if mask.dtype.kind == "f" and np.isfinite(mask).all() and (mask == np.trunc(mask)).all():
        return mask.astype(np.int64)
    raise ImageError(f"expected whole numbers in a mask, found {mask.dtype.name} values in {file.name}")


def _planes(file: Path, channels: int) -> NDArray[Any]:
    """Planes of a file, exactly `channels` of them."""
    planes = _read(file, palette_indices=False)
    found = len(planes)
    if found == channels:
        return planes
    if found in (2, 4) and found - 1 in (channels, 3) and not _is_tiff(file) and _opaque(planes[-1]):
        planes = planes[:-1]
    if len(planes) == channels:
        return np.ascontiguousarray(planes)
    if channels == 1 and len(planes) == 3 and (planes[1:] == planes[0]).all():
        return np.ascontiguousarray(planes[:1])
    raise ImageError(f"expected {channels} channels, found {found} pages or colours in {file.name}")


def read_pages(file: Path) -> tuple[NDArray[Any], Axes]:
    """All planes of a file, (planes, h, w), and the axes that they lie along, slowest first (`tiff.read_tiff`)."""
    planes, axes = _read_with_axes(file, palette_indices=False, stack=True)
    if planes.dtype.name not in PIXELS:
        raise ImageError(f"expected pixels of type {', '.join(PIXELS)}, found {planes.dtype.name} in {file.name}")
    _refuse_empty(planes, file)
    _refuse_not_finite(planes, [file])
    return planes, axes


def page_axes(file: Path) -> Axes:
    """The axes that `read_pages` gives; of a TIFF from its header, without reading a pixel."""
    with _damage_told(file), file.open("rb") as opened:
        if opened.read(4).startswith(TIFF_MAGIC):
            return tiff_axes(opened, file.name)
    return read_pages(file)[1]


def _read(file: Path, *, palette_indices: bool) -> NDArray[Any]:
    """All planes of a file, (planes, h, w), whatever their number and dtype."""
    return _read_with_axes(file, palette_indices=palette_indices, stack=False)[0]


def _read_with_axes(file: Path, *, palette_indices: bool, stack: bool) -> tuple[NDArray[Any], Axes]:
    with _damage_told(file):
        with file.open("rb") as opened:
            magic = opened.read(8)
            if not magic:
                raise ImageError(f"expected an image, found a file of zero bytes: {file.name}")
            if magic.startswith(TIFF_MAGIC):
                return read_tiff(opened, file.name, stack=stack)
            kind = next((kind for start, kind in _KINDS.items() if magic.startswith(start)), None)
            if kind is None:
                raise ImageError(
                    f"expected a TIFF, PNG, JPEG or BMP image, found bytes {magic!r} at the start of {file.name}"
                )
            data = magic + opened.read()
        planes = _DECODERS[kind](data, palette_indices)
        return planes, [("C", len(planes))]


@contextmanager
def _damage_told(file: Path) -> Iterator[None]:
    """Turn what the libraries say of a file that is not there or is damaged into an ImageError."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ImageError(f"expected a file, found none at {file}") from None
    except PermissionError:
        raise ImageError(f"expected a readable file, found one without read permission: {file}") from None
    except LIBRARY_ERRORS as error:
        # An error number comes from the file system, not from the file's content: the disk may be back tomorrow.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # An address in memory differs from run to run.
        reason = " ".join(re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "it", str(error)).split()) or type(error).__name__
        raise ImageError(f"expected a whole image, found a damaged or truncated file: {file.name} ({reason})") from None


def _decode_png(data: bytes, palette_indices: bool) -> NDArray[Any]:
    if palette_indices and data[_PNG_COLOUR_TYPE] == _PNG_PALETTE:
        return _planes_first(np.asarray(Image.open(io.BytesIO(data))))
    return _planes_first(imagecodecs.png_decode(data))


def _decode_with_pillow(data: bytes, palette_indices: bool) -> NDArray[Any]:
    # Pillow, because libjpeg itself fills the missing half of a truncated JPEG with grey and says nothing.
    image = Image.open(io.BytesIO(data), formats=("JPEG", "BMP"))
    if image.mode == "P" and not palette_indices:
        return _planes_first(np.asarray(image.convert("RGB")))
    return _planes_first(np.asarray(image))


_DECODERS: dict[str, Callable[[bytes, bool], NDArray[Any]]] = {
    "PNG": _decode_png,
    "JPEG": _decode_with_pillow,
    "BMP": _decode_with_pillow,
}


def _planes_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """(h, w) or (h, w, colours) to (planes, h, w)."""
    if pixels.ndim == 2:
        return pixels[None]
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def _stack(planes: list[NDArray[Any]], files: Sequence[Path]) -> NDArray[Any]:
    first = planes[0]
    for plane, file in zip(planes[1:], files[1:], strict=True):
        if plane.shape != first.shape or plane.dtype != first.dtype:
            raise ImageError(
                f"expected all channels like {files[0].name} ({_describe(first)}), "
                f"found {file.name} ({_describe(plane)})"
            )
    return np.concatenate(planes)


def _describe(plane: NDArray[Any]) -> str:
    return f"{plane.shape[-2]} x {plane.shape[-1]} px, {plane.dtype.name}"


def _is_tiff(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4).startswith(TIFF_MAGIC)


def _opaque(alpha: NDArray[Any]) -> bool:
    return alpha.dtype.kind == "u" and bool((alpha == np.iinfo(alpha.dtype).max).all())


def _refuse_empty(image: NDArray[Any], file: Path) -> None:
    if image.size == 0:
        raise ImageError(f"expected pixels, found an image of {image.shape[-2]} x {image.shape[-1]} px: {file.name}")


def _refuse_not_finite(image: NDArray[Any], files: Sequence[Path]) -> None:
    if image.dtype.kind != "f" or (np.isfinite(image.min()) and np.isfinite(image.max())):
        return
    bad = np.argwhere(~np.isfinite(image))
    channel, y, x = (int(i) for i in bad[0])
    name = files[channel if len(files) > 1 else 0].name
    raise ImageError(
        f"expected finite pixels, found {len(bad)} NaN or infinite ones in {name}, "
        f"the first in channel {channel} at y {y}, x {x}"
    )
