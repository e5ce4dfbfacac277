"""Fourier descriptors of contours: elliptic, complex, and those of the cyclic distance matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyefd
from numpy.typing import NDArray

from .polygons import Floats, resample_contours

EFD_ORDER = 10
HARMONICS = 20
SPECTRUM_POINTS = 64
SPECTRUM_FREQUENCIES = 12

# b1 = c1 = 0 in every normalised series, and a1 is 1 or -1.
PUBLISHED_EFD_NAMES = tuple(
    f"{letter}{k}" for k in range(1, EFD_ORDER + 1) for letter in "abcd" if f"{letter}{k}" not in {"b1", "c1"}
)
# The major axis of the first ellipse is 1, and the others are measured from it.
EFD_NAMES = (
    "minor_1",
    *(f"{axis}_{k}" for axis in ("major", "minor") for k in range(2, EFD_ORDER + 1)),
    *(
        f"{angle}_{part}_{k}"
        for angle in ("tilt", "start")
        for k in range(2, EFD_ORDER + 1)
        for part in ("cosine", "sine")
    ),
)
_ORDERS = tuple(k for k in range(-HARMONICS, HARMONICS + 1) if k not in (0, 1))
FOURIER_NAMES = (
    *(f"magnitude_{k}" for k in _ORDERS),
    *(f"{part}_{k}" for k in range(2, HARMONICS + 1) for part in ("cosine", "sine")),
)
SPECTRUM_NAMES = tuple(
    f"f{f:02d}_k{k:02d}" for f in range(SPECTRUM_FREQUENCIES) for k in range(1, SPECTRUM_POINTS // 2 + 1)
)


def efd(contours: NDArray[np.floating[Any]]) -> Floats:
    """Return an invariant form of elliptic Fourier descriptors of contours (n, 55).

    A closed contour is a sum of ellipses (Kuhl and Giardina 1982); harmonic k runs through its ellipse k times. In the
    normalised series, where the first ellipse lies along x and starts at its tip, p = (a + d + i (c - b)) / 2 and
    n = (a - d + i (c + b)) / 2 are its parts that turn with and against the outline. Half a turn of the first ellipse
    gives another series of the same outline, in which the signs of every other harmonic change; no rule for choosing
    between the two is free of jumps. Here are numbers that both have: the half axes |p| + |n| and |p| - |n| in units of
    the first, and p n and p n* (the tilt of the ellipse, twice, and where on it the outline starts, twice), brought to
    the size of one coefficient by dividing them by the root of their magnitude. A reflection conjugates both, so of
    their imaginary parts the magnitude is taken, as in `fourier`. What is lost is the sign of whole harmonics.

    They depend neither on place, scale, rotation and reflection, nor on start and direction of the contour.
    """
    a, b, c, d = np.moveaxis(_normalised(contours), 2, 0)
    # a1 is 1 or -1 by half a turn in the plane.
    turned = np.sign(a[:, :1])
    p, n = turned * (a + d + 1j * (c - b)) / 2, turned * (a - d + 1j * (c + b)) / 2
    major, minor = np.abs(p) + np.abs(n), np.abs(p) - np.abs(n)
    products = np.stack([p * n, p * n.conj()], axis=1)[..., 1:]
    size = np.abs(products)
    angles = products / np.sqrt(np.where(size > 0, size, 1))
    pairs = np.stack([angles.real, np.abs(angles.imag)], axis=3).reshape(len(p), 4 * (EFD_ORDER - 1))
    return np.concatenate([minor[:, :1], major[:, 1:], minor[:, 1:], pairs], axis=1)


def published_efd(contours: NDArray[np.floating[Any]]) -> Floats:
    """Return the elliptic Fourier coefficients a1, d1, a2, ... of contours (n, 38), without the constant b1 and c1.

    They are those of the package pyefd, normalised (Kuhl and Giardina 1982), so they compare with published baselines.
    They are invariant to scale, and to start and rotation but for half a turn of either, which for many shapes changes
    the sign of every other harmonic: a known weakness of the method, which `efd` is free of.
    """
    series = _normalised(contours)
    return np.delete(series.reshape(len(contours), 4 * EFD_ORDER), [1, 2], axis=1)


def _normalised(contours: NDArray[np.floating[Any]]) -> Floats:
    """Return the normalised coefficients of pyefd (n, order, 4); the package takes one contour at a time."""
    series = np.empty((len(contours), EFD_ORDER, 4))
    for coefficients, contour in zip(series, contours.astype(np.float64), strict=True):
        coefficients[:] = pyefd.elliptic_fourier_descriptors(contour, order=EFD_ORDER, normalize=True)
    return series


def fourier(contours: NDArray[np.floating[Any]]) -> Floats:
    """Return magnitudes and relative phases of the complex Fourier coefficients of contours (n, 77).

    With z = x + iy and c(k) its coefficients, |c(k)| / |c(1)| and c(1 + k) c(1 - k) / c(1)^2 depend neither on scale
    nor on start nor on rotation. A reflection conjugates the latter, so of its imaginary part the magnitude is taken;
    it is brought to the size of one coefficient by dividing it by the root of its own magnitude.
    """
    x, y = np.moveaxis(contours.astype(np.float64), -1, 0)
    signed = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)
    z = np.where(signed[:, None] < 0, x - 1j * y, x + 1j * y)
    c = np.fft.fft(z, axis=1)
    points = z.shape[1]
    # A contour of few points has no harmonics beyond half their number.
    highest = (points - 1) // 2
    first = np.where(c[:, 1] == 0, 1.0, c[:, 1])[:, None]

    def at(orders: NDArray[np.int64]) -> NDArray[np.complex128]:
        return np.where(np.abs(orders) <= highest, c[:, orders % points], 0.0)

    magnitudes = np.abs(at(np.array(_ORDERS)) / first)
    # From 2, because with k = 1 the product holds c(0), the place of the contour.
    k = np.arange(2, HARMONICS + 1)
    product = at(1 + k) / first * (at(1 - k) / first)
    size = np.abs(product)
    phase = product / np.sqrt(np.where(size > 0, size, 1))
    pairs = np.stack([phase.real, np.abs(phase.imag)], axis=2).reshape(len(c), 2 * len(k))
    return np.concatenate([magnitudes, pairs], axis=1)


def distance_spectrum(contours: NDArray[np.floating[Any]]) -> Floats:
    """Return the spectrum of the cyclic distance matrix of contours (n, 384).

    E[i, k] = |p_i - p_(i + k)| of 64 points, divided by the Frobenius norm of the distance matrix; of its FFT over i
    the magnitudes at the first 12 frequencies. They are invariant to scale, rotation and reflection, because distances
    are; to the start, which multiplies by a phase; and to the direction, which conjugates up to a phase. k stops at
    32: k and 64 - k have the same magnitudes.
    """
    contours = resample_contours(contours, SPECTRUM_POINTS)
    x, y = np.ascontiguousarray(np.moveaxis(contours, -1, 0))
    half = SPECTRUM_POINTS // 2
    cyclic = np.empty((len(x), half, SPECTRUM_POINTS))
    for k in range(1, half + 1):
        dx, dy = np.roll(x, -k, axis=1) - x, np.roll(y, -k, axis=1) - y
        np.sqrt(dx * dx + dy * dy, out=cyclic[:, k - 1])
    squares = np.square(cyclic).sum(axis=2)
    # The matrix has each distance twice, but for k = 32, which pairs every point once.
    norm = np.sqrt(2 * squares[:, :-1].sum(axis=1) + squares[:, -1])
    spectrum = np.abs(np.fft.rfft(cyclic, axis=2)[..., :SPECTRUM_FREQUENCIES])
    return np.swapaxes(spectrum, 1, 2).reshape(len(x), len(SPECTRUM_NAMES)) / np.where(norm > 0, norm, 1)[:, None]
