from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from phenoloom.config.source import Masks
from phenoloom.images.segment import segment
from phenoloom.images.threshold import foreground


@pytest.mark.parametrize(("level", "other"), [(65535, 65534), (5000, 5001), (0, 1)])
def test_an_image_that_is_nearly_flat_has_a_threshold(level: int, other: int) -> None:
    plane = np.full((64, 64), level, np.uint16)
    plane[30:40, 30:40] = other
    found = segment(plane, Masks(smoothing_px=1.0))
    assert found.shape == plane.shape
    for dtype in (np.float32, np.int32, np.uint32):
        for polarity in ("bright", "dark"):
            assert foreground(plane.astype(dtype), polarity).sum() in (100, 64 * 64 - 100)


def test_a_threshold_of_32_bit_integers_takes_no_memory_for_what_lies_between_them() -> None:
    plane = np.zeros((64, 64), np.uint32)
    plane[::4, 5] = 4_000_000_000
    assert foreground(plane, "bright").sum() == 16


@pytest.mark.parametrize("polarity", ["bright", "dark"])
def test_a_channel_of_one_value_has_no_foreground(polarity: Literal["bright", "dark"]) -> None:
    assert not foreground(np.full((40, 50), 7, np.uint8), polarity).any()


def test_the_foreground_of_an_inverted_channel_is_that_of_dark_objects() -> None:
    plane = np.full((64, 64), 60, np.uint8)
    plane[20:30, 20:40] += 100
    np.testing.assert_array_equal(foreground(plane, "bright"), foreground(255 - plane, "dark"))
    assert foreground(plane, "bright").sum() == 200
