from __future__ import annotations

from typing import Any

import numpy as np
import pyefd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.helpers.contours import blobs, circle

from phenoloom.shapes.fourier import (
    EFD_NAMES,
    PUBLISHED_EFD_NAMES,
    SPECTRUM_NAMES,
    distance_spectrum,
    efd,
    fourier,
    published_efd,
)
from phenoloom.shapes.polygons import Polygons, standard_contours


def test_published_elliptic_columns_are_those_of_pyefd_by_their_names() -> None:
    contours = np.concatenate([blobs(10), blobs(10, seed=1)[:, ::-1]]).astype(np.float32)
    columns = dict(zip(PUBLISHED_EFD_NAMES, published_efd(contours).T, strict=True))
    for i, contour in enumerate(contours.astype(np.float64)):
        series = pyefd.elliptic_fourier_descriptors(contour, order=10, normalize=True)
        named = {
            f"{letter}{k}": value for k, row in enumerate(series, 1) for letter, value in zip("abcd", row, strict=True)
        }
        np.testing.assert_allclose([named.pop("b1"), named.pop("c1")], 0, atol=1e-12)
        assert named.keys() == columns.keys()
        np.testing.assert_array_equal([columns[name][i] for name in named], list(named.values()))


def half_turns(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same series from the other end of the first ellipse's major axis, and turned by 180 degrees."""
    k = np.array([int(name[1:]) for name in PUBLISHED_EFD_NAMES])
    return np.stack([series, series * (-1.0) ** (k + 1), -series, -series * (-1.0) ** (k + 1)])


@pytest.mark.parametrize(
    "change",
    [
        lambda c: np.roll(c, 9, axis=1),
        lambda c: c[:, ::-1],
        lambda c: c @ np.array([[0.6, -0.8], [0.8, 0.6]]),
        lambda c: 3.7 * c - [-250, 90],
    ],
    ids=["start", "direction", "rotation", "scale and place"],
)
def test_published_elliptic_descriptors_do_not_see_pose_but_for_half_turns(change: Any) -> None:
    contours = blobs(30)
    apart = np.abs(half_turns(published_efd(contours)) - published_efd(change(contours)))
    np.testing.assert_allclose(apart.max(axis=2).min(axis=0), 0, atol=1e-9)


def test_elliptic_descriptors_of_outlines_with_repeated_points_are_finite() -> None:
    contours = blobs(5)
    contours[:, 10] = contours[:, 11] = contours[:, 12]
    assert np.isfinite(published_efd(contours)).all()


def test_a_circle_has_one_published_elliptic_harmonic() -> None:
    columns = dict(zip(PUBLISHED_EFD_NAMES, published_efd(circle(1, 4096))[0], strict=True))
    np.testing.assert_allclose([abs(columns.pop("a1")), abs(columns.pop("d1"))], 1, atol=1e-6)
    np.testing.assert_allclose(list(columns.values()), 0, atol=1e-6)


def test_elliptic_columns_are_the_axes_of_the_published_ellipses_their_tilt_and_their_start() -> None:
    contours = blobs(10)
    columns = dict(zip(EFD_NAMES, efd(contours).T, strict=True))
    for i, contour in enumerate(contours.astype(np.float64)):
        series = pyefd.elliptic_fourier_descriptors(contour, order=10, normalize=True)
        for k, (a, b, c, d) in enumerate(series, 1):
            # The ellipse of a harmonic is the image of the unit circle under [[a, b], [c, d]].
            left, axes, right = np.linalg.svd([[a, b], [c, d]])
            sign = np.sign(a * d - b * c)
            assert columns[f"minor_{k}"][i] == pytest.approx(sign * axes[1], abs=1e-9)
            if k == 1:
                continue
            assert columns[f"major_{k}"][i] == pytest.approx(axes[0], abs=1e-9)
            size = np.sqrt(axes[0] ** 2 - axes[1] ** 2) / 2
            tilt, start = (2 * np.arctan2(*vector) for vector in (left[::-1, 0], right[0, ::-1]))
            for name, angle in (("tilt", tilt), ("start", start)):
                assert columns[f"{name}_cosine_{k}"][i] == pytest.approx(size * np.cos(angle), abs=1e-9)
                assert columns[f"{name}_sine_{k}"][i] == pytest.approx(abs(size * np.sin(angle)), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**16),
    st.integers(0, 63),
    st.floats(0, 2 * np.pi),
    st.floats(0.01, 100),
    st.booleans(),
    st.booleans(),
)
def test_elliptic_descriptors_see_neither_start_nor_pose_where_the_published_form_changes_its_signs(
    seed: int, start: int, angle: float, scale: float, reverse: bool, mirror: bool
) -> None:
    contours = blobs(3, seed=seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = scale * np.roll(contours, start, axis=1) @ turn * ([-1, 1] if mirror else [1, 1]) + [40, -7]
    moved = moved[:, ::-1] if reverse else moved
    # The first ellipse of a round outline has no direction to measure from.
    assume((efd(contours)[:, 0] < 0.98).all())
    np.testing.assert_allclose(efd(moved), efd(contours), atol=1e-6)


def test_half_turns_change_the_published_form_and_not_the_other() -> None:
    contours = blobs(30)
    turned = [np.roll(contours, 32, axis=1), -contours]
    assert all((np.abs(published_efd(some) - published_efd(contours)).max(axis=1) > 0.02).any() for some in turned)
    assert all(np.allclose(efd(some), efd(contours), atol=1e-9) for some in turned)


def test_a_circle_has_one_elliptic_harmonic() -> None:
    columns = dict(zip(EFD_NAMES, efd(circle(1, 4096))[0], strict=True))
    assert columns.pop("minor_1") == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(list(columns.values()), 0, atol=1e-6)


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
