"""Outlines put onto each other: pose, start and direction are no difference, everything else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phenoloom.shapes.alignment import align, contour_distance, diameters, mean_outline, posed, reconstruction_errors

Floats = NDArray[np.float64]


def bean(points: int = 32, bend: float = 0.3) -> Floats:
    """An outline without any symmetry."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([3 * np.cos(t), np.sin(t)]) * (1 + bend * np.cos(t - 1) + 0.1 * np.sin(2 * t))[:, None]


def moved(outline: Floats, start: int, turn: float, mirrored: bool, backwards: bool) -> Floats:
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    other: Floats = np.roll(outline, start, axis=0) @ spin @ np.diag([1, -1 if mirrored else 1]) + 5
    return other[::-1] if backwards else other


@given(start=st.integers(0, 31), turn=st.floats(0, 6.28), mirrored=st.booleans(), backwards=st.booleans())
def test_an_outline_is_put_onto_its_copy_whatever_its_pose_start_and_direction(
    start: int, turn: float, mirrored: bool, backwards: bool
) -> None:
    outline = bean()
    assert np.allclose(posed(moved(outline, start, turn, mirrored, backwards)[None], outline[None])[0], outline)


def test_the_best_pose_of_two_outlines_is_that_of_trying_every_start_and_direction() -> None:
    rng = np.random.default_rng(0)
    outlines, references = rng.normal(size=(2, 5, 9, 2))
    for outline, reference, found in zip(outlines, references, posed(outlines, references), strict=True):
        starts = np.stack([np.roll(way, s, axis=0) for way in (outline, outline[::-1]) for s in range(9)])
        tried = align(starts, np.broadcast_to(reference, starts.shape))
        least = np.square(tried - reference).sum(axis=(1, 2)).min()
        assert np.square(found - reference).sum() == pytest.approx(least, rel=1e-9)


def test_an_outline_of_one_point_repeated_stays_finite() -> None:
    nothing = np.zeros((1, 8, 2))
    assert np.allclose(posed(nothing, bean(8)[None]), bean(8).mean(axis=0))


def test_the_distance_of_two_concentric_circles_is_that_of_their_radii() -> None:
    t = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    circle = np.column_stack([np.cos(t), np.sin(t)])
    distance = contour_distance(np.stack([5 * circle, circle]), np.stack([7 * circle, circle]))
    assert distance[0] == pytest.approx(2, rel=1e-4)
    assert distance[1] == pytest.approx(0, abs=1e-12)


def test_the_distance_is_from_the_curve_and_not_from_its_points() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    middles = np.array([[2, 0], [4, 2], [2, 4], [0, 2]], float)
    # Middles of sides lie on the square; its corners lie sqrt(2) from the diamond of the middles.
    assert contour_distance(square[None], middles[None])[0] == pytest.approx(np.sqrt(2) / 2)


def test_many_outlines_have_the_distances_of_each_alone() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 40, 12, 2))
    alone = [contour_distance(x[None], y[None])[0] for x, y in zip(a, b, strict=True)]
    assert np.array_equal(contour_distance(a, b), alone)


def test_the_diameter_of_a_rectangle_is_its_diagonal() -> None:
    assert diameters(np.array([[[0, 0], [3, 0], [3, 4], [0, 4]]], float)) == pytest.approx([5])


def test_the_mean_of_copies_in_any_pose_is_their_outline() -> None:
    rng = np.random.default_rng(2)
    copies = [moved(bean(), int(rng.integers(32)), rng.uniform(0, 6), bool(i % 2), i % 3 == 0) for i in range(9)]
    mean = mean_outline(np.array(copies))
    assert contour_distance(posed(mean[None], bean()[None]), bean()[None])[0] < 1e-9


def test_the_mean_of_opposite_deviations_is_what_they_deviate_from() -> None:
    wave = 0.05 * np.random.default_rng(3).normal(size=(32, 2))
    mean = mean_outline(np.stack([bean() + wave, bean() - wave]))
    assert np.abs(posed(mean[None], bean()[None])[0] - bean()).max() < 0.02


def test_an_outline_sampled_between_the_points_of_its_original_is_no_error() -> None:
    fine = bean(640)
    here, between, other = fine[::10][None], fine[5::10][None], bean(64, bend=0.5)[None]
    assert reconstruction_errors(between, here)[0] < 0.003
    assert reconstruction_errors(moved(between[0], 7, 2.0, True, True)[None], here)[0] < 0.003
    assert reconstruction_errors(other, here)[0] > 0.01
    assert reconstruction_errors(3 * here, 3 * other) == pytest.approx(reconstruction_errors(here, other))


def test_alignment_undoes_rotation_reflection_and_translation_but_not_scale() -> None:
    reference = np.random.default_rng(1).normal(size=(1, 30, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = reference * [-1, 1] @ turn + [5, -7]
    np.testing.assert_allclose(align(moved, reference), reference, atol=1e-12)
    assert np.abs(align(2 * moved, reference) - reference).max() > 0.1
