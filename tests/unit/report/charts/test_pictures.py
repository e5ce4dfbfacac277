from __future__ import annotations

import base64

import imagecodecs
import numpy as np

from phenoloom.report.charts.pictures import colours_of, composite, contrast_limits, mask_outlines, tile_picture


def test_a_composite_is_black_at_the_low_limit_and_its_colour_at_the_high_one() -> None:
    tile = np.array([[[100, 300]], [[50, 50]]], np.uint16)
    shown = composite(tile, np.array([[100.0, 300.0], [50.0, 90.0]]), colours_of(["DNA", "actin"]))
    assert shown.tolist() == [[[0, 0, 0], [255, 0, 255]]]


def test_red_green_and_blue_keep_their_colours() -> None:
    assert np.array_equal(colours_of(["Red", "green", "B"]), np.eye(3))
    assert colours_of(["DNA"]).tolist() == [[1, 1, 1]]


def test_contrast_limits_ignore_a_hot_pixel() -> None:
    tiles = np.tile([50.0, 150.0], (2, 1, 100, 50))
    tiles[0, 0, 0, 0] = 1e6
    assert contrast_limits(tiles).tolist() == [[50.0, 150.0]]


def test_contrast_limits_do_not_count_padding_but_do_count_a_black_background() -> None:
    tiles = np.tile([100, 900], (1, 2, 40, 20)).astype(np.uint16)
    tiles[:, :, :10] = tiles[:, :, :, 35:] = 0
    assert contrast_limits(tiles).tolist() == [[100.0, 900.0]] * 2
    silhouette = np.zeros((1, 1, 40, 40), np.uint8)
    silhouette[:, :, 10:30, 10:30] = 255
    assert contrast_limits(silhouette).tolist() == [[0.0, 255.0]]


def test_a_large_tile_is_shown_small_in_its_proportions() -> None:
    picture = tile_picture(np.zeros((1, 512, 256)), np.array([[0.0, 1.0]]), colours_of(["DNA"]), "a tile")
    pixels = imagecodecs.webp_decode(base64.b64decode(picture.source.partition(",")[2]))
    assert pixels.shape == (128, 64, 3)


def test_the_objects_of_a_mask_are_outlined_each_by_itself() -> None:
    mask = np.zeros((20, 20), np.int32)
    mask[2:8, 2:8], mask[2:8, 8:12], mask[15, 15] = 3, 9, 4
    first, single, second = mask_outlines(mask)
    assert (first.min(0).tolist(), first.max(0).tolist()) == ([2, 2], [7, 7])
    assert (second.min(0).tolist(), second.max(0).tolist()) == ([8, 2], [11, 7])
    assert single.tolist() == [[15, 15]]
    assert mask_outlines(np.zeros((5, 5), np.uint8)) == []
    picture = tile_picture(mask[None], np.array([[0.0, 9.0]]), colours_of(["DNA"]), "a tile", [first, second], "12 %")
    assert str(picture.drawing).count("<path") == 2
    assert picture.note == "12 %"
