"""Objects of an image: from mask files, or segmented by threshold and watershed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from ..config.study import Masks
from ..core.errors import ImageError, PhenoloomError
from ..tiles.measure import otsu
from .formats import read_mask

Labels = NDArray[np.int32]
"""(h, w): 0 is background, every other value an object."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one label image in order of their labels; every array is (n,).

    `area_px` counts pixels; the bounding box is `y0 <= y < y1`, `x0 <= x < x1`; centres are centroids in px.
    """

    label: NDArray[np.int32]
    area_px: NDArray[np.int32]
    y0: NDArray[np.int32]
    x0: NDArray[np.int32]
    y1: NDArray[np.int32]
    x1: NDArray[np.int32]
    touches_border: NDArray[np.bool_]
    centre_y: NDArray[np.float64]
    centre_x: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.label)


def read_labels(file: Path, masks: Masks) -> Labels:
    """Read a mask file as labels (h, w); a mask without foreground gives no objects and is no error.

    With `masks.values`, pixels of any other value are background: the stray values that lossy editing leaves in mask
    files never become objects.
    """
    raw = read_mask(file)
    foreground = np.isin(raw, masks.values) if masks.values is not None else raw > 0
    if masks.invert_when_border_is_foreground:
        if masks.objects == "labels":
            raise PhenoloomError(
                "`masks.invert_when_border_is_foreground` needs a binary mask, so `masks.objects` must be "
                "`components` or `one`, found `labels`"
            )
        if _border(foreground).mean() > 0.5:
            foreground = ~foreground
    if masks.objects == "one":
        return foreground.astype(np.int32)
    if masks.objects == "components":
        return _components(foreground)
    if raw.size and (raw.min() < 0 or raw.max() > np.iinfo(np.int32).max):
        raise ImageError(f"expected labels from 0 to 2147483647 in {file.name}, found {raw.min()} to {raw.max()}")
    return np.where(foreground, raw, 0).astype(np.int32)


def segment(plane: NDArray[Any], masks: Masks) -> Labels:
    """Labels (h, w) of bright objects in one channel (h, w).

    Gaussian smoothing, the threshold of Otsu (IEEE Trans. SMC 9, 1979), holes filled, and a watershed of the distance
    to the background that separates objects which touch. A plane of one value has no objects.
    """
    smooth = ndimage.gaussian_filter(plane, masks.smoothing_px, output=np.float32, mode="nearest")
    if masks.objects == "one":
        return _threshold(smooth).astype(np.int32)
    foreground = ndimage.binary_fill_holes(_threshold(smooth))
    if masks.objects == "components" or not foreground.any():
        return _components(foreground)
    # Zero rows beyond the image would pull seeds away from objects that the border cuts: do not pad.
    depth = cv2.distanceTransform(foreground.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Outlines are rough at the scale of the smoothing, and each bump of an outline makes a ridge in the depth.
    depth = ndimage.gaussian_filter(depth, masks.smoothing_px, mode="nearest")
    components = _components(foreground)
    seeds = peak_local_max(
        depth,
        min_distance=max(round(masks.split_distance_px), 1),
        labels=components,
        exclude_border=False,
    )
    markers = np.zeros(plane.shape, np.int32)
    # Row by row from the top: the number of an object must not depend on how deep it is.
    seeds = seeds[np.lexsort((seeds[:, 1], seeds[:, 0]))]
    markers[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    labels: Labels = watershed(-depth, markers, mask=foreground).astype(np.int32)
    return labels


def objects(labels: Labels) -> Objects:
    """Area, bounding box, centroid and contact with the image border of every object in (h, w) labels.

    Works on runs of equal labels along rows, of which an image has far fewer than pixels.
    """
    height, width = labels.shape
    flat = np.ascontiguousarray(labels).ravel()
    starts = np.ones(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=starts[1:])
    starts[::width] = True
    start = np.flatnonzero(starts)
    end = np.append(start[1:], flat.size)
    used = flat[start] != 0
    start, end = start[used], end[used]
    values, index = _compact(flat[start])
    y, length = start // width, end - start
    left, right = start - y * width, end - y * width
    area = np.bincount(index, length, len(values))
    (y0, y1), (x0, x1) = _extent(index, y, y + 1, len(values)), _extent(index, left, right, len(values))
    return Objects(
        label=values,
        area_px=area.astype(np.int32),
        y0=y0,
        x0=x0,
        y1=y1,
        x1=x1,
        touches_border=(y0 == 0) | (x0 == 0) | (y1 == height) | (x1 == width),
        centre_y=np.bincount(index, length * y, len(values)) / area,
        centre_x=np.bincount(index, length * (left + right - 1) / 2, len(values)) / area,
    )


def _extent(
    index: NDArray[np.intp], low: NDArray[np.intp], high: NDArray[np.intp], n: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Least `low` and greatest `high` of the runs of each of n objects."""
    least, greatest = np.full(n, np.iinfo(np.int32).max, np.int32), np.zeros(n, np.int32)
    np.minimum.at(least, index, low.astype(np.int32))
    np.maximum.at(greatest, index, high.astype(np.int32))
    return least, greatest


def _compact(values: Labels) -> tuple[Labels, NDArray[np.intp]]:
    """Distinct values in rising order, and the position of each value among them."""
    top = int(values.max(initial=0))
    if top > 4 * values.size + 1024:
        distinct, index = np.unique(values, return_inverse=True)
        return distinct, index
    present = np.zeros(top + 1, bool)
    present[values] = True
    rank = np.cumsum(present) - 1
    return np.flatnonzero(present).astype(np.int32), rank[values]


def _threshold(smooth: NDArray[np.float32]) -> NDArray[np.bool_]:
    if smooth.min() == smooth.max():
        return np.zeros(smooth.shape, bool)
    above: NDArray[np.bool_] = smooth > otsu(smooth)
    return above


def _components(foreground: NDArray[np.bool_]) -> Labels:
    """8-connected components, numbered row by row."""
    labels: Labels = ndimage.label(foreground, np.ones((3, 3)), output=np.int32)[0]
    return labels


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
