"""Read Windows and OS/2 bitmaps as planes: palettes, packed colours and run lengths.

Pillow reads a palette of greys as if it had 8 bits a pixel, whatever the file has, and others read no indices.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ImageError
from .choice import Choice
from .pictures import picture, refuse_too_large
from .tiff.pages import Axes

BMP_MAGIC = b"BM"
_FILE_HEADER, _OLD_HEADER, _OS2_HEADER = 14, 12, 64
_RAW, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_DEFAULT_FIELDS = {16: (0x7C00, 0x3E0, 0x1F, 0), 24: (0xFF0000, 0xFF00, 0xFF, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_END_OF_LINE, _END, _SKIP = 0, 1, 2


@dataclass(frozen=True)
class _Header:
    """What a bitmap says of itself: `fields` are the bits of red, green, blue and alpha in a pixel of 16 to 32 bits."""

    offset: int
    width: int
    height: int
    top_down: bool
    bits: int
    compression: int
    palette: NDArray[np.uint8]
    fields: tuple[int, ...]


def read_bmp(file: IO[bytes], name: str, choice: Choice) -> tuple[NDArray[Any], Axes]:
    """Read a BMP. The colours of a palette are intensities, its indices labels; a palette of greys is one plane.

    Raises:
        ImageError: The bitmap is of a kind that is not read, too large, truncated, or lacks colours of its palette.
    """
    data = file.read()
    header = _header(data, name)
    if header.width < 1 or header.height < 1:
        raise ImageError(f"expected pixels, found an image of {header.height} x {header.width} px: {name}")
    refuse_too_large(header.width, header.height, 4, name)
    if header.bits > 8:
        return _colours(_rows(data, header, name), header)
    if header.compression == _RAW:
        indices = _indices(_rows(data, header, name), header)
    else:
        indices = _run_lengths(data[header.offset :], header, name)
    indices = indices if header.top_down else indices[::-1]
    if choice.meaning != "intensities":
        return picture(indices)
    if indices.size and indices.max() >= len(header.palette):
        raise ImageError(
            f"expected indices of a palette of {len(header.palette)} colours, found {indices.max()} in {name}"
        )
    greys = header.palette[:, 0]
    plain = np.array_equal(greys, np.arange(len(greys))) or np.array_equal(greys, (0, 255))
    if plain and (header.palette == greys[:, None]).all():
        return picture(greys[indices])
    return picture(header.palette[indices])


def _header(data: bytes, name: str) -> _Header:
    offset, size = struct.unpack_from("<II", data, 10)
    if size == _OLD_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression, used = _RAW, 0
    else:
        width, height, _, bits, compression, _, _, _, used = struct.unpack_from("<iiHHIIiiI", data, 18)
    kinds = {1: (_RAW,), 2: (_RAW,), 4: (_RAW, _RLE4), 8: (_RAW, _RLE8), 24: (_RAW,)}
    if size == _OS2_HEADER and compression > _RLE4:
        kinds = {}
    if compression not in kinds.get(bits, (_RAW, _FIELDS, _ALPHA_FIELDS) if bits in (16, 32) and kinds else ()):
        raise ImageError(
            f"expected a bitmap of 1 to 32 bits, raw or of run lengths, found {bits} bits and compression "
            f"{compression} in {name}; save it as PNG"
        )
    return _Header(
        offset,
        width,
        abs(height),
        height < 0,
        bits,
        compression,
        _palette(data, size, 1 << bits if bits <= 8 else 0, used, offset),
        _fields(data, size, compression, bits, name),
    )


def _palette(data: bytes, size: int, most: int, used: int, offset: int) -> NDArray[np.uint8]:
    """Return the colours (n, RGB) of a bitmap's palette."""
    entry, start = 3 if size == _OLD_HEADER else 4, _FILE_HEADER + size
    count = min(used or most, most, max(offset - start, 0) // entry)
    return np.frombuffer(data, np.uint8, count * entry, start).reshape(-1, entry)[:, 2::-1]


def _fields(data: bytes, size: int, compression: int, bits: int, name: str) -> tuple[int, ...]:
    """Return the bits of red, green, blue and alpha in a pixel."""
    if compression not in (_FIELDS, _ALPHA_FIELDS):
        return _DEFAULT_FIELDS.get(bits, ())
    with_alpha = size >= 56 or compression == _ALPHA_FIELDS
    fields = struct.unpack_from("<IIII" if with_alpha else "<III", data, _FILE_HEADER + 40)
    fields = fields if with_alpha else (*fields, 0)
    for field in fields:
        ones = field >> _shift(field)
        if ones & (ones + 1) or ones > 255 or field >> bits:
            raise ImageError(
                f"expected colours of at most 8 adjacent bits in a pixel of {bits}, found {field:#x} in {name}; save "
                "it as PNG"
            )
    if 0 in fields[:3]:
        raise ImageError(f"expected bits for red, green and blue, found {', '.join(map(hex, fields))} in {name}")
    return fields


def _shift(field: int) -> int:
    return (field & -field).bit_length() - 1 if field else 0


def _rows(data: bytes, header: _Header, name: str) -> NDArray[np.uint8]:
    """Return the bytes (h, bytes a row) of the rows in the order of the file; each fills whole words of 4 bytes."""
    used, stride = (header.width * header.bits + 7) // 8, (header.width * header.bits + 31) // 32 * 4
    needed = stride * header.height - (stride - used)
    if len(data) - header.offset < needed:
        raise ImageError(
            f"expected a whole image, found a damaged or truncated file: {name} ({len(data) - header.offset} of "
            f"{needed} bytes of pixels)"
        )
    padded = data[header.offset : header.offset + stride * header.height].ljust(stride * header.height, b"\0")
    return np.frombuffer(padded, np.uint8).reshape(header.height, stride)[:, :used]


def _indices(rows: NDArray[np.uint8], header: _Header) -> NDArray[np.uint8]:
    bits = header.bits
    if bits == 8:
        return rows
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    packed = rows[..., None] >> shifts & np.uint8((1 << bits) - 1)
    return packed.reshape(len(rows), -1)[:, : header.width]


def _colours(rows: NDArray[np.uint8], header: _Header) -> tuple[NDArray[Any], Axes]:
    """Return the colours of pixels of 16 to 32 bits, stretched to 8 bits each."""
    rows = rows if header.top_down else rows[::-1]
    parts = rows.reshape(len(rows), header.width, header.bits // 8)
    fields = header.fields if header.fields[3] else header.fields[:3]
    if all(field >> _shift(field) == 255 and _shift(field) % 8 == 0 for field in fields):
        return picture(parts[..., [_shift(field) // 8 for field in fields]], alpha=len(fields) == 4)
    pixels = sum(parts[..., n].astype(np.uint32) << 8 * n for n in range(header.bits // 8))
    colours = [(pixels >> _shift(field) & field >> _shift(field)) * 255 // (field >> _shift(field)) for field in fields]
    return picture(np.stack(colours, -1).astype(np.uint8), alpha=len(fields) == 4)


def _run_lengths(data: bytes, header: _Header, name: str) -> NDArray[np.uint8]:
    """Decode run lengths to indices (h, w), rows in the order of the file; what they skip is 0."""
    out = np.zeros((header.height, header.width), np.uint8)
    x = y = at = 0
    while at + 1 < len(data) and y < header.height:
        count, value = data[at], data[at + 1]
        at += 2
        if count == 0 and value == _END:
            return out
        if count == 0 and value == _END_OF_LINE:
            x, y = 0, y + 1
        elif count == 0 and value == _SKIP:
            if at + 1 >= len(data):
                break
            x, y, at = x + data[at], y + data[at + 1], at + 2
        else:
            if count:
                run = _expanded(bytes([value]), header.bits)
                run = np.resize(run, count)
            else:
                length = (value * header.bits + 7) // 8
                run, at = _expanded(data[at : at + length], header.bits)[:value], at + length + length % 2
                if len(run) < value:
                    break
            out[y, x : x + len(run)] = run[: max(header.width - x, 0)]
            x += len(run)
    if y < header.height - 1 or (y == header.height - 1 and x < header.width):
        raise ImageError(
            f"expected a whole image, found a damaged or truncated file: {name} (run lengths end in row {y} of "
            f"{header.height})"
        )
    return out


def _expanded(packed: bytes, bits: int) -> NDArray[np.uint8]:
    """Return the indices that bytes hold: one of 8 bits each, or two of 4."""
    values = np.frombuffer(packed, np.uint8)
    return values if bits == 8 else np.stack([values >> 4, values & 15], -1).ravel()
