from __future__ import annotations

import numpy as np
import pyefd
from tests.helpers.contours import blobs, circle

from phenoloom.shapes.fourier import SPECTRUM_NAMES, distance_spectrum, elliptic_fourier, fourier
from phenoloom.shapes.polygons import Polygons, standard_contours


def test_elliptic_descriptors_are_those_of_pyefd() -> None:
    contours = np.concatenate([blobs(40), blobs(40, seed=1)[:, ::-1]])
    reference = [pyefd.elliptic_fourier_descriptors(contour, normalize=True) for contour in contours]
    np.testing.assert_allclose(elliptic_fourier(contours), reference, rtol=0, atol=1e-10)


def test_elliptic_descriptors_of_outlines_with_repeated_points_are_finite_and_those_of_pyefd() -> None:
    contours = blobs(5)
    contours[:, 10] = contours[:, 11] = contours[:, 12]
    reference = [pyefd.elliptic_fourier_descriptors(contour, normalize=True) for contour in contours]
    np.testing.assert_allclose(elliptic_fourier(contours), reference, rtol=0, atol=1e-10)


def test_a_circle_has_one_elliptic_harmonic() -> None:
    series = elliptic_fourier(circle(1, 4096))[0]
    np.testing.assert_allclose(np.abs(series[0]), [1, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(series[1:], 0, atol=1e-6)


def test_the_spectrum_of_a_circle_lies_in_frequency_zero() -> None:
    spectrum = dict(zip(SPECTRUM_NAMES, distance_spectrum(circle(17))[0], strict=True))
    k = np.arange(1, 33)
    chords = 2 * np.sin(np.pi * k / 64)
    frobenius = np.sqrt(64 * (2 * (chords[:-1] ** 2).sum() + chords[-1] ** 2))
    np.testing.assert_allclose([spectrum[f"f00_k{i:02d}"] for i in k], 64 * chords / frobenius, rtol=1e-9)
    assert max(value for name, value in spectrum.items() if not name.startswith("f00")) < 1e-12


def test_the_spectrum_is_the_fourier_transform_of_the_rolled_distance_matrix() -> None:
    contour = blobs(1)[0]
    matrix = np.linalg.norm(contour[:, None] - contour, axis=2)
    i = np.arange(64)
    cyclic = np.stack([matrix[i, (i + k) % 64] for k in range(1, 33)], axis=1) / np.linalg.norm(matrix)
    expected = np.abs(np.fft.rfft(cyclic, axis=0))[:12].ravel()
    np.testing.assert_allclose(distance_spectrum(contour[None])[0], expected, atol=1e-12)


def test_the_spectrum_of_contours_with_more_points_is_that_of_64() -> None:
    fine = blobs(3, points=4096)
    coarse = standard_contours(Polygons.from_array(fine), 64)[0]
    many = standard_contours(Polygons.from_array(fine), 512)[0]
    np.testing.assert_allclose(distance_spectrum(many), distance_spectrum(coarse), atol=1e-4)


def test_a_circle_has_one_complex_harmonic() -> None:
    np.testing.assert_allclose(fourier(circle(5)), 0, atol=1e-12)
