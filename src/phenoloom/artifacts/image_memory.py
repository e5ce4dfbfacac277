"""The memory that whole images take while a step works on them; measured in `tests/unit/tiles/test_memory.py`."""

from __future__ import annotations

from ..config.source import Masks

_BASE_MB = 600
_LEAST_MB = 800
_IN_FLIGHT_MB = 128.0
_RESULTS_PER_THREAD = 4
# Decoded, in the order of the channels, and encoded as tiles.
_COPIES = 3.2
# Bytes a pixel of a plane: smoothing, thresholds and labels; the watershed sorts all pixels of the foreground.
_MASK_BYTES, _WATERSHED_BYTES = 28.0, 48.0


def at_once(image_mb: float, threads: int) -> int:
    """Return how many images of a size are worked on at once: all threads, unless together they are too large."""
    return max(1, min(threads, int(_IN_FLIGHT_MB // image_mb))) if image_mb else threads


def ahead(image_mb: float, threads: int) -> int:
    """Return how many images of a size are worked on or wait to be written."""
    working, most = at_once(image_mb, threads), _RESULTS_PER_THREAD * threads
    return max(working, min(most, int(_IN_FLIGHT_MB // image_mb))) if image_mb else most


def conversion_mb(image_mb: float, megapixels: float, masks: Masks | None, threads: int) -> float:
    """Return the MB that `convert` needs for images of a size: no more than the threads hold at once.

    Args:
        image_mb: MB of all planes of the largest image.
        megapixels: Those of one plane.
        masks: Where objects come from; None: the study has no objects.
        threads: Threads that work on images.
    """
    segmented = masks is not None and masks.files is None and masks.objects == "labels"
    labels = 0.0 if masks is None else _WATERSHED_BYTES if segmented else _MASK_BYTES
    one = _COPIES * image_mb + labels * megapixels
    waiting = (ahead(image_mb, threads) - at_once(image_mb, threads)) * image_mb
    return max(_LEAST_MB, _BASE_MB + at_once(image_mb, threads) * one + waiting)


def tracing_mb(megapixels: float, threads: int) -> float:
    """Return the MB that tracing mask files of a size needs beside the base of the step."""
    return threads * _MASK_BYTES * megapixels
