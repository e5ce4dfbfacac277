"""Crop tiles from an image, on a grid or around objects.

Grid tiles lie inside the image. The window of an object is centred on the object's bounding box; where it reaches over
the image's edge the tile is zero there, in pixels and mask, since mirrored cells would be cells that do not exist.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ImageError
from ..images.objects import LeftOut, objects
from ..study.points import Points


@dataclass(frozen=True, slots=True)
class Window:
    """The place of a tile in its image.

    Attributes:
        y: First row in px; negative where the window reaches over the edge.
        x: First column in px.
        object: Label of the object that the tile shows; -1 on a grid.
        area_px: Area of the object; -1 on a grid.
        border: Whether the object touches the border of the image.
        height_px: Height of the object's bounding box; -1 on a grid.
        width_px: Width of the bounding box; -1 on a grid.
        left_out: Why the object has no tile; None where it has one. `y` and `x` are then those of its bounding box.
    """

    y: int
    x: int
    object: int = -1
    area_px: int = -1
    border: bool = False
    height_px: int = -1
    width_px: int = -1
    left_out: LeftOut | None = None

    @property
    def side_px(self) -> int:
        """Return the longer side of the object's bounding box."""
        return max(self.height_px, self.width_px)

    @property
    def name(self) -> str:
        """Return the tile's part of its id: `y00000x00000` on a grid, `0001` for an object."""
        return f"y{self.y:05d}x{self.x:05d}" if self.object < 0 else f"{self.object:04d}"


def grid_windows(height: int, width: int, size: int, stride: int) -> list[Window]:
    """Return the windows of a grid row by row from the top left.

    Args:
        height: Height of the image in px.
        width: Width of the image in px.
        size: Side of a window in px.
        stride: Distance in px between the corners of neighbouring windows.

    Raises:
        ImageError: The image is smaller than a window.
    """
    if height < size or width < size:
        raise ImageError(
            f"expected an image of at least one tile of {size} x {size} px, found {height} x {width} px; "
            "use a smaller tiles.size, or tiles.mode: objects, whose windows may reach over the edge"
        )
    rows, columns = range(0, height - size + 1, stride), range(0, width - size + 1, stride)
    return [Window(y, x) for y in rows for x in columns]


def object_windows(
    labels: NDArray[np.int32], size: int, min_area_px: int, keep_border: bool, rejected: Counter[str]
) -> list[Window]:
    """Return windows around the objects of a label image, in the order of their labels.

    An object that does not fit into the window gets no tile, since a part of it would be taken for its shape; neither
    does one at the border, unless these are kept. Both are returned all the same, with the reason; specks are not, as
    there may be thousands.

    Args:
        labels: Label image (h, w).
        size: Side of the window in px.
        min_area_px: Area of the smallest object to keep.
        keep_border: Whether to keep objects that touch the border of the image.
        rejected: Counts of what has no tile, by reason; they are added to.
    """
    table = objects(labels)
    if len(table) == 0:
        rejected[LeftOut.NO_OBJECTS] += 1
    small = table.area_px < min_area_px
    height, width = table.y1 - table.y0, table.x1 - table.x0
    at_border = table.touches_border & (not keep_border)
    too_large = (np.maximum(height, width) > size) & ~at_border
    placed = ~at_border & ~too_large
    y = np.where(placed, (table.y0 + table.y1 - size) // 2, table.y0)
    x = np.where(placed, (table.x0 + table.x1 - size) // 2, table.x0)
    counted = ((LeftOut.TOO_SMALL, small), (LeftOut.AT_IMAGE_BORDER, at_border & ~small))
    for reason, which in (*counted, (LeftOut.TOO_LARGE, too_large & ~small)):
        if count := int(np.count_nonzero(which)):
            rejected[reason] += count
    reasons = [
        None if p else LeftOut.AT_IMAGE_BORDER if b else LeftOut.TOO_LARGE
        for p, b in zip(placed, at_border, strict=True)
    ]
    columns = (y, x, table.label, table.area_px, table.touches_border, height, width)
    rows = zip(*(column.tolist() for column in columns), reasons, strict=True)
    return [Window(*row) for row, speck in zip(rows, small.tolist(), strict=True) if not speck]


def point_windows(
    points: Points, shape: tuple[int, int], size: int, keep_border: bool, rejected: Counter[str]
) -> list[Window]:
    """Return windows centred on points, in their order.

    A window that reaches over the border of the image gets no tile unless these are kept, and is returned all the same,
    with the reason. A point outside of the image has none.

    Args:
        points: The points.
        shape: Height and width of the image in px.
        size: Side of the window in px.
        keep_border: Whether to keep windows that reach over the border of the image.
        rejected: Counts of what has no tile, by reason; they are added to.
    """
    if len(points) == 0:
        rejected[LeftOut.NO_POINTS] += 1
    there = points.inside(*shape)
    y, x = ((2 * pixels[there] + 1 - size) // 2 for pixels in points.pixels())
    over = (np.minimum(y, x) < 0) | (y + size > shape[0]) | (x + size > shape[1])
    for reason, which in ((LeftOut.OUTSIDE, ~there), (LeftOut.WINDOW_AT_BORDER, over & (not keep_border))):
        if count := int(np.count_nonzero(which)):
            rejected[reason] += count
    at_border = None if keep_border else LeftOut.WINDOW_AT_BORDER
    rows = zip(y.tolist(), x.tolist(), points.number[there].tolist(), over.tolist(), strict=True)
    return [Window(y, x, number, border=b, left_out=at_border if b else None) for y, x, number, b in rows]


def inside(image: NDArray[Any], window: Window, size: int) -> NDArray[Any]:
    """Return the part of a window that lies inside the image (..., h, w), as a view."""
    return image[..., max(window.y, 0) : max(window.y + size, 0), max(window.x, 0) : max(window.x + size, 0)]


def crop(image: NDArray[Any], window: Window, size: int) -> NDArray[Any]:
    """Return a tile (..., size, size) as a C-contiguous array, zero outside the image (..., h, w)."""
    part = inside(image, window, size)
    if part.shape[-2:] == (size, size):
        return np.ascontiguousarray(part)
    tile = np.zeros((*image.shape[:-2], size, size), image.dtype)
    top, left = max(-window.y, 0), max(-window.x, 0)
    tile[..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
    return tile
