from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import regionprops_table

from phenoloom.images.objects import fitting_side, objects, of_run_lengths, run_lengths


@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0, 1, 2, 3, 9])))
def test_objects_agree_with_regionprops(labels: np.ndarray) -> None:
    found = objects(labels)
    expected = regionprops_table(labels, properties=("label", "area", "bbox"))
    np.testing.assert_array_equal(found.label, expected["label"])
    np.testing.assert_array_equal(found.area_px, expected["area"])
    for i, name in enumerate(("y0", "x0", "y1", "x1")):
        np.testing.assert_array_equal(getattr(found, name), expected[f"bbox-{i}"])
    border = set(np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))) - {0}
    np.testing.assert_array_equal(found.touches_border, [label in border for label in found.label])


@settings(max_examples=20)
@given(arrays(np.int32, (6, 6), elements=st.sampled_from([0, 1, 2**31 - 1, 10**9, 10**6])))
def test_scattered_label_values_cost_nothing(labels: np.ndarray) -> None:
    found = objects(labels)
    values, areas = np.unique(labels[labels > 0], return_counts=True)
    np.testing.assert_array_equal(found.label, values)
    np.testing.assert_array_equal(found.area_px, areas)


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_the_runs_of_a_mask_give_the_mask_again(mask: np.ndarray) -> None:
    runs = run_lengths(mask)
    assert runs[1::2].sum() == mask.sum()
    assert (runs[1:] > 0).all()
    np.testing.assert_array_equal(of_run_lengths(runs, *mask.shape), mask)


def test_a_fitting_side_holds_ninety_nine_per_cent_and_is_a_multiple_of_eight() -> None:
    counts = np.bincount([20] * 98 + [90, 157])
    assert fitting_side(counts) == 96
    assert fitting_side(np.bincount([20] * 97 + [90, 90, 157])) == 96
    assert fitting_side(np.bincount([20] * 97 + [90, 157, 157])) == 160
    assert fitting_side(np.bincount([8])) == 8
    assert fitting_side(np.zeros(4, int)) is None
