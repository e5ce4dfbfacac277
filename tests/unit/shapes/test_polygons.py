from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phenoloom.shapes.polygons import (
    Polygons,
    centred,
    perimeters,
    resample,
    resample_contours,
    signed_areas,
    standard_order,
    without_repeats,
)

SQUARE = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)


@st.composite
def stars(draw: st.DrawFn) -> NDArray[np.float64]:
    """A star-shaped polygon, counter-clockwise, with 3 to 40 vertices."""
    n = draw(st.integers(3, 40))
    radii = draw(st.lists(st.floats(1, 50), min_size=n, max_size=n))
    gaps = np.array(draw(st.lists(st.floats(0.3, 1), min_size=n, max_size=n)))
    angles = 2 * np.pi * np.cumsum(gaps) / gaps.sum()
    return np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_points_of_a_square_lie_at_equal_steps_along_its_sides() -> None:
    points = resample(Polygons.from_list([SQUARE]), 8)[0]
    expected = [[0, 0], [2, 0], [4, 0], [4, 2], [4, 4], [2, 4], [0, 4], [0, 2]]
    np.testing.assert_allclose(points, expected, atol=1e-11)


@given(st.lists(stars(), min_size=1, max_size=5), st.sampled_from([8, 33, 64]))
@settings(max_examples=60, deadline=None)
def test_points_are_equally_spaced_along_the_arc(outlines: list[NDArray[np.float64]], points: int) -> None:
    contours = resample(Polygons.from_list(outlines), points)
    for outline, contour in zip(outlines, contours, strict=True):
        closed = np.vstack([outline, outline[:1]])
        arc = np.append(0, np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1)))
        at = np.arange(points) * arc[-1] / points
        expected = np.stack([np.interp(at, arc, closed[:, axis]) for axis in range(2)], axis=1)
        np.testing.assert_allclose(contour, expected, atol=1e-9 * arc[-1])


@given(st.lists(stars(), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_contour_is_the_same_to_the_last_bit_whatever_else_is_in_the_batch(
    outlines: list[NDArray[np.float64]],
) -> None:
    together = centred(resample(Polygons.from_list(outlines), 32))
    for i, outline in enumerate(outlines):
        alone = centred(resample(Polygons.from_list([outline]), 32))
        for one, other in zip(alone, together, strict=True):
            assert one[0].tobytes() == other[i].tobytes()


@given(stars(), st.integers(0, 39), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_standard_order_forgets_where_an_outline_began_and_which_way_it_ran(
    outline: NDArray[np.float64], shift: int, reverse: bool
) -> None:
    changed = np.roll(outline, shift, axis=0)[:: -1 if reverse else 1]
    one, other = (
        standard_order(p, signed_areas(p) < 0) for p in (Polygons.from_list([outline]), Polygons.from_list([changed]))
    )
    np.testing.assert_array_equal(one[0], other[0])
    assert signed_areas(one)[0] > 0
    assert one.x[0] == outline[:, 0].max()


def test_of_several_rightmost_vertices_the_one_of_largest_y_is_first() -> None:
    ordered = standard_order(Polygons.from_list([SQUARE, SQUARE[::-1]]), np.array([False, True]))
    assert ordered[0].tolist() == ordered[1].tolist() == [[4, 4], [0, 4], [0, 0], [4, 0]]


def test_repeated_vertices_are_dropped_also_across_the_closing_edge() -> None:
    outline = np.array([[0, 0], [0, 0], [3, 0], [3, 3], [3, 3], [3, 3], [0, 0]], float)
    assert without_repeats(Polygons.from_list([outline, SQUARE])).counts.tolist() == [3, 4]


def test_a_polygon_of_one_repeated_point_is_left_with_none() -> None:
    assert without_repeats(Polygons.from_list([np.ones((5, 2)), SQUARE])).counts.tolist() == [0, 4]


def test_area_and_perimeter_of_a_rectangle_keep_their_digits_far_from_the_origin() -> None:
    polygons = Polygons.from_list([SQUARE * [1, 0.5] + 2.0**30])
    assert signed_areas(polygons).tolist() == [8]
    assert perimeters(polygons).tolist() == [12]


def test_centroid_and_scale_of_a_square_are_exact() -> None:
    contours, centres, scale = centred(resample(Polygons.from_list([SQUARE - [-7, 3]]), 4))
    np.testing.assert_allclose(centres, [[9, -1]], atol=1e-12)
    np.testing.assert_allclose(scale, [np.sqrt(8)], rtol=1e-12)
    np.testing.assert_allclose(contours.mean(axis=1), 0, atol=1e-12)


def test_a_line_that_encloses_nothing_is_centred_on_its_points() -> None:
    contours, centres, _ = centred(np.array([[[0, 0], [2, 2], [4, 4], [2, 2]]], float))
    np.testing.assert_allclose(centres, [[2, 2]])
    assert np.isfinite(contours).all()


def test_a_hundred_thousand_points_are_resampled_to_the_circle_that_they_lie_on() -> None:
    angle = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    contour = resample(Polygons.from_list([np.stack([np.cos(angle), np.sin(angle)], axis=1)]), 64)[0]
    expected = 2 * np.pi * np.arange(64) / 64
    np.testing.assert_allclose(contour, np.stack([np.cos(expected), np.sin(expected)], axis=1), atol=1e-8)


def test_no_polygons_give_no_contours() -> None:
    nothing = Polygons.from_list([])
    assert resample(without_repeats(nothing), 16).shape == (0, 16, 2)
    assert signed_areas(nothing).shape == perimeters(nothing).shape == (0,)


def test_a_polygon_without_vertices_is_refused() -> None:
    with pytest.raises(ValueError, match="found one without"):
        without_repeats(Polygons(np.empty(0), np.empty(0), np.array([0])))


def test_resampling_to_the_same_number_changes_nothing() -> None:
    contours = np.random.default_rng(0).normal(size=(3, 16, 2))
    np.testing.assert_array_equal(resample_contours(contours, 16), contours)
    assert resample_contours(contours, 9).shape == (3, 9, 2)
