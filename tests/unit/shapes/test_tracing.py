from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from phenoloom.shapes.polygons import signed_areas
from phenoloom.shapes.tracing import trace_labels, trace_masks

label_images = arrays.arrays(
    np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 0, 1, 2, 7])
)


def vertices(polygon: NDArray[np.float64]) -> list[tuple[int, ...]]:
    return sorted(map(tuple, np.round(2 * polygon).astype(int).tolist()))


def marching_squares(mask: NDArray[np.bool_]) -> list[list[tuple[int, ...]]]:
    curves = find_contours(np.pad(mask, 1).astype(float), 0.5, fully_connected="high")
    return [vertices(curve[:-1, ::-1] - 1) for curve in curves]


@given(label_images)
@settings(max_examples=60, deadline=None)
def test_outlines_are_those_of_marching_squares_also_where_objects_touch(labels: NDArray[np.int32]) -> None:
    traced = trace_labels(labels)
    assert traced.objects.tolist() == sorted(set(labels.ravel().tolist()) - {0})
    for i, label in enumerate(traced.objects):
        assert vertices(traced.polygons[i]) in marching_squares(labels == label)


@given(label_images)
@settings(max_examples=60, deadline=None)
def test_pixels_components_holes_and_border_contact_are_counted_exactly(labels: NDArray[np.int32]) -> None:
    traced = trace_labels(labels)
    for i, label in enumerate(traced.objects):
        mask = labels == label
        assert traced.area_px[i] == mask.sum()
        assert traced.components[i] == ndimage.label(mask, np.ones((3, 3)))[1]
        assert traced.holes[i] == ndimage.label(np.pad(~mask, 1, constant_values=True))[1] - 1
        assert traced.border[i] == (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


@given(label_images)
@settings(max_examples=40, deadline=None)
def test_a_stack_of_masks_gives_the_outlines_of_the_label_image(labels: NDArray[np.int32]) -> None:
    one = trace_labels(labels)
    stack = np.stack([*(labels == label for label in one.objects), np.zeros(labels.shape, bool)])
    other = trace_masks(stack)
    assert other.objects.tolist() == list(range(len(one.objects)))
    for name in ("area_px", "components", "holes", "border"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    for i in range(len(one.objects)):
        assert vertices(one.polygons[i]) == vertices(other.polygons[i])


def test_one_pixel_is_a_diamond_of_half_its_area() -> None:
    labels = np.zeros((5, 7), np.int32)
    labels[2, 3] = 4
    traced = trace_labels(labels)
    assert vertices(traced.polygons[0]) == [(5, 4), (6, 3), (6, 5), (7, 4)]
    assert abs(signed_areas(traced.polygons)[0]) == 0.5


def test_the_largest_component_is_taken_and_of_equals_the_topmost() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[1:4, 1:4] = labels[10:16, 10:16] = 1
    labels[1:4, 15:18] = labels[17:20, 1:4] = 2
    traced = trace_labels(labels)
    assert traced.components.tolist() == [2, 2]
    assert traced.polygons[0].mean(axis=0).tolist() == [12.5, 12.5]
    assert traced.polygons[1].mean(axis=0).tolist() == [16, 2]


def test_an_object_around_another_one_has_a_hole_and_keeps_its_outer_outline() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:18, 2:18] = 1
    labels[6:12, 6:12] = 2
    traced = trace_labels(labels)
    assert traced.holes.tolist() == [1, 0]
    assert traced.polygons[0].max() == 17.5


def test_labels_far_apart_in_number_cost_no_memory() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[1, 1], labels[4, 4] = 5, np.iinfo(np.int32).max
    assert trace_labels(labels).objects.tolist() == [5, np.iinfo(np.int32).max]


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 4, 4)], ids=["no masks", "empty masks"])
def test_masks_without_foreground_give_no_objects(shape: tuple[int, int, int]) -> None:
    traced = trace_masks(np.zeros(shape, bool))
    assert len(traced.objects) == len(traced.polygons) == 0


def test_an_image_without_objects_gives_none() -> None:
    traced = trace_labels(np.zeros((8, 9), np.int32))
    assert len(traced.objects) == len(traced.polygons) == len(traced.border) == 0
