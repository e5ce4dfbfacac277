"""Measure how far vectors of contours move under changes that an embedding of shapes should not see.

Changes concern the description of an outline (start, direction), its pose and size, and its sampling: points between
the points, more or fewer points, and a mask with a noisy rim. The last three are not exact symmetries of any sampled
outline; a good embedding moves little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..shapes.polygons import Polygons, resample, standard_contours, without_repeats
from ..shapes.tracing import trace_masks

Floats = NDArray[np.float64]
Change = Callable[[Floats, np.random.Generator], Floats]
Embed = Callable[[NDArray[np.float32]], NDArray[np.floating[Any]]]

FLIPPED = 0.1
"""Share of the pixels on either side of the outline that change side."""
_LARGEST = 1024
_PAIRS = 4096


@dataclass(frozen=True)
class Moved:
    """Distance that vectors move under one change, in units of the typical distance between two objects.

    Attributes:
        change: Name of the change.
        median: Median over the objects.
        most: 95th percentile over the objects.
    """

    change: str
    median: float
    most: float


def invariance(embed: Embed, contours: NDArray[np.floating[Any]], seed: int) -> list[Moved]:
    """Return how far the vectors of contours move under every change of `CHANGES`.

    The typical distance is the median over random pairs of contours.

    Args:
        embed: Function from contours (n, p, 2) of scale 1, float32, to vectors (n, d).
        contours: Contours (n, p, 2) in px.
        seed: Seed of pairs and changes.

    Raises:
        ValueError: No two contours differ in their vectors.
    """
    before = embed(_unit(contours.astype(np.float64)))
    pairs = np.random.default_rng(seed).integers(len(contours), size=(_PAIRS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    a, b = pairs[:, 0], pairs[:, 1]
    typical = float(np.median(np.linalg.norm(before[a] - before[b], axis=1)))
    if not typical > 0:
        raise ValueError(f"expected vectors that differ between objects, found a typical distance of {typical}")
    found = []
    for number, (name, change) in enumerate(CHANGES.items()):
        after = embed(_unit(change(contours.astype(np.float64), np.random.default_rng([seed, number]))))
        moved = np.linalg.norm(after - before, axis=1) / typical
        found.append(Moved(name, float(np.median(moved)), float(np.quantile(moved, 0.95))))
    return found


def start_later(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return each contour from another of its points."""
    n, points, _ = contours.shape
    place = (np.arange(points) + rng.integers(1, points, (n, 1))) % points
    return np.take_along_axis(contours, place[..., None], axis=1)


def start_between(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return points half a step further along the same outline."""
    points = contours.shape[1]
    return resample(without_repeats(Polygons.from_array(contours)), 2 * points)[:, 1::2]


def backwards(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return each contour in the other direction."""
    return contours[:, ::-1]


def rotated(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return contours turned by a random angle and sampled anew, from the start that the store then gives them."""
    angle = rng.uniform(0, 2 * np.pi, len(contours))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    return _standard(np.einsum("nij,npj->npi", turn, contours), contours.shape[1])


def mirrored(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return contours reflected and sampled anew."""
    return _standard(contours * np.array([-1.0, 1.0]), contours.shape[1])


def enlarged(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return contours seven times as large."""
    return 7 * contours


def of_128_points(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return contours sampled at 128 points, beginning anywhere, and from these at as many as before."""
    return _through(contours, 128, rng)


def of_512_points(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return contours sampled at 512 points, beginning anywhere, and from these at as many as before."""
    return _through(contours, 512, rng)


def noisy_mask(contours: Floats, rng: np.random.Generator) -> Floats:
    """Return contours drawn as masks of their size in px, with a tenth of the rim's pixels flipped, and traced again.

    Objects wider than 1,024 px are drawn that wide.
    """
    half = np.abs(contours).max(axis=(1, 2))
    size = np.minimum(1.0, _LARGEST / (2 * half))
    polygons = []
    for contour in contours * size[:, None, None]:
        offset = int(np.ceil(np.abs(contour).max())) + 3
        polygons.append(_traced_again(contour + offset, 2 * offset + 1, rng))
    again: Floats = _standard_of(Polygons.from_list(polygons), contours.shape[1]) / size[:, None, None]
    return again


CHANGES: Mapping[str, Change] = {
    "start at another point": start_later,
    "other direction": backwards,
    "other size": enlarged,
    "rotation": rotated,
    "reflection": mirrored,
    "start between points": start_between,
    "sampled through 128 points": of_128_points,
    "sampled through 512 points": of_512_points,
    "mask noise of one pixel": noisy_mask,
}


def _unit(contours: Floats) -> NDArray[np.float32]:
    scale = np.sqrt(np.square(contours).sum(axis=2).mean(axis=1))
    return np.ascontiguousarray(contours / scale[:, None, None], np.float32)


def _through(contours: Floats, points: int, rng: np.random.Generator) -> Floats:
    n = contours.shape[1]
    fine = resample(without_repeats(Polygons.from_array(start_later(contours, rng))), points)
    return _standard(fine, n)


def _standard(contours: Floats, points: int) -> Floats:
    return _standard_of(Polygons.from_array(contours), points)


def _standard_of(polygons: Polygons, points: int) -> Floats:
    return standard_contours(without_repeats(polygons), points)[0]


def _traced_again(contour: Floats, size: int, rng: np.random.Generator) -> Floats:
    # Sixteenths of a pixel, so that drawing does not round the outline to whole ones.
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(contour * 16).astype(np.int32)], 1, shift=4)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    rim = cv2.dilate(mask, cross) != cv2.erode(mask, cross)
    noisy = (mask ^ (rim & (rng.random(mask.shape) < FLIPPED))).astype(bool)
    # Noise may leave nothing of an object of a few pixels; it then stays as it is drawn.
    traced = trace_masks((noisy if noisy.any() else mask.astype(bool))[None])
    return traced.polygons[0]
