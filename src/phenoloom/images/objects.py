"""Objects of a label image: areas, bounding boxes, and the reasons why one is left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .labels import Labels


class LeftOut(StrEnum):
    """Why an object, a tile or an image without objects is left out; manifests count them by these texts."""

    NO_OBJECTS = "image without objects"
    TOO_SMALL = "object smaller than min_area_px"
    TOO_LARGE = "object larger than the tile"
    AT_IMAGE_BORDER = "object touches the image border"
    BACKGROUND = "tile with less foreground than min_foreground"
    EMPTY_MASK = "mask without foreground"
    AT_BORDER = "object touches the border"
    TOO_FEW_POINTS = "outline with fewer than min_points distinct points"
    NO_AREA = "outline that encloses no area"
    OUTSIDE = "point outside of the image"
    ON_BACKGROUND = "point on the background of the mask"
    IN_NO_KEPT_OBJECT = "point in an object that was left out"
    WINDOW_AT_BORDER = "window of a point that reaches over the image border"
    NO_POINTS = "image without points"
    UNUSABLE = "image that cannot be used"


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one label image in the order of their labels; every array is (n,).

    Attributes:
        label: Value in the label image.
        area_px: Number of pixels.
        y0: First row of the bounding box, in px.
        x0: First column.
        y1: Row behind the last one.
        x1: Column behind the last one.
        touches_border: Whether the object touches the border of the image.
    """

    label: NDArray[np.int32]
    area_px: NDArray[np.int32]
    y0: NDArray[np.int32]
    x0: NDArray[np.int32]
    y1: NDArray[np.int32]
    x1: NDArray[np.int32]
    touches_border: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.label)


def objects(labels: Labels) -> Objects:
    """Measure area, bounding box and contact with the image border of every object in labels (h, w).

    Works on runs of equal labels along rows: an image has far fewer runs than pixels.
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
    )


def _extent(
    index: NDArray[np.intp], low: NDArray[np.intp], high: NDArray[np.intp], n: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the least `low` and the greatest `high` among the runs of each object (n,)."""
    least, greatest = np.full(n, np.iinfo(np.int32).max, np.int32), np.zeros(n, np.int32)
    np.minimum.at(least, index, low.astype(np.int32))
    np.maximum.at(greatest, index, high.astype(np.int32))
    return least, greatest


def _compact(values: Labels) -> tuple[Labels, NDArray[np.intp]]:
    """Return the distinct values in rising order, and the position of each value among them."""
    top = int(values.max(initial=0))
    if top > 4 * values.size + 1024:
        distinct, index = np.unique(values, return_inverse=True)
        return distinct, index
    present = np.zeros(top + 1, bool)
    present[values] = True
    rank = np.cumsum(present) - 1
    return np.flatnonzero(present).astype(np.int32), rank[values]


def fitting_side(counts: NDArray[np.integer]) -> int | None:
    """Return the side in px of a window that holds 99 % of the objects, a multiple of 8; None without objects.

    Args:
        counts: Number of objects whose bounding box has a longer side of 0, 1, 2 ... px.
    """
    held = np.cumsum(counts)
    if not held.size or not held[-1]:
        return None
    return -(-int(np.searchsorted(held, 0.99 * held[-1])) // 8) * 8


def run_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the lengths of the runs of equal pixels of a mask (h, w), row by row; the first one is of background.

    A mask takes two numbers for each stretch of a row, far less than its pixels.
    """
    flat = mask.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    starts = np.concatenate([[0], [0] if flat.size and flat[0] else [], ends])
    return np.diff(starts).astype(np.int32)


def of_run_lengths(runs: NDArray[np.integer], height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask (height, width) of the lengths that `run_lengths` returned."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
