"""Region properties: size and form of the area inside a closed contour, batched over contours.

Moments come from the polygon in closed form, so they do not depend on a grid of pixels. Contours are (n, p, 2) of x and
y in px; every property is (n,).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .polygons import Floats

Moments = dict[tuple[int, int], Floats]
"""Moments (n,) by their orders p and q in x and y."""

REGION_NAMES = (
    "area",
    "perimeter",
    "major_axis",
    "minor_axis",
    "eccentricity",
    "solidity",
    "extent",
    "feret_max",
    "hull_area",
    "equivalent_diameter",
    "circularity",
    *(f"log_hu_{i}" for i in range(1, 8)),
)

# Green's theorem turns the moment of order p + q into an integral of a polynomial of degree p + q + 1 along each edge,
# which three Gauss-Legendre nodes integrate exactly up to order 4.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
# Hu's invariants of symmetric shapes are zero but for rounding, and its logarithm would be noise.
_LEAST_HU = 1e-10
# An area below this share of the mean squared distance of the points from their mean is rounding.
_LEAST_AREA = 1e-9


def region_properties(contours: NDArray[np.floating[Any]]) -> Floats:
    """Return size and form of the enclosed areas (n, 18), in the order of `REGION_NAMES`, in px and px^2.

    The properties are invariant to start, direction, rotation and reflection. Solidity is the share of the convex hull
    that the area fills, extent that of the smallest enclosing rectangle of any direction (the axis-aligned one would
    depend on rotation); the axes are those of the ellipse with the same second moments; Hu's invariants (1962) are
    log10 of their magnitudes, since a reflection changes the sign of the seventh.
    """
    polygons = contours.astype(np.float64)
    mu, hulls = central_moments(polygons), convex_hulls(polygons)
    area, hull_area, box = mu[0, 0], hull_areas(hulls), smallest_boxes(hulls)
    edges = np.roll(polygons, -1, axis=1) - polygons
    perimeter = np.sqrt(edges[..., 0] ** 2 + edges[..., 1] ** 2).sum(axis=1)
    major, minor = ellipse_axes(mu)
    columns = [
        area,
        perimeter,
        major,
        minor,
        np.sqrt(np.clip(1 - _share(minor, major) ** 2, 0, 1)),
        _share(area, hull_area),
        _share(area, box),
        largest_diameters(hulls),
        hull_area,
        np.sqrt(4 * area / np.pi),
        _share(4 * np.pi * area, perimeter**2),
        *np.log10(np.abs(hu_invariants(mu)) + _LEAST_HU).T,
    ]
    return np.stack(columns, axis=1)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def central_moments(contours: Floats) -> Moments:
    """Return the moments mu[p, q] up to order 3 of the areas of contours, about their centroids.

    Areas count positive whichever way a contour runs. All moments of one that encloses (nearly) nothing are zero.
    """
    origin = contours.sum(axis=1, keepdims=True) / contours.shape[1]
    raw = _moments(contours - origin, 1)
    size = (np.square(contours - origin).sum(axis=2)).sum(axis=1) / contours.shape[1]
    solid = np.abs(raw[0, 0]) > _LEAST_AREA * size
    divisor = np.where(solid, raw[0, 0], 1.0)
    centroid = np.stack([raw[1, 0], raw[0, 1]], axis=1) / divisor[:, None]
    moments = _moments(contours - origin - centroid[:, None], 3)
    sign = np.where(moments[0, 0] < 0, -1.0, 1.0)
    return {order: np.where(solid, sign * moment, 0.0) for order, moment in moments.items()}


def _moments(contours: Floats, highest: int) -> Moments:
    """Return the integrals of x^p y^q over the areas: those of x^(p + 1) y^q / (p + 1) dy along the edges (Green)."""
    x, y = np.ascontiguousarray(contours[..., 0]), np.ascontiguousarray(contours[..., 1])
    dx, dy = np.roll(x, -1, axis=1) - x, np.roll(y, -1, axis=1) - y
    orders = [(p, q) for p, q in itertools.product(range(highest + 1), repeat=2) if p + q <= highest]
    total = {order: np.zeros(len(contours)) for order in orders}
    for node, weight in zip((_NODES + 1) / 2, _WEIGHTS / 2, strict=True):
        at_x, at_y = x + node * dx, y + node * dy
        powers_y = [weight * dy]
        for _ in range(highest):
            powers_y.append(powers_y[-1] * at_y)
        power_x = np.ones_like(x)
        for p in range(highest + 1):
            power_x = power_x * at_x
            for q in range(highest + 1 - p):
                total[p, q] += (power_x * powers_y[q]).sum(axis=1) / (p + 1)
    return total


def ellipse_axes(mu: Moments) -> tuple[Floats, Floats]:
    """Return the major and the minor axis of the ellipses with the same second moments as the areas."""
    area = np.where(mu[0, 0] > 0, mu[0, 0], 1.0)
    a, b, c = mu[2, 0] / area, mu[1, 1] / area, mu[0, 2] / area
    root = np.sqrt(np.square(a - c) + 4 * b * b)
    larger, smaller = (a + c + root) / 2, (a + c - root) / 2
    return 4 * np.sqrt(np.maximum(larger, 0)), 4 * np.sqrt(np.maximum(smaller, 0))


def hu_invariants(mu: Moments) -> Floats:
    """Return Hu's seven invariants to translation, scale and rotation (n, 7); a reflection changes the last one's sign.

    IRE Transactions on Information Theory 8 (1962), equations 57 to 63.
    """
    area = np.where(mu[0, 0] > 0, mu[0, 0], 1.0)

    def eta(p: int, q: int) -> Floats:
        return mu[p, q] / area ** (1 + (p + q) / 2)

    difference, cross = eta(2, 0) - eta(0, 2), eta(1, 1)
    a, b = eta(3, 0) - 3 * eta(1, 2), 3 * eta(2, 1) - eta(0, 3)
    c, d = eta(3, 0) + eta(1, 2), eta(2, 1) + eta(0, 3)
    e, f = c * c - 3 * d * d, 3 * c * c - d * d
    return np.stack(
        [
            eta(2, 0) + eta(0, 2),
            difference**2 + 4 * cross**2,
            a * a + b * b,
            c * c + d * d,
            a * c * e + b * d * f,
            difference * (c * c - d * d) + 4 * cross * c * d,
            b * c * e - a * d * f,
        ],
        axis=1,
    )


def convex_hulls(contours: Floats) -> Floats:
    """Return the convex hulls (n, h, 2), counter-clockwise, of point sets (n, p, 2).

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
    """Return the right-hand chain (n, c, 2) of points sorted along a line, padded, and its length with both ends."""
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
    """Return the areas of hulls (n, h, 2)."""
    x, y = (hulls - hulls[:, :1]).transpose(2, 0, 1)
    twice = x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y
    # Added one after the other, so that the zeros of repeated vertices do not change the rounding.
    return 0.5 * np.cumsum(twice, axis=1)[:, -1]


def largest_diameters(hulls: Floats) -> Floats:
    """Return the largest distance between two vertices: the maximum Feret diameter."""
    largest = np.zeros(len(hulls))
    for shift in range(1, hulls.shape[1] // 2 + 1):
        apart = hulls - np.roll(hulls, shift, axis=1)
        np.maximum(largest, np.square(apart).sum(axis=2).max(axis=1), out=largest)
    return np.sqrt(largest)


def smallest_boxes(hulls: Floats) -> Floats:
    """Return the areas of the smallest enclosing rectangles of any direction; one side lies on an edge of the hull."""
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
