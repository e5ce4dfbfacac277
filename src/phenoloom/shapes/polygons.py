"""Closed polygons in batches: ragged arrays of vertices, cleaned, oriented and resampled without a loop over objects.

Every result of one polygon depends on that polygon alone, to the last bit, whatever else is in the batch: sums run
within a polygon (`reduceat`) and the running arc length of the batch is kept in whole numbers. The last vertex of a
polygon is joined to its first and is not a repetition of it. Vertices are (x, y); "counter-clockwise" is meant in the
mathematical sense with y up, that is, the signed area is positive.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

# Vertices of a batch stay in the processor's cache.
_BATCH = 1 << 15
# The perimeter in whole steps: 2^38 keep rounding below 2e-12 of it, and sums over the 2^14 polygons of two vertices or
# more that a batch holds are exact in float64.
_ARC_STEPS = float(1 << 38)


@dataclass(frozen=True)
class Polygons:
    """A batch of closed polygons, each with any number of vertices.

    Attributes:
        x: x of the vertices of all polygons, end to end (total,).
        y: Their y (total,).
        counts: Vertices of each polygon (n,).
    """

    x: Floats
    y: Floats
    counts: Integers

    @classmethod
    def from_list(cls, polygons: Sequence[NDArray[np.generic]]) -> Polygons:
        """Return polygons of arrays (k, 2) of x and y."""
        counts = np.array([len(points) for points in polygons], np.int64)
        flat = np.concatenate([np.empty((0, 2)), *polygons]).astype(np.float64)
        return cls(np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1]), counts)

    @classmethod
    def from_array(cls, contours: NDArray[np.generic]) -> Polygons:
        """Return polygons with equal counts of an array (n, points, 2)."""
        flat = contours.reshape(-1, 2).astype(np.float64)
        counts = np.full(len(contours), contours.shape[1], np.int64)
        return cls(np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1]), counts)

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: int) -> Floats:
        """Return the vertices of one polygon (k, 2)."""
        start = self.first[index]
        part = slice(start, start + self.counts[index])
        return np.stack([self.x[part], self.y[part]], axis=1)

    @cached_property
    def last(self) -> Integers:
        """Position of each polygon's last vertex."""
        return np.cumsum(self.counts) - 1

    @cached_property
    def first(self) -> Integers:
        """Position of each polygon's first vertex."""
        return self.last + 1 - self.counts

    def spread(self, values: NDArray[T]) -> NDArray[T]:
        """Repeat one value a polygon for each of its vertices: (n,) to (total,)."""
        return np.repeat(values, self.counts)

    @cached_property
    def edges(self) -> tuple[Floats, Floats]:
        """(dx, dy) from each vertex to the next one of the same polygon."""
        return self.following(self.x) - self.x, self.following(self.y) - self.y

    def following(self, values: Floats) -> Floats:
        """Return the value at the next vertex of the same polygon, for values a vertex (total,)."""
        following = np.empty_like(values)
        following[:-1] = values[1:]
        following[self.last] = values[self.first]
        return following

    def batches(self, vertices: int = _BATCH) -> Iterator[tuple[slice, Polygons]]:
        """Yield runs of polygons with about so many vertices, after their positions in this batch."""
        cuts = np.flatnonzero(np.diff(self.last // vertices, prepend=-1)).tolist()
        for start, stop in itertools.pairwise([*cuts, len(self)]):
            part = slice(self.first[start], self.last[stop - 1] + 1)
            yield slice(start, stop), Polygons(self.x[part], self.y[part], self.counts[start:stop])

    def take(self, which: Integers) -> Polygons:
        """Return the polygons at the positions `which` (m,), in that order."""
        if np.array_equal(which, np.arange(len(self))):
            return self
        counts = self.counts[which]
        ends = np.cumsum(counts)
        vertices = np.arange(counts.sum()) + np.repeat(self.first[which] - (ends - counts), counts)
        return Polygons(self.x.take(vertices), self.y.take(vertices), counts)

    def select(self, keep: Booleans) -> Polygons:
        """Return only the polygons where `keep` (n,) is true."""
        return self.take(np.flatnonzero(keep))

    def shifted(self, x: NDArray[Any], y: NDArray[Any]) -> Polygons:
        """Return each polygon moved by its own x and y (n,)."""
        return Polygons(self.x + self.spread(x), self.y + self.spread(y), self.counts)


def concatenate(parts: Sequence[Polygons]) -> Polygons:
    """Return the polygons of several batches as one, in order."""
    return Polygons(
        np.concatenate([np.empty(0), *(part.x for part in parts)]),
        np.concatenate([np.empty(0), *(part.y for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.counts for part in parts)]),
    )


def without_repeats(polygons: Polygons) -> Polygons:
    """Drop vertices equal to the next one, cyclically; a polygon of equal vertices is left with none.

    Raises:
        ValueError: A polygon has no vertices.
    """
    if not polygons.counts.all():
        raise ValueError("expected polygons with vertices, found one without")
    if not len(polygons):
        return polygons
    dx, dy = polygons.edges
    keep = (dx != 0) | (dy != 0)
    if keep.all():
        return polygons
    counts = np.add.reduceat(keep, polygons.first, dtype=np.int64)
    return Polygons(polygons.x[keep], polygons.y[keep], counts)


def signed_areas(polygons: Polygons) -> Floats:
    """Return the areas (n,) by the shoelace formula, positive for counter-clockwise polygons; none may be empty."""
    if not len(polygons):
        return np.empty(0)
    dx, dy = polygons.edges
    # Relative to the first vertex: far from the origin the products would lose the area's digits.
    x = polygons.x - polygons.spread(polygons.x[polygons.first])
    return np.add.reduceat((x + 0.5 * dx) * dy, polygons.first)


def perimeters(polygons: Polygons) -> Floats:
    """Return the lengths of the closed outlines (n,); no polygon may be empty."""
    if not len(polygons):
        return np.empty(0)
    dx, dy = polygons.edges
    return np.add.reduceat(np.sqrt(dx * dx + dy * dy), polygons.first)


def standard_order(polygons: Polygons, clockwise: Booleans) -> Polygons:
    """Reverse the `clockwise` polygons and start each at its vertex with the largest x, then the largest y."""
    if not len(polygons):
        return polygons
    first, last = polygons.first, polygons.last
    rightmost = np.flatnonzero(polygons.x == polygons.spread(np.maximum.reduceat(polygons.x, first)))
    groups, y = np.searchsorted(rightmost, first), polygons.y[rightmost]
    top = y == np.repeat(np.maximum.reduceat(y, groups), np.diff(groups, append=len(y)))
    corner = rightmost[top]
    start = corner[np.searchsorted(corner, first)]
    # Two runs a polygon: from its start to an end of its vertices, and from the other end to beside the start.
    step = np.where(clockwise, -1, 1)
    lengths = np.stack([np.where(clockwise, start - first, last - start) + 1, np.empty_like(start)], axis=1)
    lengths[:, 1] = polygons.counts - lengths[:, 0]
    origins = np.stack([start, np.where(clockwise, last, first)], axis=1)
    before = (np.cumsum(lengths) - lengths.ravel()).reshape(-1, 2)
    runs = lengths.ravel()
    vertex = np.arange(len(polygons.x))
    if clockwise.any():
        vertex *= np.repeat(step, polygons.counts)
    vertex += np.repeat((origins - step[:, None] * before).ravel(), runs)
    return Polygons(polygons.x.take(vertex), polygons.y.take(vertex), polygons.counts)


def resample(polygons: Polygons, points: int) -> Floats:
    """Return points at equal arc length along closed polygons (n, points, 2), the first at the first vertex.

    No polygon may be empty or have no length.
    """
    contours = np.empty((len(polygons), points, 2))
    for where, batch in polygons.batches():
        _resample(batch, contours[where])
    return contours


def _resample(polygons: Polygons, out: Floats) -> None:
    """Write the points of a batch to `out` (n, points, 2): one linear interpolation over the edges of all polygons."""
    points = out.shape[1]
    first = polygons.first
    dx, dy = polygons.edges
    lengths = np.sqrt(dx * dx + dy * dy)
    steps = np.rint(lengths * polygons.spread(_ARC_STEPS / np.add.reduceat(lengths, first)))
    walked = np.cumsum(steps)
    before = walked[first] - steps[first]
    # Where each edge ends, counted in points; the last edge ends at exactly `points`, and none beyond it.
    end = walked - polygons.spread(before)
    end *= polygons.spread(points / (walked[polygons.last] - before))
    np.minimum(end, points, out=end)
    end[polygons.last] = points
    up_to = np.ceil(end).astype(np.int64)
    on_edge, start = up_to.copy(), np.empty_like(end)
    on_edge[1:] -= up_to[:-1]
    on_edge[first] = up_to[first]
    start[1:] = end[:-1]
    start[first] = 0.0
    edge = np.repeat(np.arange(len(end)), on_edge)
    at = start.take(edge)
    along = np.arange(points, dtype=np.float64) - at.reshape(-1, points)
    along = along.ravel() / (end.take(edge) - at)
    flat = out.reshape(-1, 2)
    np.add(polygons.x.take(edge), along * dx.take(edge), out=flat[:, 0])
    np.add(polygons.y.take(edge), along * dy.take(edge), out=flat[:, 1])


def resample_contours(contours: NDArray[np.generic], points: int) -> Floats:
    """Return contours (n, p, 2) at another number of points; unchanged where they have it already."""
    if contours.shape[1] == points:
        return contours.astype(np.float64)
    return resample(without_repeats(Polygons.from_array(contours)), points)


def centred(contours: Floats) -> tuple[Floats, Floats, Floats]:
    """Move contours (n, p, 2) so that the centroid of their area is the origin.

    A contour that encloses (nearly) nothing is centred on the mean of its points.

    Returns:
        The contours, the centroids (n, 2), and the root mean square distances of the points from them (n,).
    """
    points = contours.shape[1]
    # Relative to the first point, as in `signed_areas`.
    x, y = contours[..., 0] - contours[:, :1, 0], contours[..., 1] - contours[:, :1, 1]
    next_x, next_y = _next(x), _next(y)
    cross = x * next_y - next_x * y
    mean_x, mean_y = x.sum(axis=1) / points, y.sum(axis=1) / points
    area = cross.sum(axis=1) / 2
    solid = np.abs(area) > 1e-6 * ((x * x).sum(axis=1) + (y * y).sum(axis=1)) / points
    share = np.where(solid, 1 / (6 * np.where(solid, area, 1)), 0)
    centre_x = np.where(solid, ((x + next_x) * cross).sum(axis=1) * share, mean_x)
    centre_y = np.where(solid, ((y + next_y) * cross).sum(axis=1) * share, mean_y)
    x -= centre_x[:, None]
    y -= centre_y[:, None]
    scale = np.sqrt(((x * x).sum(axis=1) + (y * y).sum(axis=1)) / points)
    centres = np.stack([contours[:, 0, 0] + centre_x, contours[:, 0, 1] + centre_y], axis=1)
    return np.stack([x, y], axis=2), centres, scale


def standard_contours(polygons: Polygons, points: int) -> tuple[Floats, Floats, Floats]:
    """Bring outlines to the conventions of the store (`store.CONVENTIONS`).

    Args:
        polygons: Outlines of at least two vertices, none of them repeated; see `without_repeats`.
        points: Points of a contour.

    Returns:
        Contours (n, points, 2) about their centroids, the centroids (n, 2), and the scales (n,), the root mean square
        distances of the points from the centroid.
    """
    contours = np.empty((len(polygons), points, 2))
    centres, scales = np.empty((len(polygons), 2)), np.empty(len(polygons))
    for where, batch in polygons.batches():
        ordered = standard_order(batch, signed_areas(batch) < 0)
        contours[where], centres[where], scales[where] = centred(resample(ordered, points))
    return contours, centres, scales


def _next(values: Floats) -> Floats:
    """Return column j + 1 at column j, cyclically; several times faster than `np.roll`."""
    following = np.empty_like(values)
    following[:, :-1] = values[:, 1:]
    following[:, -1] = values[:, 0]
    return following
