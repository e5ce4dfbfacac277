"""Read PNG and JPEG files as planes, with the numbers that they store.

Both are turned as their EXIF says. Files of several pictures are refused: no first one is taken in silence.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import IO, Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.errors import ImageError
from .choice import Choice
from .orientation import TAG, UPRIGHT, known, oriented
from .tiff.file import MAX_IMAGE_BYTES
from .tiff.pages import Axes

# Pillow takes large pictures for attacks; our own limit is checked instead.
Image.MAX_IMAGE_PIXELS = None

PNG_MAGIC, JPEG_MAGIC = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_GREY, _PALETTE = 0, 3
_FRAMES_OF_JPEG = {
    0xC0: "baseline",
    0xC1: "extended",
    0xC2: "progressive",
    0xC3: "lossless",
    0xC9: "arithmetic-coded",
    0xCA: "arithmetic-coded progressive",
    0xF7: "JPEG-LS",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF), "hierarchical or lossless arithmetic-coded"),
}
_READ_BY_PILLOW = (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA)
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xDA))
_SCAN, _END = 0xDA, 0xD9
_MARKER_BEHIND_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""In the data of a scan, 0xFF is followed by 0 or by a restart marker."""


def picture(pixels: NDArray[Any], alpha: bool = False, orientation: int = UPRIGHT) -> tuple[NDArray[Any], Axes]:
    """Return (h, w) or (h, w, colours) as planes (colours, h, w) along one axis of colours; the last may be alpha."""
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return np.ascontiguousarray(oriented(planes, orientation)), [("SA" if alpha else "S", len(planes))]


def refuse_too_large(width: int, height: int, samples: int, name: str) -> None:
    """Refuse a picture that takes more memory than any image may; `samples` is bytes a pixel."""
    if width * height * samples > MAX_IMAGE_BYTES:
        raise ImageError(f"expected a picture below {MAX_IMAGE_BYTES >> 30} GiB, found {height} x {width} px in {name}")


def read_png(file: IO[bytes], name: str, choice: Choice) -> tuple[NDArray[Any], Axes]:
    """Read a PNG; grey values of 1, 2 or 4 bits are those stored, not stretched to 255.

    Raises:
        ImageError: The file is animated, too large, or followed by another one.
        RuntimeError: It is damaged.
    """
    data = file.read()
    chunks = dict(_png_chunks(data))
    width, height, bits, colours = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    refuse_too_large(width, height, 8, name)
    if b"acTL" in chunks and (int.from_bytes(chunks[b"acTL"][:4]) != 1 or b"fcTL" not in chunks):
        raise ImageError(
            f"expected one picture, found an animated PNG of {int.from_bytes(chunks[b'acTL'][:4])} frames in {name}; "
            "save each frame in a file of its own"
        )
    if b"IEND" in chunks and PNG_MAGIC in (behind := chunks[b"IEND"]):
        raise _second_picture("PNG", behind.count(PNG_MAGIC), name)
    orientation = _orientation_of_png(data, chunks)
    if choice.meaning != "intensities" and colours == _PALETTE:
        return picture(np.asarray(Image.open(io.BytesIO(data), formats=("PNG",))), orientation=orientation)
    pixels = imagecodecs.png_decode(data)
    if colours == _GREY and bits < 8:
        step = np.uint8(255 // ((1 << bits) - 1))
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        grey //= step
    # Grey with alpha and RGB with alpha are the only PNGs of two and four samples.
    return picture(pixels, alpha=pixels.ndim == 3 and pixels.shape[-1] in (2, 4), orientation=orientation)


def read_jpeg(file: IO[bytes], name: str, _choice: Choice) -> tuple[NDArray[Any], Axes]:
    """Read a JPEG of grey values or colours of 8 bits.

    Raises:
        ImageError: The file holds several pictures, inks (CMYK), more than 8 bits, or a kind that is not read.
        OSError: It is damaged or truncated.
    """
    data = file.read()
    _refuse_jpeg(data, name)
    # Pillow, because libjpeg itself fills the missing half of a truncated JPEG with grey and says nothing.
    image = Image.open(io.BytesIO(data), formats=("JPEG", "MPO"))
    count = getattr(image, "n_frames", 1)
    if count > 1:
        raise ImageError(
            f"expected one picture, found {count} (MPO, a JPEG of several pictures) in {name}; save the one that is "
            "meant as a file of its own"
        )
    _refuse_second_jpeg(data, name)
    refuse_too_large(image.width, image.height, len(image.getbands()), name)
    return picture(np.asarray(image), orientation=_orientation(image))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return types and contents of the chunks of a PNG, and as `IEND` what follows the last of them.

    Pixels are left out, and of `fcTL` all but one before them.
    """
    at, pixels_begun = len(PNG_MAGIC), False
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            pixels_begun = True
        elif kind == b"IEND":
            yield kind, data[at + 12 :]
            return
        elif not (kind == b"fcTL" and pixels_begun):
            yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _orientation_of_png(data: bytes, chunks: dict[bytes, bytes]) -> int:
    if b"eXIf" in chunks:
        return _orientation_of_exif(chunks[b"eXIf"])
    if chunks.keys() & {b"tEXt", b"zTXt", b"iTXt"}:
        return _orientation(Image.open(io.BytesIO(data), formats=("PNG",)))
    return UPRIGHT


def _orientation(image: Image.Image) -> int:
    """Return the orientation of a picture; metadata that cannot be read say nothing about it."""
    try:
        return known(image.getexif().get(TAG))
    except (ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error):
        return UPRIGHT


def _orientation_of_exif(content: bytes) -> int:
    exif = Image.Exif()
    try:
        exif.load(content)
        return known(exif.get(TAG))
    except (ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error):
        return UPRIGHT


def _refuse_jpeg(data: bytes, name: str) -> None:
    """Refuse a JPEG whose frame header states what Pillow does not read, or what is no intensity."""
    frame = _jpeg_frame(data)
    if frame is None:
        return
    marker, precision, colours = frame
    kind = _FRAMES_OF_JPEG[marker]
    if precision != 8 or marker not in _READ_BY_PILLOW:
        raise ImageError(
            f"expected a JPEG of 8 bits a colour, found {precision} bits ({kind}) in {name}; save it as TIFF or PNG"
        )
    if colours not in (1, 3):
        raise ImageError(
            f"expected a grey or RGB picture, found a JPEG of {colours} colours (such as the inks of CMYK) in {name}; "
            "save it as RGB"
        )


def _refuse_second_jpeg(data: bytes, name: str) -> None:
    """Refuse a JPEG behind which other ones follow without a table of contents (MPF)."""
    count, at = 0, data.find(JPEG_MAGIC, 1)
    # Its own metadata may hold a thumbnail, so what counts lies behind its end.
    at = data.find(JPEG_MAGIC, _jpeg_end(data)) if at > 0 else at
    while at > 0:
        count += _jpeg_frame(data[at:]) is not None
        at = data.find(JPEG_MAGIC, max(_jpeg_end(data, at), at + 1))
    if count:
        raise _second_picture("JPEG", count, name)


def _second_picture(kind: str, count: int, name: str) -> ImageError:
    return ImageError(
        f"expected one picture, found {count} more behind the end of the first {kind} in {name}; save the one that is "
        "meant as a file of its own"
    )


def _jpeg_end(data: bytes, at: int = 0) -> int:
    """Return the place behind the end of the JPEG that begins at a place; that of all data where it has no end."""
    at += 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _END:
            return at + 2
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker == _SCAN:
            found = _MARKER_BEHIND_SCAN.search(data, at)
            at = found.start() if found else len(data)
    return len(data)


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """Return marker, bits and colours of the frame header of a JPEG; None if there is none before the pixels."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES_OF_JPEG:
            return marker, data[at + 4], data[at + 9]
        if marker == _SCAN:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
