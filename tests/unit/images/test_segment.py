from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import disk, polygon

from phenoloom.config.source import Masks
from phenoloom.images.objects import objects
from phenoloom.images.segment import segment


def disks(*places: tuple[int, int, int], size: int = 120, noise: float = 4.0) -> np.ndarray:
    """A plane of bright disks (y, x, radius) on noise."""
    plane = np.random.default_rng(0).normal(100, noise, (size, size))
    for y, x, radius in places:
        plane[disk((y, x), radius, shape=plane.shape)] += 200
    return plane.clip(0).astype(np.uint16)


def test_a_disk_is_segmented_with_its_area_and_centre() -> None:
    labels = segment(disks((50, 60, 15)), Masks())
    found = objects(labels)
    assert len(found) == 1
    assert found.area_px[0] == pytest.approx(np.pi * 15**2, rel=0.06)
    assert np.argwhere(labels).mean(0) == pytest.approx([50, 60], abs=0.5)
    assert not found.touches_border[0]


def test_touching_disks_are_separated_unless_components_are_asked_for() -> None:
    plane = disks((60, 40, 15), (60, 66, 15))
    assert len(objects(segment(plane, Masks()))) == 2
    assert len(objects(segment(plane, Masks(objects="components")))) == 1
    assert segment(disks((20, 20, 9), (90, 90, 9)), Masks(objects="one")).max() == 1


def test_an_elongated_object_stays_whole_where_seeds_must_be_apart() -> None:
    plane = np.full((120, 160), 100, np.uint16)
    rows, columns = polygon([55, 50, 60, 66, 70, 62], [20, 80, 140, 140, 80, 20])
    plane[rows, columns] = 400
    assert len(objects(segment(plane, Masks(split_distance_px=60)))) == 1


def test_an_object_at_the_border_is_found_and_flagged() -> None:
    found = objects(segment(disks((60, 0, 15), (60, 70, 15)), Masks()))
    assert found.touches_border.tolist() == [True, False]


def test_holes_are_filled_and_a_plane_of_one_value_has_no_objects() -> None:
    plane = disks((60, 60, 20), noise=0.0)
    plane[disk((60, 60), 8)] = 100
    assert objects(segment(plane, Masks())).area_px[0] == pytest.approx(np.pi * 20**2, rel=0.06)
    assert len(objects(segment(np.full((40, 50), 7, np.uint8), Masks()))) == 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_segmentation_does_not_depend_on_the_pixel_type_or_on_gain(dtype: str) -> None:
    plane = disks((30, 30, 12), (80, 85, 14), noise=0.0) // 2
    expected = segment(plane, Masks())
    np.testing.assert_array_equal(segment(plane.astype(dtype), Masks()), expected)
    np.testing.assert_array_equal(segment((plane * 4).astype("uint16"), Masks()), expected)
