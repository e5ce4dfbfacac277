from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.helpers.images import ramp

from phenoloom.config.planes import Planes
from phenoloom.core.errors import ImageError
from phenoloom.images.projection import project


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("max", 9), ("mean", 4), ("middle", 4), ("first", 2), ("last", 0)],
)
def test_focal_planes_are_projected_by_their_policy(policy: Any, expected: int) -> None:
    values = np.array([2, 9, 4, 5, 0], np.uint8)
    stack = np.broadcast_to(values[None, :, None, None, None], (1, 5, 2, 3, 4))
    found = project(stack, Planes(z=policy))
    assert found.shape == (2, 3, 4)
    assert found.dtype == np.uint8
    assert (found == expected).all()


def test_a_mean_is_rounded_to_the_integers_of_the_camera_without_running_over() -> None:
    stack = np.array([65535, 65534, 65535], np.uint16).reshape(1, 3, 1, 1, 1)
    assert project(stack, Planes(z="mean")).item() == 65535
    floats = stack.astype(np.float32) / 2
    assert project(floats, Planes(z="mean")).item() == pytest.approx(floats.mean())


def test_z_comes_first_at_each_time_point_and_then_t() -> None:
    stack = np.array([[1, 8], [6, 2]], np.uint8).reshape(2, 2, 1, 1, 1)
    assert project(stack, Planes(z="max", t="mean")).item() == 7
    assert project(stack, Planes(z="max", t="last")).item() == 6
    assert project(stack, Planes(z="first", t="max")).item() == 6


def test_the_sharpest_plane_is_one_for_all_channels_at_each_time_point() -> None:
    generator = np.random.default_rng(0)
    stack = np.full((2, 3, 2, 16, 16), 100, np.uint16)
    # Sharp in plane 1 at the first time point and in plane 2 at the second; a dim channel counts as a bright one does.
    for t, z in ((0, 1), (1, 2)):
        stack[t, z] += generator.integers(0, 50, (2, 16, 16), dtype=np.uint16)
    stack[:, :, 1] *= 100
    assert np.array_equal(project(stack, Planes(z="sharpest", t="first")), stack[0, 1])
    assert np.array_equal(project(stack, Planes(z="sharpest", t="last")), stack[1, 2])
    assert np.array_equal(project(stack.transpose(1, 0, 2, 3, 4), Planes(z="first", t="sharpest")), stack[0, 1])


def test_an_axis_without_a_policy_is_refused_and_a_single_plane_is_none() -> None:
    with pytest.raises(ImageError, match=r"found 3 focal planes; say in `source.planes.z` which"):
        project(ramp(1, 3, 1, 2, 2), Planes(t="first"))
    with pytest.raises(ImageError, match="found 2 time points"):
        project(ramp(2, 1, 1, 2, 2), Planes(z="max"))
    assert np.array_equal(project(ramp(1, 1, 2, 2, 2), Planes()), ramp(2, 2, 2))
