"""Points of a table of objects, image by image, and the objects of a label image that they lie in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..artifacts.parquet import read_result
from ..images.labels import Labels
from ..images.objects import LeftOut
from .examples import MOST_EXAMPLES

_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")

Lost = dict[str, list[int]]
"""Rows of the study's table whose points are in no object, by reason."""


@dataclass(frozen=True)
class Points:
    """Points in one image; every array is (n,).

    Attributes:
        row: Row of the study's table, from 0.
        number: Number of the point's object; -1 where the table has points in objects.
        x: x in px; 0 is the centre of the first pixel.
        y: y in px.
    """

    row: NDArray[np.int64]
    number: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return row and column of the pixels that the points lie in, inside of the image or not."""
        y, x = (np.floor(values + 0.5).astype(np.int64) for values in (self.y, self.x))
        return y, x

    def inside(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return which points lie in an image of this size in px."""
        y, x = self.pixels()
        return (y >= 0) & (y < height) & (x >= 0) & (x < width)

    def outside(self, height: int, width: int) -> Lost:
        """Return the rows of the points that do not."""
        rows = self.row[~self.inside(height, width)].tolist()
        return {str(LeftOut.OUTSIDE): rows} if rows else {}


class PointTable:
    """The points of one shard or of all, by image.

    Args:
        table: The table of objects that the step of that name made.
        shard: Name of the shard; None for all.
    """

    def __init__(self, table: Path, shard: str | None = None) -> None:
        columns = ["image_id", "line", "object", "x", "y"]
        rows = read_result(table, columns=columns, filters=[("shard", "=", shard)] if shard else None)
        values = [rows["line"], rows["object"].fill_null(-1), rows["x"], rows["y"]]
        self._points = Points(*(column.to_numpy() for column in values))
        images = rows["image_id"].to_numpy()
        # Rows of one image lie together.
        starts = np.flatnonzero(np.append(True, images[1:] != images[:-1])) if len(images) else np.empty(0, np.int64)
        self._parts = {images[a]: slice(a, b) for a, b in pairwise([*starts.tolist(), len(images)])}

    def of(self, image_id: str) -> Points:
        """Return the points in an image, in the order of the study's table."""
        part, whole = self._parts.get(image_id, slice(0, 0)), self._points
        return Points(whole.row[part], whole.number[part], whole.x[part], whole.y[part])


def of_no_object(points: Points, labels: Labels, by_point: bool) -> NDArray[np.bool_]:
    """Return which rows belong to no object of a label image (h, w), by their points or else by their numbers."""
    if not by_point:
        return ~np.isin(points.number, labels)
    strange = ~points.inside(*labels.shape)
    y, x = (pixels[~strange] for pixels in points.pixels())
    strange[~strange] = labels[y, x] == 0
    return strange


class LocatedPoints:
    """The objects that the points of an image lie in.

    Args:
        points: The points.
        labels: Label image (h, w).

    Attributes:
        lost: Rows of the points that lie in no object, or in none that is kept, by reason.
    """

    def __init__(self, points: Points, labels: Labels) -> None:
        self.lost = points.outside(*labels.shape)
        inside = points.inside(*labels.shape)
        y, x = (pixels[inside] for pixels in points.pixels())
        owner, rows = labels[y, x], points.row[inside]
        self._lose(LeftOut.ON_BACKGROUND, rows[owner == 0])
        order = np.argsort(owner, kind="stable")[np.count_nonzero(owner == 0) :]
        self._owner, self._rows = owner[order], rows[order]

    def rows_of(self, kept: Sequence[int]) -> list[list[int]]:
        """Return the rows whose points lie in each of the objects that are kept; other objects lose theirs."""
        starts, ends = (np.searchsorted(self._owner, kept, side) for side in _SIDES)
        self._lose(LeftOut.IN_NO_KEPT_OBJECT, np.sort(self._rows[~np.isin(self._owner, kept)]))
        return [self._rows[a:b].tolist() for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]

    def _lose(self, reason: str, rows: NDArray[np.int64]) -> None:
        if len(rows):
            self.lost[str(reason)] = rows.tolist()


@dataclass
class LostPoints:
    """Counts of points in no object, over the images of a shard."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: Lost = field(default_factory=dict)

    def add(self, lost: Mapping[str, list[int]]) -> None:
        """Add what an image has lost."""
        for reason, rows in lost.items():
            self.counts[reason] += len(rows)
            examples = self.examples.setdefault(reason, [])
            examples += rows[: MOST_EXAMPLES - len(examples)]

    def facts(self) -> dict[str, Any]:
        """Return what the manifest of the shard states: reason -> `count`, and the first `rows`."""
        return {
            reason: {"count": count, "rows": self.examples[reason]} for reason, count in sorted(self.counts.items())
        }
