"""Find thresholds of Otsu (IEEE Trans. SMC 9, 1979)."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from ..config.source import Polarity

THRESHOLD_ROWS = 4
"""The threshold of an image is that of every fourth row."""

_MOST_COUNTED = 1 << 16
_OPENCV_OTSU = (np.uint8, np.uint16)


def foreground(plane: NDArray[Any], polarity: Polarity) -> NDArray[np.bool_]:
    """Return which pixels of a channel (h, w) are on the objects' side of its threshold of Otsu.

    A channel of one value has no foreground.
    """
    rows = np.ascontiguousarray(plane[::THRESHOLD_ROWS])
    if rows.min() == rows.max():
        return np.zeros(plane.shape, bool)
    if rows.dtype in _OPENCV_OTSU:
        threshold = cv2.threshold(rows, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
    else:
        threshold = otsu(rows)
    # Comparing whole numbers with a float would convert every pixel first.
    limit = plane.dtype.type(math.floor(threshold) if plane.dtype.kind in "iu" else threshold)
    return beyond(plane, limit, polarity)


def beyond(plane: NDArray[Any], threshold: Any, polarity: Polarity) -> NDArray[np.bool_]:
    """Return which pixels are on the objects' side of a threshold; the threshold itself belongs to the dark side."""
    side: NDArray[np.bool_] = plane <= threshold if polarity == "dark" else plane > threshold
    return side


def otsu(values: NDArray[Any]) -> float:
    """Return the threshold of Otsu of values of any shape that are not all equal."""
    if values.dtype.kind in "iu" and int(values.max()) - int(values.min()) > _MOST_COUNTED:
        # Whole numbers are counted one by one, however many lie between the least and the largest.
        values = values.astype(np.float64)
    try:
        return float(threshold_otsu(values))
    except ValueError:
        # So close together that no bins fit between them: as far from zero as they are, but not from each other.
        least = values.min()
        return float(least) + float(threshold_otsu(values.astype(np.float64) - float(least)))
