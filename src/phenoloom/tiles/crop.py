"""Where tiles lie in an image, on a grid or around objects, and cutting them out.

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
from ..images.objects import objects

EMPTY = "image without objects"
AT_BORDER = "object touches the image border"
TOO_SMALL = "object smaller than min_area_px"
TOO_LARGE = "object larger than the tile"


@dataclass(frozen=True, slots=True)
class Place:
    """One tile: its top-left corner in px, and the object that it shows (-1 on a grid)."""

    y: int
    x: int
    object: int = -1
    area_px: int = -1
    border: bool = False

    @property
    def name(self) -> str:
        """The tile's part of the id: `y00000x00000` on a grid, `0001` for an object."""
        return f"y{self.y:05d}x{self.x:05d}" if self.object < 0 else f"{self.object:04d}"


def grid(height: int, width: int, size: int, stride: int) -> list[Place]:
    """Tiles of a grid from the top-left corner, row by row; raises ImageError if not one fits into the image."""
    if height < size or width < size:
        raise ImageError(
            f"expected an image of at least one tile of {size} x {size} px, found {height} x {width} px; "
            "use a smaller tiles.size, or tiles.mode: objects, whose windows may reach over the edge"
        )
    rows, columns = range(0, height - size + 1, stride), range(0, width - size + 1, stride)
    return [Place(y, x) for y in rows for x in columns]


def around_objects(
    labels: NDArray[np.int32], size: int, min_area_px: int, keep_border: bool, rejected: Counter[str]
) -> list[Place]:
    """Windows around the objects of a label image (h, w), in the order of their labels; counts those left out.

    An object that does not fit into the window is left out, since a part of it would be taken for its shape.
    """
    table = objects(labels)
    if len(table) == 0:
        rejected[EMPTY] += 1
    places = []
    for i in range(len(table)):
        y0, x0, y1, x1 = (int(edge[i]) for edge in (table.y0, table.x0, table.y1, table.x1))
        border, area = bool(table.touches_border[i]), int(table.area_px[i])
        if area < min_area_px:
            rejected[TOO_SMALL] += 1
        elif border and not keep_border:
            rejected[AT_BORDER] += 1
        elif max(y1 - y0, x1 - x0) > size:
            rejected[TOO_LARGE] += 1
        else:
            places.append(Place((y0 + y1 - size) // 2, (x0 + x1 - size) // 2, int(table.label[i]), area, border))
    return places


def inside(image: NDArray[Any], place: Place, size: int) -> NDArray[Any]:
    """The part of a tile that lies inside the image (..., h, w), as a view."""
    return image[..., max(place.y, 0) : max(place.y + size, 0), max(place.x, 0) : max(place.x + size, 0)]


def cut(image: NDArray[Any], place: Place, size: int) -> NDArray[Any]:
    """The tile (..., size, size) as a C-contiguous array, zero outside the image (..., h, w)."""
    part = inside(image, place, size)
    if part.shape[-2:] == (size, size):
        return np.ascontiguousarray(part)
    tile = np.zeros((*image.shape[:-2], size, size), image.dtype)
    top, left = max(-place.y, 0), max(-place.x, 0)
    tile[..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
    return tile
