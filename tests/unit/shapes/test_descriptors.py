from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyefd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from skimage.measure import label, regionprops
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phenoloom.config.source import Outlines
from phenoloom.shapes.contours import standard_contours
from phenoloom.shapes.descriptors import DESCRIPTORS
from phenoloom.shapes.fourier import SPECTRUM_NAMES, distance_spectrum, elliptic_fourier, fourier
from phenoloom.shapes.polygons import Polygons, without_repeats
from phenoloom.shapes.region_properties import (
    REGION_NAMES,
    convex_hulls,
    hull_areas,
    largest_diameters,
    region_properties,
    smallest_boxes,
)
from phenoloom.shapes.tracing import trace_labels
from phenoloom.study.outline_files import read_outlines

INVARIANT = ["regionprops", "fourier", "distance-spectrum"]


def blobs(n: int, points: int = 64, seed: int = 0) -> NDArray[np.float64]:
    """Smooth asymmetric outlines."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(points) / points
    waves = (rng.normal(size=(n, 1)) / k * np.cos(k * angle + rng.uniform(0, 6, (n, 1))) for k in range(2, 8))
    radius = 20 + 2 * sum(waves)
    return np.stack([1.4 * radius * np.cos(angle), radius * np.sin(angle)], axis=2)


def circle(radius: float, points: int = 64) -> NDArray[np.float64]:
    angle = 2 * np.pi * np.arange(points) / points
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)[None]


def named(contours: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return dict(zip(REGION_NAMES, region_properties(contours).T, strict=True))


def test_region_properties_of_a_rectangle_are_exact() -> None:
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    found = named((np.array([[0, 0], [6, 0], [6, 2], [0, 2]], float) @ turn + [30, -9])[None])
    expected = {
        "area": 12, "perimeter": 16, "major_axis": 4 * 6 / np.sqrt(12), "minor_axis": 4 * 2 / np.sqrt(12),
        "eccentricity": np.sqrt(8) / 3, "solidity": 1, "extent": 1, "feret_max": np.sqrt(40), "hull_area": 12,
        "equivalent_diameter": np.sqrt(48 / np.pi), "circularity": 48 * np.pi / 256,
        "log_hu_1": np.log10(40 / 12 / 12 + 1e-10),
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_region_properties_of_an_ellipse_approach_their_formulas() -> None:
    found = named(circle(1, 4096) * [30, 10])
    assert found["major_axis"] == pytest.approx(60, rel=1e-5)
    assert found["minor_axis"] == pytest.approx(20, rel=1e-5)
    assert found["area"] == pytest.approx(np.pi * 300, rel=1e-5)
    assert found["extent"] == pytest.approx(np.pi / 4, rel=1e-4)


def test_region_properties_agree_with_those_of_the_pixels() -> None:
    image = np.zeros((200, 200), np.int32)
    cv2.fillPoly(image, [np.round(4 * blobs(1)[0] + 100).astype(np.int32)], 1)
    contours, _, _ = standard_contours(trace_labels(image).polygons, 256)
    found, reference = named(contours), regionprops(label(image))[0]
    for name, other in {
        "area": "area", "major_axis": "axis_major_length", "minor_axis": "axis_minor_length",
        "eccentricity": "eccentricity", "solidity": "solidity", "feret_max": "feret_diameter_max",
        "equivalent_diameter": "equivalent_diameter_area",
    }.items():  # fmt: skip
        assert found[name] == pytest.approx(getattr(reference, other), rel=0.03), name


def test_hu_invariants_are_those_of_opencv() -> None:
    contours = blobs(20)
    reference = [cv2.HuMoments(cv2.moments(contour.astype(np.float32)))[:, 0] for contour in contours]
    np.testing.assert_allclose(
        10 ** region_properties(contours)[:, -7:] - 1e-10, np.abs(reference), rtol=1e-4, atol=1e-12
    )


@given(st.integers(0, 2**31), st.integers(3, 60))
@settings(max_examples=60, deadline=None)
def test_hulls_of_any_points_are_those_of_qhull(seed: int, points: int) -> None:
    # Whole numbers: many points coincide or lie on one line.
    sets = np.random.default_rng(seed).integers(0, 9, (5, points, 2)).astype(float)
    sets[:, :3] = [[0, 0], [9, 0], [0, 9]]
    hulls = convex_hulls(sets)
    reference = [ConvexHull(points) for points in sets]
    np.testing.assert_allclose(hull_areas(hulls), [hull.volume for hull in reference])
    diameters = [np.linalg.norm(s[:, None] - s, axis=2).max() for s in sets]
    np.testing.assert_allclose(largest_diameters(hulls), diameters)
    boxes = [np.prod(cv2.minAreaRect(s.astype(np.float32))[1]) for s in sets]
    np.testing.assert_allclose(smallest_boxes(hulls), boxes, rtol=1e-4)


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


CHANGES = {
    "start": lambda c: np.roll(c, 9, axis=1),
    "direction": lambda c: c[:, ::-1],
    "rotation": lambda c: c @ np.array([[0.6, -0.8], [0.8, 0.6]]),
    "reflection": lambda c: c * [-1, 1],
    "translation": lambda c: c - [-250, 90],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", INVARIANT)
def test_descriptors_do_not_see_pose_start_or_direction(name: str, change: str) -> None:
    contours, compute = blobs(30), DESCRIPTORS[name].compute
    np.testing.assert_allclose(compute(CHANGES[change](contours)), compute(contours), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["efd", "fourier", "distance-spectrum"])
def test_scale_free_descriptors_do_not_see_scale(name: str) -> None:
    contours, compute = blobs(30), DESCRIPTORS[name].compute
    np.testing.assert_allclose(compute(3.7 * contours), compute(contours), rtol=0, atol=1e-9)


def test_scale_changes_only_the_sizes_among_region_properties() -> None:
    one, other = named(blobs(10)), named(3 * blobs(10))
    powers = {"area": 2, "hull_area": 2} | dict.fromkeys(
        ["perimeter", "major_axis", "minor_axis", "feret_max", "equivalent_diameter"], 1
    )
    for name in REGION_NAMES:
        np.testing.assert_allclose(other[name], one[name] * 3.0 ** powers.get(name, 0), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_a_row_does_not_depend_on_the_batch_to_the_last_bit(name: str) -> None:
    contours, compute = np.concatenate([blobs(20), circle(9), blobs(20, seed=3)]), DESCRIPTORS[name].compute
    together = compute(contours)
    for i in (0, 20, 33):
        assert compute(contours[i : i + 1]).tobytes() == together[i : i + 1].tobytes()


@pytest.mark.parametrize("points", [8, 64, 100])
@pytest.mark.parametrize("name", DESCRIPTORS)
def test_columns_do_not_depend_on_the_points_of_the_contours(name: str, points: int) -> None:
    found = DESCRIPTORS[name].compute(blobs(4, points).astype(np.float32))
    assert found.shape == (4, len(DESCRIPTORS[name].names)) == (4, len(set(DESCRIPTORS[name].names)))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_contours_that_touch_or_cross_themselves_or_enclose_nothing_give_finite_numbers(name: str) -> None:
    angle = 2 * np.pi * np.arange(64) / 64
    eight = np.stack([30 * np.sin(2 * angle), 20 * np.sin(angle)], axis=1)
    line = np.stack([40 * np.cos(angle), np.zeros(64)], axis=1)
    rod = np.repeat([[0, 0], [60, 0], [60, 1], [0, 1]], 16, axis=0)
    assert np.isfinite(DESCRIPTORS[name].compute(np.stack([eight, line, rod.astype(float)]))).all()


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_no_contours_give_no_rows(name: str) -> None:
    assert DESCRIPTORS[name].compute(np.empty((0, 64, 2))).shape == (0, len(DESCRIPTORS[name].names))


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "least"), [("regionprops", 0.64), ("distance-spectrum", 0.52)])
def test_descriptors_tell_drugs_apart_on_real_cells_as_well_as_the_known_baselines(
    name: str, least: float, data_root: Path
) -> None:
    # Known figures of the same descriptors on the same folds: .681 and .561, with a standard deviation near .035.
    folder = data_root / "geomstats_osteosarcoma"
    if not folder.is_dir():
        pytest.skip(f"no osteosarcoma outlines at {folder}")
    _, outlines = read_outlines(folder / "cells.txt", Outlines(path="cells.txt"))  # type: ignore[call-arg]
    contours, _, _ = standard_contours(without_repeats(Polygons.from_list(outlines)), 64)
    vectors, drugs = DESCRIPTORS[name].compute(contours), (folder / "treatments.txt").read_text().split()
    reduced = [PCA(50, random_state=0)] if name == "distance-spectrum" else []
    model = make_pipeline(StandardScaler(), *reduced, LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    assert cross_val_score(model, vectors, drugs, scoring="f1_macro", cv=folds).mean() > least
