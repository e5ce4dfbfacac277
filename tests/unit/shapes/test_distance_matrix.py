from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from tests.helpers.contours import circle

from phenoloom.nets.distance_matrix import distance_matrices_torch
from phenoloom.shapes.alignment import align
from phenoloom.shapes.distance_matrix import classical_mds, distance_matrices

contour_arrays = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(3, 40), st.just(2)),
    elements=st.floats(-500, 500, width=32),
)


@pytest.mark.parametrize("points", [8, 64, 255, 300])
def test_the_matrix_of_a_circle_is_its_chords(points: int) -> None:
    i = np.arange(points)
    chords = 2 * 30 * np.abs(np.sin(np.pi * (i[:, None] - i) / points))
    np.testing.assert_allclose(distance_matrices(circle(30, points))[0], chords, atol=2e-5)


@given(contour_arrays)
@settings(max_examples=80, deadline=None)
def test_matrices_are_symmetric_exact_to_float32_and_zero_on_the_diagonal(contours: NDArray[np.float32]) -> None:
    matrices = distance_matrices(contours)
    for contour, matrix in zip(contours.astype(float), matrices, strict=True):
        np.testing.assert_allclose(matrix, cdist(contour, contour), rtol=3e-7, atol=1e-18)
        np.testing.assert_array_equal(matrix, matrix.T)
        assert not matrix.diagonal().any()


def test_close_points_of_a_large_contour_keep_their_distance() -> None:
    contour = circle(1000, 64)
    contour[0, 1] = contour[0, 0] + [2.0**-10, 0]
    assert distance_matrices(contour)[0, 0, 1] == pytest.approx(2.0**-10, rel=1e-6)


@given(contour_arrays)
@settings(max_examples=40, deadline=None)
def test_the_twin_for_tensors_gives_the_same_matrices(contours: NDArray[np.float32]) -> None:
    twin = distance_matrices_torch(torch.from_numpy(contours)).numpy()
    np.testing.assert_allclose(twin, distance_matrices(contours), rtol=3e-7, atol=1e-18)


def test_the_gradient_is_finite_where_points_coincide_and_right_elsewhere() -> None:
    contour = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]]], dtype=torch.float64, requires_grad=True)
    distance_matrices_torch(contour).sum().backward()
    assert contour.grad is not None
    np.testing.assert_allclose(contour.grad[0].numpy(), [[-2.4, -3.2], [1.2, 1.6], [1.2, 1.6]])


def test_out_is_filled_and_returned_and_a_wrong_one_is_refused() -> None:
    out = np.empty((1, 16, 16), np.float32)
    assert distance_matrices(circle(1, 16), out) is out
    with pytest.raises(ValueError, match="C-contiguous"):
        distance_matrices(circle(1, 16), np.empty((1, 16, 16)))  # type: ignore[arg-type]


def test_a_matrix_does_not_depend_on_the_block_that_it_is_computed_in() -> None:
    contours = np.random.default_rng(0).normal(size=(200, 40, 2)).astype(np.float32)
    together = distance_matrices(contours)
    for i in range(0, 200, 17):
        np.testing.assert_array_equal(distance_matrices(contours[i : i + 1])[0], together[i])


@given(arrays.arrays(np.float64, (3, 12, 2), elements=st.floats(-10, 10)))
@settings(max_examples=60, deadline=None)
def test_scaling_recovers_any_polygon_up_to_a_rigid_motion(contours: NDArray[np.float64]) -> None:
    matrices = np.stack([cdist(contour, contour) for contour in contours])
    points, residual = classical_mds(matrices)
    # Across points on nearly one line a coordinate is the root of an eigenvalue that is rounding: eps times the trace.
    np.testing.assert_allclose(align(points, contours), contours, atol=3e-6)
    assert (residual < 1e-8).all()


def test_scaling_recovers_random_polygons_to_1e_8() -> None:
    contours = np.random.default_rng(0).normal(size=(20, 64, 2)) * 30
    matrices = np.stack([cdist(contour, contour) for contour in contours])
    points, residual = classical_mds(matrices)
    assert np.abs(align(points, contours) - contours).max() < 1e-8
    assert residual.max() < 1e-12


def test_the_residual_of_points_in_space_is_the_share_of_the_third_axis() -> None:
    corners = np.array([[x, y, z] for x in (-2, 2) for y in (-2, 2) for z in (-1, 1)], float)
    _, residual = classical_mds(cdist(corners, corners)[None])
    np.testing.assert_allclose(residual, [1 / 9])
