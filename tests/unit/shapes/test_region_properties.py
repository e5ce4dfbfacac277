from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from skimage.measure import label, regionprops
from tests.helpers.contours import blobs, circle

from phenoloom.shapes.polygons import standard_contours
from phenoloom.shapes.region_properties import REGION_NAMES, region_properties
from phenoloom.shapes.tracing import trace_labels


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
def test_hulls_diameters_and_boxes_of_any_points_are_those_of_qhull_and_opencv(seed: int, points: int) -> None:
    # Whole numbers: many points coincide or lie on one line.
    sets = np.random.default_rng(seed).integers(0, 9, (5, points, 2)).astype(float)
    sets[:, :3] = [[0, 0], [9, 0], [0, 9]]
    found = named(sets)
    np.testing.assert_allclose(found["hull_area"], [ConvexHull(points).volume for points in sets])
    diameters = [np.linalg.norm(s[:, None] - s, axis=2).max() for s in sets]
    np.testing.assert_allclose(found["feret_max"], diameters)
    boxes = np.array([np.prod(cv2.minAreaRect(s.astype(np.float32))[1]) for s in sets])
    np.testing.assert_allclose(found["extent"] * boxes, found["area"], rtol=1e-4, atol=1e-9)


def test_scale_changes_only_the_sizes_among_region_properties() -> None:
    one, other = named(blobs(10)), named(3 * blobs(10))
    powers = {"area": 2, "hull_area": 2} | dict.fromkeys(
        ["perimeter", "major_axis", "minor_axis", "feret_max", "equivalent_diameter"], 1
    )
    for name in REGION_NAMES:
        np.testing.assert_allclose(other[name], one[name] * 3.0 ** powers.get(name, 0), rtol=1e-9, err_msg=name)
