from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from phenoloom.core.errors import ImageError
from phenoloom.images.objects import LeftOut
from phenoloom.tiles.crop import Window, crop, grid_windows, inside, object_windows


def test_a_grid_has_only_whole_tiles() -> None:
    assert [(w.y, w.x) for w in grid_windows(10, 8, 4, 4)] == [(0, 0), (0, 4), (4, 0), (4, 4)]
    assert [(w.y, w.x) for w in grid_windows(5, 4, 4, 1)] == [(0, 0), (1, 0)]
    with pytest.raises(ImageError, match="at least one tile of 4 x 4 px, found 4 x 3 px"):
        grid_windows(4, 3, 4, 4)


def test_names_of_windows_are_places_on_a_grid_and_labels_around_objects() -> None:
    assert Window(12, 345).name == "y00012x00345"
    assert Window(-3, 4, object=7).name == "0007"


@pytest.mark.parametrize(("y", "x"), [(0, 0), (2, 3), (-2, -1), (4, 5), (-4, -4), (9, 9)])
def test_a_crop_is_the_window_of_an_image_with_zeros_around_it(y: int, x: int) -> None:
    image = np.arange(1, 2 * 6 * 7 + 1).reshape(2, 6, 7)
    padded = np.pad(image, ((0, 0), (10, 10), (10, 10)))
    tile = crop(image, Window(y, x), 4)
    np.testing.assert_array_equal(tile, padded[:, y + 10 : y + 14, x + 10 : x + 14])
    assert tile.flags.c_contiguous
    assert inside(image, Window(y, x), 4).size == (tile != 0).sum()


def test_windows_are_centred_on_objects_and_those_left_out_are_counted() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[5:8, 6:12] = 4
    labels[0:3, 0:3] = 2
    labels[15, 15] = 9
    labels[10:13, 1:18] = 5
    rejected: Counter[str] = Counter()
    border, window, large = object_windows(labels, 8, 2, False, rejected)
    assert window == Window(y=2, x=5, object=4, area_px=18, border=False, height_px=3, width_px=6)
    assert border == Window(0, 0, 2, 9, True, 3, 3, LeftOut.AT_IMAGE_BORDER)
    assert large == Window(10, 1, 5, 51, False, 3, 17, LeftOut.TOO_LARGE)
    assert rejected == {LeftOut.AT_IMAGE_BORDER: 1, LeftOut.TOO_SMALL: 1, LeftOut.TOO_LARGE: 1}
    kept = object_windows(labels, 8, 2, True, Counter())
    assert [(w.object, w.border) for w in kept if w.left_out is None] == [(2, True), (4, False)]


def test_an_image_without_objects_is_counted() -> None:
    rejected: Counter[str] = Counter()
    assert object_windows(np.zeros((5, 5), np.int32), 4, 1, True, rejected) == []
    assert rejected == {"image without objects": 1}
