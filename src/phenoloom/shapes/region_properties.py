"""Region properties: size and form of the area inside a closed contour, batched over contours.

Moments come from the polygon in closed form, so they do not depend on a grid of pixels. Contours are (n, p, 2) of x and
y in px; every property is (n,).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .polygons import Floats

Moments = dict[tuple[int, int], Floats]
"""Moments (n,) by their orders p and q in x and y."""

Hulls = NDArray[np.object_]
"""Convex hulls (n,), geometries of shapely."""

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
    mu, hulls = central_moments(polygons), shapely.convex_hull(shapely.linestrings(polygons))
    area, hull_area, box = mu[0, 0], shapely.area(hulls), shapely.area(shapely.oriented_envelope(hulls))
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


def largest_diameters(hulls: Hulls) -> Floats:
    """Return the largest distance between two vertices of each hull: the maximum Feret diameter."""
    vertices, owner = shapely.get_coordinates(hulls, return_index=True)
    counts = np.bincount(owner, minlength=len(hulls))
    first = np.cumsum(counts) - counts
    # Equal numbers of vertices, where those of smaller hulls repeat their first one.
    place = np.arange(counts.max(initial=0))
    padded = vertices[first[:, None] + np.where(place < counts[:, None], place, 0)]
    largest = np.zeros(len(hulls))
    for shift in range(1, padded.shape[1] // 2 + 1):
        apart = padded - np.roll(padded, shift, axis=1)
        np.maximum(largest, np.square(apart).sum(axis=2).max(axis=1), out=largest)
    return np.sqrt(largest)
