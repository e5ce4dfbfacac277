"""Find out whether the objects of an image are brighter or darker than the field around them.

Two facts distinguish objects from the field, whichever of them fills more of the image. Lines of equal intensity curve
around objects, whether these are isolated, crowded or cut by the border; and the field is smoother than what lies on
it. How much of the image or of its border a class of pixels fills decides nothing: crowded objects fill most of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .threshold import otsu

LEAST_EVIDENCE = 0.5
"""Fields of noise alone stay below this, in either direction."""

_SIGMAS_PX = (1.5, 3.0, 6.0)
_MOST_EVIDENCE = 4.0
_WHOLE_PX, _WINDOW_PX = 768, 512
_FEW = 1e-3


def polarity_evidence(plane: NDArray[Any]) -> float:
    """Return the evidence that objects of a channel (h, w) are bright (above zero) or dark (below), from -8 to 8.

    Inverting the pixels changes the sign alone. A field without objects gives less than `LEAST_EVIDENCE`.
    """
    parts = [_of_part(part) for part in _parts(plane)]
    whole, details = parts[0], parts[1:]
    total = whole + float(np.mean(details)) if details else whole
    return float(np.clip(total, -2 * _MOST_EVIDENCE, 2 * _MOST_EVIDENCE))


def _parts(plane: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    """Yield the whole image, reduced where it is large, and then windows of a large one: objects may be of any size."""
    height, width = plane.shape
    shrink = max(height, width) / _WHOLE_PX
    if shrink <= 1:
        yield plane.astype(np.float32)
        return
    step = int(np.ceil(shrink))
    # Rows at a time: a copy of all pixels as float32 would need more memory than the image itself.
    bands = (plane[y : y + step].astype(np.float32).mean(0) for y in range(0, height, step))
    small = np.stack([band[: width - width % step].reshape(-1, step).mean(1) for band in bands])
    yield small.astype(np.float32)
    for y in _starts(height):
        for x in _starts(width):
            yield plane[y : y + _WINDOW_PX, x : x + _WINDOW_PX].astype(np.float32)


def _starts(side: int) -> list[int]:
    return sorted({int(start) for start in np.linspace(0, max(side - _WINDOW_PX, 0), 3)})


def _of_part(part: NDArray[np.float32]) -> float:
    # Single hot or dead pixels are no objects.
    plane = cv2.medianBlur(np.ascontiguousarray(part), 3)
    least, most = float(plane.min()), float(plane.max())
    if least == most or min(plane.shape) < 3:
        return 0.0
    unit = ((plane.astype(np.float64) - least) / (most - least)).astype(np.float32)
    return float(np.mean([_at_scale(unit, sigma) for sigma in _SIGMAS_PX]))


def _at_scale(plane: NDArray[np.float32], sigma_px: float) -> float:
    smooth = cv2.GaussianBlur(plane, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    if smooth.min() == smooth.max():
        return 0.0
    above = smooth > otsu(smooth)
    gy, gx = np.gradient(smooth)
    steepness = np.hypot(gx, gy)
    edge = _edge(above)
    weights = steepness[edge]
    if not weights.sum():
        return 0.0
    convex = float((weights * np.sign(_bending(gy, gx)[edge])).sum() / weights.sum())
    # The spread keeps a field without any noise from counting for all.
    some = _FEW * float(smooth.std())
    steep = [_median(steepness[side & ~edge]) + some for side in (above, ~above)]
    rougher = float(np.clip(np.log(steep[0] / steep[1]), -_MOST_EVIDENCE, _MOST_EVIDENCE))
    return _MOST_EVIDENCE * convex + rougher


def _bending(gy: NDArray[np.float32], gx: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the curvature of the lines of equal intensity up to a factor above zero; positive around what is bright.

    It is the divergence of the normal (Kass and Witkin 1987), with all signs reversed.
    """
    gyy, gyx = np.gradient(gy)
    gxx = np.gradient(gx, axis=1)
    bending: NDArray[np.float32] = 2 * gyx * gx * gy - gxx * gy * gy - gyy * gx * gx
    return bending


def _edge(above: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels (h, w) on both sides of the border between two classes, without those of the image's border."""
    edge = np.zeros(above.shape, bool)
    across, along = above[:, 1:] != above[:, :-1], above[1:] != above[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= along
    edge[:-1] |= along
    edge[[0, -1]] = False
    edge[:, [0, -1]] = False
    return edge


def _median(values: NDArray[np.float32]) -> float:
    return float(np.median(values)) if values.size else 0.0
