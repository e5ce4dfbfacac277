"""Measure tiles (focus, saturation, intensities), and digest images to find duplicates.

All pixels are measured, except that the threshold of an image and the focus of a tile come from every fourth row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import xxhash
from numpy.typing import NDArray

FOCUS_ROWS = 4
"""The gradient of a tile is that of every fourth row: noise averages out over the thousands of pairs that remain."""

_OPENCV_SUMS = (np.uint8, np.uint16, np.int8, np.int16, np.float32)


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measurements of the t tiles of one image with c channels.

    Attributes:
        focus: Brenner gradient along x of every fourth row divided by the mean square intensity, averaged over
            channels, which the gain does not change (J. F. Brenner et al., J. Histochem. Cytochem. 24, 1976); (t,).
        saturation: Fraction of pixels at the largest value of an integer type, (t,).
        mean: Mean intensity, (t, c).
        std: Standard deviation, (t, c).
        low: Least intensity, (t, c).
        high: Largest intensity, (t, c).
        pixels: Number of pixels inside the image, (t,).
    """

    focus: NDArray[np.float64]
    saturation: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    pixels: NDArray[np.int64]


class Measurer:
    """Sums over tiles, taken one by one and turned into measurements of all tiles of an image at once."""

    def __init__(self) -> None:
        self._sums: list[list[tuple[float, float, float, float, float]]] = []
        self._sizes: list[tuple[int, int, int]] = []

    def add(self, pixels: NDArray[Any]) -> None:
        """Take the pixels (c, h, w) of one tile; where it reaches over the image's edge, the part inside."""
        _, height, width = pixels.shape
        largest, opencv = _traits(pixels.dtype)
        if not opencv:
            pixels = pixels.astype(np.float64)
        rows = pixels[:, ::FOCUS_ROWS]
        sums, saturated = [], 0
        for plane, right, left in zip(pixels, rows[:, :, 2:], rows[:, :, :-2], strict=True):
            low, high, _, _ = cv2.minMaxLoc(plane)
            if high == largest:
                saturated += int(np.count_nonzero(plane == largest))
            gradient = cv2.norm(right, left, cv2.NORM_L2SQR) if width > 2 else 0.0
            sums.append((cv2.sumElems(plane)[0], cv2.norm(plane, cv2.NORM_L2SQR), gradient, low, high))
        self._sums.append(sums)
        self._sizes.append((height * width, math.ceil(height / FOCUS_ROWS) * max(width - 2, 1), saturated))

    def finish(self, channels: int) -> Measurements:
        """Return measurements of the tiles taken so far, in their order."""
        total, squares, gradient, low, high = (
            np.array(self._sums, np.float64).reshape(-1, channels, 5).transpose(2, 0, 1)
        )
        pixels, pairs, saturated = np.array(self._sizes, np.int64).reshape(-1, 3).T
        mean, power = total / pixels[:, None], squares / pixels[:, None]
        # Sums of whole numbers are exact in float64; rounding can make a variance of floats slightly negative.
        std = np.sqrt(np.maximum(power - mean * mean, 0.0))
        focus = (gradient / pairs[:, None] / np.where(power > 0, power, 1.0)).mean(axis=1)
        return Measurements(focus, saturated / (pixels * channels), mean, std, low, high, pixels)


@cache
def _traits(dtype: np.dtype[Any]) -> tuple[int | None, bool]:
    """Return the largest value of an integer type, and whether OpenCV sums over the type as it is."""
    return None if dtype.kind == "f" else int(np.iinfo(dtype).max), dtype in _OPENCV_SUMS


def image_digest(image: NDArray[Any]) -> str:
    """Return xxh3-128 of an image (c, h, w) as hex; empty if each channel is constant, as all such images are alike."""
    # The first row settles nearly every image; only a constant one is compared whole.
    first = image[:, :1, :1]
    if not (image[:, 0] != first[:, 0]).any() and not (image != first).any():
        return ""
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(image).data)


class ChannelStatistics:
    """Mean, standard deviation, least and largest value of each channel over the tiles added, (c,) each."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sum, self._squares = np.zeros(channels), np.zeros(channels)
        self._low, self._high = np.full(channels, np.inf), np.full(channels, -np.inf)

    def add(self, tiles: Measurements) -> None:
        """Add the tiles of one image; the order of images matters to the last bit."""
        if len(tiles.pixels) == 0:
            return
        weights = tiles.pixels[:, None]
        self._count += int(tiles.pixels.sum())
        self._sum += (tiles.mean * weights).sum(axis=0)
        self._squares += ((tiles.std**2 + tiles.mean**2) * weights).sum(axis=0)
        self._low = np.minimum(self._low, tiles.low.min(axis=0))
        self._high = np.maximum(self._high, tiles.high.max(axis=0))

    def summary(self) -> list[dict[str, float | int]]:
        """Return one mapping a channel: mean, std, min, max, count (pixels)."""
        mean = self._sum / self._count
        std = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0.0))
        columns = zip(mean.tolist(), std.tolist(), self._low.tolist(), self._high.tolist(), strict=True)
        return [{"mean": m, "std": s, "min": low, "max": high, "count": self._count} for m, s, low, high in columns]
