from __future__ import annotations

import numpy as np
import pytest

from phenoloom.tiles.measure import ChannelStatistics, Measurer, image_digest

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32", "float32"])
def test_measurements_are_what_numpy_says(dtype: str) -> None:
    tiles = RNG.integers(0, 120, (3, 2, 9, 11)).astype(dtype)
    measurer = Measurer()
    for tile in tiles:
        measurer.add(tile)
    found, values = measurer.finish(2), tiles.astype(np.float64)
    np.testing.assert_allclose(found.mean, values.mean((2, 3)))
    np.testing.assert_allclose(found.std, values.std((2, 3)))
    np.testing.assert_array_equal(found.low, values.min((2, 3)))
    np.testing.assert_array_equal(found.high, values.max((2, 3)))
    gradient = ((values[:, :, ::4, 2:] - values[:, :, ::4, :-2]) ** 2).mean((2, 3))
    np.testing.assert_allclose(found.focus, (gradient / (values**2).mean((2, 3))).mean(1))
    assert found.pixels.tolist() == [99] * 3


def test_saturation_is_the_fraction_of_pixels_at_the_largest_value_of_an_integer_type() -> None:
    measurer = Measurer()
    tile = np.zeros((2, 4, 4), np.uint8)
    tile[1, 0, :2] = 255
    measurer.add(tile)
    assert measurer.finish(2).saturation.tolist() == [2 / 32]
    measurer = Measurer()
    measurer.add(np.full((1, 4, 4), 255, np.float32))
    assert measurer.finish(1).saturation.tolist() == [0]


def test_an_image_without_tiles_has_no_measurements_and_changes_no_statistics() -> None:
    nothing = Measurer().finish(2)
    assert nothing.mean.shape == (0, 2)
    statistics = ChannelStatistics(2)
    statistics.add(nothing)
    measurer = Measurer()
    measurer.add(np.stack([np.full((2, 2), 3, np.uint8), np.array([[1, 3], [1, 3]], np.uint8)]))
    statistics.add(measurer.finish(2))
    first, second = statistics.summary()
    assert first == pytest.approx({"mean": 3.0, "std": 0.0, "min": 3.0, "max": 3.0, "count": 4})
    assert second == pytest.approx({"mean": 2.0, "std": 1.0, "min": 1.0, "max": 3.0, "count": 4})


def test_equal_images_have_equal_digests_and_constant_ones_none() -> None:
    image = RNG.integers(0, 99, (2, 8, 8)).astype(np.uint16)
    assert image_digest(image) == image_digest(image.copy()) != ""
    assert image_digest(image) != image_digest(image[::-1])
    constant = np.empty((2, 8, 8), np.uint16)
    constant[0], constant[1] = 3, 7
    assert image_digest(constant) == ""
    constant[1, 5, 5] = 8
    assert image_digest(constant) != ""
