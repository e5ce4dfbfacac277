"""Convex hulls of many point sets at once, and what is measured on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def convex_hulls(contours: Floats) -> Floats:
    """Convex hulls (n, h, 2), counter-clockwise, of point sets (n, p, 2).

    Hulls with fewer than h vertices repeat their last one. All sets take part in each round, in which every point below
    the line between its neighbours on the chain is dropped at once: such a point is no vertex of the hull, whatever
    else is dropped beside it (after the monotone chain of Andrew 1979).
    """
    order = np.lexsort((contours[..., 1], contours[..., 0]), axis=1)
    ordered = np.take_along_axis(contours, order[..., None], axis=1)
    lower, upper = _chain(ordered), _chain(ordered[:, ::-1])
    # Each chain ends where the other begins.
    counts = np.stack([lower[1] - 1, upper[1] - 1], axis=1)
    total = np.maximum(counts.sum(axis=1), 1)
    hulls = np.empty((len(contours), int(total.max(initial=1)), 2))
    position = np.minimum(np.arange(hulls.shape[1]), total[:, None] - 1)
    first = np.minimum(position, lower[0].shape[1] - 1)
    second = np.clip(position - counts[:, :1], 0, upper[0].shape[1] - 1)
    on_lower = (position < counts[:, :1])[..., None]
    from_lower = np.take_along_axis(lower[0], first[..., None], axis=1)
    from_upper = np.take_along_axis(upper[0], second[..., None], axis=1)
    return np.where(on_lower, from_lower, from_upper)


def _chain(points: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The right-hand chain (n, c, 2) of points sorted along a line, padded, and its length (n,), both ends included."""
    n, p, _ = points.shape
    kept = np.ones((n, p), bool)
    kept[:, 1:] = (points[:, 1:] != points[:, :-1]).any(axis=2)
    flat, owner = points[kept], np.nonzero(kept)[0]
    while True:
        edge = flat[1:] - flat[:-1]
        same = owner[1:] == owner[:-1]
        turn = edge[:-1, 0] * edge[1:, 1] - edge[:-1, 1] * edge[1:, 0]
        drop = np.zeros(len(flat), bool)
        drop[1:-1] = same[:-1] & same[1:] & (turn <= 0)
        if not drop.any():
            break
        flat, owner = flat[~drop], owner[~drop]
    counts = np.bincount(owner, minlength=n)
    chain = np.zeros((n, int(counts.max(initial=1)), 2))
    chain[owner, np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]] = flat
    return chain, counts


def hull_areas(hulls: Floats) -> Floats:
    """Areas (n,) of hulls (n, h, 2)."""
    x, y = (hulls - hulls[:, :1]).transpose(2, 0, 1)
    twice = x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y
    # Added one after the other, so that the zeros of repeated vertices do not change the rounding.
    return 0.5 * np.cumsum(twice, axis=1)[:, -1]


def largest_diameters(hulls: Floats) -> Floats:
    """Largest distance (n,) between two vertices: the maximum Feret diameter."""
    largest = np.zeros(len(hulls))
    for shift in range(1, hulls.shape[1] // 2 + 1):
        apart = hulls - np.roll(hulls, shift, axis=1)
        np.maximum(largest, np.square(apart).sum(axis=2).max(axis=1), out=largest)
    return np.sqrt(largest)


def smallest_boxes(hulls: Floats) -> Floats:
    """Areas (n,) of the smallest enclosing rectangles of any direction; one side lies on an edge of the hull."""
    smallest = np.full(len(hulls), np.inf)
    for i in range(hulls.shape[1]):
        edge = hulls[:, (i + 1) % hulls.shape[1]] - hulls[:, i]
        length = np.sqrt(np.square(edge).sum(axis=1))
        along = edge / np.where(length > 0, length, 1)[:, None]
        relative = hulls - hulls[:, i : i + 1]
        u = relative[..., 0] * along[:, :1] + relative[..., 1] * along[:, 1:]
        v = relative[..., 1] * along[:, :1] - relative[..., 0] * along[:, 1:]
        box = np.ptp(u, axis=1) * np.ptp(v, axis=1)
        np.minimum(smallest, np.where(length > 0, box, np.inf), out=smallest)
    return np.where(np.isfinite(smallest), smallest, 0.0)
