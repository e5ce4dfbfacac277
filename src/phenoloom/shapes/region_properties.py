"""Moments of filled polygons in closed form, and what follows from them; batched over polygons."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Green's theorem turns the moment of order p + q into an integral of a polynomial of degree p + q + 1 along each edge,
# which three Gauss-Legendre nodes integrate exactly up to order 4.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)


def central_moments(contours: Floats) -> dict[tuple[int, int], Floats]:
    """Moments mu[p, q] (n,) up to order 3 of the areas of contours (n, p, 2), about their centroids.

    Areas count positive whichever way a contour runs. All moments of one that encloses (nearly) nothing are zero.
    """
    origin = contours.sum(axis=1, keepdims=True) / contours.shape[1]
    raw = _moments(contours - origin, 1)
    size = (np.square(contours - origin).sum(axis=2)).sum(axis=1) / contours.shape[1]
    solid = np.abs(raw[0, 0]) > 1e-9 * size
    divisor = np.where(solid, raw[0, 0], 1.0)
    centroid = np.stack([raw[1, 0], raw[0, 1]], axis=1) / divisor[:, None]
    moments = _moments(contours - origin - centroid[:, None], 3)
    sign = np.where(moments[0, 0] < 0, -1.0, 1.0)
    return {order: np.where(solid, sign * moment, 0.0) for order, moment in moments.items()}


def _moments(contours: Floats, highest: int) -> dict[tuple[int, int], Floats]:
    """Integrals of x^p y^q over the enclosed areas: those of x^(p + 1) y^q / (p + 1) dy around the edges."""
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


def axes(mu: dict[tuple[int, int], Floats]) -> tuple[Floats, Floats]:
    """Major and minor axis (n,) of the ellipses with the same second moments as the areas."""
    area = np.where(mu[0, 0] > 0, mu[0, 0], 1.0)
    a, b, c = mu[2, 0] / area, mu[1, 1] / area, mu[0, 2] / area
    root = np.sqrt(np.square(a - c) + 4 * b * b)
    larger, smaller = (a + c + root) / 2, (a + c - root) / 2
    return 4 * np.sqrt(np.maximum(larger, 0)), 4 * np.sqrt(np.maximum(smaller, 0))


def hu_invariants(mu: dict[tuple[int, int], Floats]) -> Floats:
    """The seven invariants (n, 7) of Hu (1962) to translation, scale and rotation; reflections turn the last's sign."""
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
