"""Procrustes alignment of outlines, their mean and their distances, without regard to pose.

Outlines are (b, n, 2), closed, in one unit. A contour that a model decodes from a distance matrix has no pose, start or
direction of its own, so these are never counted as a difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Outlines = NDArray[np.floating[Any]]

_ROUNDS = 5
# Distances of one block of outlines stay in the processor's cache.
_BLOCK = 16
_SHARES = (0, 0.25, 0.5, 0.75)


def posed(outlines: Outlines, references: Outlines) -> Floats:
    """Return outlines moved onto references (b, n, 2) from the start, in the direction and in the pose that fit best.

    That is the least sum of squared distances of the points over all starts, both directions, rotations, reflections
    and translations, without scaling. As complex numbers, the best rotation from a start is the phase of the
    correlation there (Persoon and Fu 1977), and one FFT gives the correlations from every start.
    """
    there = references.mean(axis=1, keepdims=True, dtype=np.float64)
    z, w = _complex(outlines - outlines.mean(axis=1, keepdims=True, dtype=np.float64)), _complex(references - there)
    b, n = z.shape
    versions = np.stack([z, z[:, ::-1], z.conj(), z[:, ::-1].conj()], axis=1)
    fits = np.fft.ifft(np.fft.fft(versions).conj() * np.fft.fft(w)[:, None])
    version, later = np.divmod(np.abs(fits).reshape(b, -1).argmax(axis=1), n)
    rows = np.arange(b)
    fit = fits[rows, version, later]
    turn = np.where(fit == 0, 1, fit / np.where(fit == 0, 1, np.abs(fit)))
    place = (np.arange(n) - later[:, None]) % n
    moved = np.take_along_axis(versions[rows, version], place, axis=1) * turn[:, None]
    aligned: Floats = np.stack([moved.real, moved.imag], axis=2) + there
    return aligned


def align(points: Outlines, reference: Outlines) -> Floats:
    """Return points moved, rotated and, where better, reflected onto the reference (n, p, 2), point by point.

    Orthogonal Procrustes (Schoenemann 1966): least sum of squared distances, without scaling.
    """
    there = reference.mean(axis=1, keepdims=True, dtype=np.float64)
    moved = points - points.mean(axis=1, keepdims=True, dtype=np.float64)
    u, _, vt = np.linalg.svd(np.swapaxes(moved, 1, 2) @ (reference - there))
    aligned: Floats = moved @ (u @ vt) + there
    return aligned


def contour_distance(outlines: Outlines, others: Outlines) -> Floats:
    """Return the mean distance (b,) of the points of each outline from the other's curve, both ways, as they lie."""
    found = np.empty(len(outlines))
    for start in range(0, len(outlines), _BLOCK):
        a, b = (part[start : start + _BLOCK].astype(np.float64) @ np.array([1, 1j]) for part in (outlines, others))
        found[start : start + _BLOCK] = (_from_curve(a, b) + _from_curve(b, a)) / 2
    return found


def reconstruction_errors(outlines: Outlines, originals: Outlines) -> Floats:
    """Return the `contour_distance` of outlines from their originals in the best pose, as a share of the diameter (b,).

    The points of an outline may lie between those of its original, so poses are tried that fit it to points at quarters
    of a step along the original too.
    """
    starts = [(1 - share) * originals + share * np.roll(originals, -1, axis=1) for share in _SHARES]
    tried = [contour_distance(posed(outlines, start), originals) for start in starts]
    least: Floats = np.min(tried, axis=0) / diameters(originals)
    return least


def diameters(outlines: Outlines) -> Floats:
    """Return the largest distance between two points of each outline (b,)."""
    z = _complex(outlines)
    return np.array([np.abs(points[:, None] - points).max() for points in z])


def mean_outline(outlines: Outlines) -> Floats:
    """Return the mean (n, 2) of outlines in the poses that fit it best: generalised Procrustes (Gower 1975).

    The search begins at the first outline, so it should be a typical one.
    """
    mean: Floats = outlines[0].astype(np.float64)
    for _ in range(_ROUNDS):
        mean = posed(outlines, np.broadcast_to(mean, outlines.shape)).mean(axis=0)
    return mean


def _complex(outlines: Outlines) -> NDArray[np.complex128]:
    z: NDArray[np.complex128] = outlines[..., 0] + 1j * outlines[..., 1].astype(np.float64)
    return z


def _from_curve(points: NDArray[np.complex128], curves: NDArray[np.complex128]) -> Floats:
    """Return the mean distance (b,) of points (b, n) from closed curves (b, m), as complex numbers."""
    edges = np.roll(curves, -1, axis=1) - curves
    lengths = np.square(np.abs(edges))
    apart = points[:, :, None] - curves[:, None]
    along = (apart * edges.conj()[:, None]).real / np.where(lengths > 0, lengths, 1)[:, None]
    nearest = np.abs(apart - np.clip(along, 0, 1) * edges[:, None]).min(axis=2)
    mean: Floats = nearest.mean(axis=1)
    return mean
