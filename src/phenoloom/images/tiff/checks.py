"""Refuse TIFF pages whose pixels cannot be read rightly, or are no intensities.

What libtiff reads is read, and what it refuses is refused.
"""

from __future__ import annotations

import tifffile

from ...core.errors import ImageError
from .codecs import BYTE_COMPRESSIONS, CCITT, FLOATING_POINT, HORIZONTAL, WITH_PREDICTOR

PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
JPEG = (7, 33007)
_WEBP = (50001, 34927)
_PICTURES = (*CCITT, *JPEG, *_WEBP, 22610, 33005, 34712, 34887, 34933, 34934, 50002)
"""CCITT, JPEG, WebP, JPEG XR, JPEG 2000, LERC, PNG and JPEG XL: compressions that tifffile decodes."""

_COMPRESSIONS = (
    "none, LZW, Deflate, Zstandard, LZMA, PackBits, CCITT, JPEG, JPEG 2000, JPEG XL, JPEG XR, LERC, WebP or PNG"
)
_RGB, _YCBCR = 2, 6
_INTENSITIES = (0, 1, 2, 3, 4)
"""PhotometricInterpretation: white is zero, black is zero, RGB, palette, transparency mask."""

_PREDICTED_BITS = {HORIZONTAL: (8, 16, 32, 64), FLOATING_POINT: (16, 32, 64)}
_PIXEL_TYPES = (1, 2, 3, 4)
"""SampleFormat: unsigned, signed, floating point, and undefined, which is unsigned."""


def refuse_page(page: tifffile.TiffPage, where: str) -> None:
    """Refuse a page whose samples, colours, compression or predictor cannot be read; `where` names it.

    Raises:
        ImageError: What was expected and what was found.
    """
    _refuse_samples(page, where)
    _refuse_colours(page, where)
    _refuse_compression(page, where)


def _refuse_samples(page: tifffile.TiffPage, where: str) -> None:
    bits, kind = page.bitspersample, page.sampleformat
    if not isinstance(bits, int):
        raise ImageError(f"expected colours of equally many bits, found {', '.join(map(str, bits))} bits in {where}")
    if page.dtype is None or kind not in _PIXEL_TYPES:
        known = isinstance(kind, int) and kind in list(tifffile.SAMPLEFORMAT)
        found = tifffile.SAMPLEFORMAT(kind).name if known else f"SampleFormat {kind}"
        raise ImageError(f"expected whole or real numbers as pixels, found {bits} bits of type {found} in {where}")


def _refuse_colours(page: tifffile.TiffPage, where: str) -> None:
    """Refuse pixels that are no intensities: inks, differences of colours, mosaics of a colour filter."""
    colours, unsigned = page.tags.valueof(PHOTOMETRIC), page.dtype.kind in "bu"
    if colours is None and page.bitspersample == 1:
        raise ImageError(
            f"expected PhotometricInterpretation to say whether 0 is black or white, found none in {where}; "
            "save it again with this tag"
        )
    if colours == WHITE_IS_ZERO and (page.samplesperpixel > 1 or not unsigned):
        raise ImageError(
            f"expected zero to be black, found that zero is white (WhiteIsZero) with {page.samplesperpixel} samples "
            f"of {page.dtype.name} a pixel in {where}, which has no fixed meaning; save it with zero as black"
        )
    if colours == _RGB and page.samplesperpixel < 3:
        raise ImageError(f"expected 3 samples a pixel for RGB, found {page.samplesperpixel} in {where}")
    as_rgb = page.compression in _WEBP or (page.compression in JPEG and page.planarconfig == 1)
    if colours not in (*_INTENSITIES, None) and not (colours == _YCBCR and as_rgb):
        known = colours in list(tifffile.PHOTOMETRIC)
        found = tifffile.PHOTOMETRIC(colours).name if known else f"PhotometricInterpretation {colours}"
        raise ImageError(f"expected grey, RGB or a palette, found {found} pixels in {where}; save it as grey or RGB")


def _refuse_compression(page: tifffile.TiffPage, where: str) -> None:
    compression, predictor = page.compression, page.predictor
    if compression not in (*BYTE_COMPRESSIONS, *_PICTURES):
        known = compression in list(tifffile.COMPRESSION)
        found = f"{compression} ({tifffile.COMPRESSION(compression).name})" if known else f"{compression}"
        raise ImageError(
            f"expected compression {_COMPRESSIONS}, found compression {found} in {where}; save it with one of these"
        )
    if predictor == 1 or compression in _PICTURES:
        return
    if compression not in WITH_PREDICTOR:
        raise ImageError(
            f"expected a predictor only with LZW, Deflate, Zstandard or LZMA, found predictor {int(predictor)} with "
            f"compression {int(compression)} in {where}: some readers ignore it and others do not; save it again "
            "without a predictor"
        )
    fits = page.bitspersample in _PREDICTED_BITS.get(predictor, ())
    if not fits or (predictor == FLOATING_POINT and page.dtype.kind != "f"):
        raise ImageError(
            "expected predictor 2 for samples of 8, 16, 32 or 64 bits, or 3 for floating-point ones of 16, 32 or 64, "
            f"found predictor {int(predictor)} for {page.bitspersample} bits ({page.dtype.name}) in {where}"
        )
