"""Undo what the strips and tiles of a TIFF went through: compression, packed bits, byte order and predictor.

A strip may hold more than is asked for, as libtiff allows: the last one padded to its full height, or bytes behind the
end of the compressed data. imagecodecs refuses some of these, and then the strip is decoded by `_LENIENT`, which
stops where the rows are complete. A checksum that is there is verified by both.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Data = bytes | bytearray

Decoder = Callable[[Data, int], Data]
"""Decode at most a number of bytes; fewer come back where the data ends before."""

RAW, CCITT = 1, (2, 3, 4)
HORIZONTAL, FLOATING_POINT = 2, 3
_LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD, _OLD_ZSTD = 5, 8, 32946, 32773, 34925, 50000, 34926
WITH_PREDICTOR = (_LZW, _DEFLATE, _OLD_DEFLATE, _LZMA, _ZSTD, _OLD_ZSTD)
"""Compressions that a predictor belongs to, as in libtiff."""

BYTE_COMPRESSIONS = (RAW, *WITH_PREDICTOR, _PACKBITS)
"""Compressions of bytes, whatever they mean."""

_SKIPPED_BYTES = 1 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Samples:
    """How the samples of a strip or tile are stored.

    Attributes:
        compression: Compression of its bytes.
        predictor: 1: none, 2: differences of words, 3: differences of the bytes of floating-point numbers.
        stored: Type of a sample in the byte order of the file.
        bits: Bits a sample; those of other sizes than `stored` are packed, and each row begins a byte.
        width: Samples a colour and row.
        colours: Colours that lie together.
        reversed_bits: Whether the lowest bit of a byte comes first.
    """

    compression: int
    predictor: int
    stored: np.dtype[Any]
    bits: int
    width: int
    colours: int
    reversed_bits: bool


def expand(data: Data, size: int, samples: Samples) -> Data:
    """Undo the compression of a strip or tile.

    Args:
        data: Its bytes in the file.
        size: Bytes of all its rows, also of those below the image.
        samples: How it is stored.

    Returns:
        At most `size` bytes; fewer where the data ends before.

    Raises:
        RuntimeError: The data is damaged.
    """
    if samples.reversed_bits:
        data = imagecodecs.bitorder_decode(data)
    if samples.compression == RAW:
        return data[:size]
    if samples.compression == _LZMA:
        return _unxz(data, size)
    try:
        return _STRICT[samples.compression](data, out=size)
    except RuntimeError:
        if samples.compression not in _LENIENT:
            raise
        return _LENIENT[samples.compression](data, size)


def unpack(data: Data, rows: int, samples: Samples) -> NDArray[Any]:
    """Return samples (rows, w, colours) from the bytes of whole rows, and undo their predictor.

    Differences are of words as wide as a sample, of floating-point samples too, as in libtiff. The result may have the
    byte order of the file, and may be read-only.
    """
    shape, stored = (rows, samples.width, samples.colours), samples.stored
    if samples.bits == 24 and stored.kind == "f":
        order: Literal["<", ">"] = ">" if stored.str[0] == ">" else "<"
        return np.asarray(imagecodecs.float24_decode(data, byteorder=order)).reshape(shape)
    if samples.bits != 8 * stored.itemsize:
        run = samples.width * samples.colours
        found = imagecodecs.packints_decode(data, stored.newbyteorder("="), samples.bits, runlen=run)
        return np.asarray(found).reshape(shape)
    if samples.predictor == FLOATING_POINT:
        # Its bytes lie in an order of their own, whatever that of the file.
        values = np.frombuffer(data, stored.newbyteorder("=")).reshape(shape)
        return np.asarray(imagecodecs.floatpred_decode(values, axis=-2))
    values = np.frombuffer(data, stored).reshape(shape)
    if samples.predictor == HORIZONTAL:
        words = values.view(f"{stored.str[0]}u{stored.itemsize}").astype(f"=u{stored.itemsize}", copy=False)
        return np.asarray(imagecodecs.delta_decode(words, axis=-2)).view(stored.newbyteorder("="))
    return values


def _inflate(data: Data, size: int) -> Data:
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, size)
        while not stream.eof and stream.unconsumed_tail:  # The checksum comes last.
            stream.decompress(stream.unconsumed_tail, _SKIPPED_BYTES)
        stream.flush()
    except zlib.error as error:
        raise RuntimeError(str(error)) from error
    return found


def _unxz(data: Data, size: int) -> Data:
    stream = lzma.LZMADecompressor()
    try:
        found = stream.decompress(data, size)
        while not stream.eof and not stream.needs_input:  # The checksum comes last.
            stream.decompress(b"", _SKIPPED_BYTES)
    except lzma.LZMAError as error:
        raise RuntimeError(str(error)) from error
    return found


def _unpack_bits(data: Data, size: int) -> Data:
    """Decode PackBits up to the run that completes `size` bytes."""
    at = count = 0
    while count < size and at + 1 < len(data):
        run = data[at] + 1 if data[at] < 128 else 257 - data[at]
        end = at + (run + 1 if data[at] < 128 else 2)
        if data[at] == 128:  # A header that means nothing.
            run, end = 0, at + 1
        at, count = end, count + run
    return imagecodecs.packbits_decode(data[:at], out=count)[:size]


def _unzstd(data: Data, size: int) -> Data:
    """Decode one frame of Zstandard, whatever follows it."""
    return imagecodecs.zstd_decode(data[: _zstd_frame(data)])[:size]


def _zstd_frame(data: Data) -> int:
    """Return the length of the frame of Zstandard that `data` begins with (RFC 8878, section 3.1.1)."""
    if not data.startswith(_ZSTD_MAGIC):
        raise RuntimeError("the data do not begin with a frame of Zstandard")
    descriptor = data[4]
    single_segment = descriptor >> 5 & 1
    content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
    at = 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size
    last = False
    while not last:
        header = int.from_bytes(data[at : at + 3], "little")
        last, run_length = bool(header & 1), header >> 1 & 3 == 1
        at += 3 + (1 if run_length else header >> 3)
        if at > len(data):
            raise RuntimeError("the frame of Zstandard is cut off")
    return at + 4 * (descriptor >> 2 & 1)


_STRICT: Mapping[int, Callable[..., Data]] = {
    _LZW: imagecodecs.lzw_decode,
    _DEFLATE: imagecodecs.deflate_decode,
    _OLD_DEFLATE: imagecodecs.deflate_decode,
    _PACKBITS: imagecodecs.packbits_decode,
    _ZSTD: imagecodecs.zstd_decode,
    _OLD_ZSTD: imagecodecs.zstd_decode,
}

_LENIENT: Mapping[int, Decoder] = {
    _DEFLATE: _inflate,
    _OLD_DEFLATE: _inflate,
    _PACKBITS: _unpack_bits,
    _ZSTD: _unzstd,
    _OLD_ZSTD: _unzstd,
}
