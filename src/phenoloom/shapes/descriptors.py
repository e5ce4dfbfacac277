"""Classical shape descriptors: vectors of contours that need no training, batched over objects.

Each function takes contours (n, p, 2) in px and returns (n, k) float64, with the same columns for every shard. None
sees where a contour lies; what else each is invariant to is said in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fourier import EFD_NAMES, FOURIER_NAMES, SPECTRUM_NAMES, distance_spectrum, efd, fourier
from .hulls import convex_hulls, hull_areas, largest_diameters, smallest_boxes
from .region_properties import axes, central_moments, hu_invariants

Floats = NDArray[np.float64]

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

# Hu's invariants of symmetric shapes are zero but for rounding, whose logarithm would be noise.
_LEAST_HU = 1e-10


@dataclass(frozen=True)
class DescriptorSet:
    """A set of descriptors: the names of its columns and the function that computes them."""

    names: tuple[str, ...]
    compute: Callable[[NDArray[np.floating[Any]]], Floats]


def region_properties(contours: NDArray[np.floating[Any]]) -> Floats:
    """Size and form of the enclosed area, in closed form from the polygon; px and px^2.

    Invariant to start, direction, rotation and reflection. Solidity is the share of the convex hull, extent that of the
    smallest enclosing rectangle of any direction (the axis-aligned one would see rotation); the axes are those of the
    ellipse with the same second moments; Hu's invariants (1962) enter as log10 of their magnitudes, since a reflection
    changes the sign of the seventh.
    """
    polygons = contours.astype(np.float64)
    mu, hulls = central_moments(polygons), convex_hulls(polygons)
    area, hull_area, box = mu[0, 0], hull_areas(hulls), smallest_boxes(hulls)
    edges = np.roll(polygons, -1, axis=1) - polygons
    perimeter = np.sqrt(edges[..., 0] ** 2 + edges[..., 1] ** 2).sum(axis=1)
    major, minor = axes(mu)
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


DESCRIPTORS = {
    "regionprops": DescriptorSet(REGION_NAMES, region_properties),
    "efd": DescriptorSet(EFD_NAMES, efd),
    "fourier": DescriptorSet(FOURIER_NAMES, fourier),
    "distance-spectrum": DescriptorSet(SPECTRUM_NAMES, distance_spectrum),
}
