from __future__ import annotations

import numpy as np
import pytest

from phenoloom.config.source import Masks
from phenoloom.images.segment import segment
from phenoloom.images.threshold import foreground_threshold


@pytest.mark.parametrize(("level", "other"), [(65535, 65534), (5000, 5001), (0, 1)])
def test_an_image_that_is_nearly_flat_has_a_threshold(level: int, other: int) -> None:
    plane = np.full((64, 64), level, np.uint16)
    plane[30:40, 30:40] = other
    found = segment(plane, Masks(smoothing_px=1.0))
    assert found.shape == plane.shape
    for dtype in (np.float32, np.int32, np.uint32):
        above = plane.astype(dtype) > foreground_threshold(plane.astype(dtype))
        assert above.sum() in (100, 64 * 64 - 100)


def test_a_threshold_of_32_bit_integers_takes_no_memory_for_what_lies_between_them() -> None:
    plane = np.zeros((64, 64), np.uint32)
    plane[::4, 5] = 4_000_000_000
    assert (plane > foreground_threshold(plane)).sum() == 16
