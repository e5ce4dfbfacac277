"""PNG and BMP files of every kind, written by the book and by no library for pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def packed(row: np.ndarray, bits: int) -> bytes:
    """Return a row of numbers as bytes; those of fewer than 8 bits share them, the first in the highest bits."""
    if bits >= 8:
        return row.astype(f">u{bits // 8}").tobytes()
    return np.packbits((row.ravel()[:, None] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8).ravel()).tobytes()


def png(
    pixels: np.ndarray,
    bits: int,
    colours: int = GREY,
    before: Sequence[tuple[bytes, bytes]] = (),
    behind: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """Return a PNG of pixels (h, w) or (h, w, samples), with chunks before and behind those of the pixels."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    rows = b"".join(b"\0" + packed(row, bits) for row in pixels.reshape(height, -1))
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), *behind, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def exif(orientation: int) -> bytes:
    """Return EXIF with an orientation."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 274, 3, 1, orientation, 0, 0)


def bmp(
    rows: Sequence[bytes],
    width: int,
    bits: int,
    *,
    palette: np.ndarray | None = None,
    compression: int = 0,
    fields: Sequence[int] = (),
    top_down: bool = False,
    old: bool = False,
    height: int | None = None,
) -> bytes:
    """Return a BMP.

    Args:
        rows: Bytes of each row as seen from the top, or of all run lengths as they are.
        width: Its width in px.
        bits: Bits a pixel.
        palette: Colours (n, RGB).
        compression: Number of its compression.
        fields: Bits of red, green, blue and perhaps alpha in a pixel.
        top_down: Whether the first row is the topmost.
        old: Whether it has the header of OS/2 1.
        height: Its height in px, where the rows are run lengths.
    """
    colours = b""
    if palette is not None:
        entries = palette[:, ::-1] if old else np.pad(palette[:, ::-1], ((0, 0), (0, 1)))
        colours = entries.astype(np.uint8).tobytes()
    count = len(rows) if height is None else height
    body = b"".join(row.ljust((len(row) + 3) // 4 * 4, b"\0") for row in (rows if top_down else rows[::-1]))
    if height is not None:
        body = b"".join(rows)
    if old:
        header = struct.pack("<IHHHH", 12, width, count, 1, bits)
    else:
        size = 40 if not fields or len(fields) == 3 else 108
        masks = struct.pack(f"<{len(fields)}I", *fields)
        used = 0 if palette is None else len(palette)
        signed = -count if top_down else count
        header = struct.pack("<IiiHHIIiiII", size, width, signed, 1, bits, compression, len(body), 0, 0, used, 0)
        header += masks if size == 40 else masks.ljust(68, b"\0")
    offset = 14 + len(header) + len(colours)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + colours + body
