from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import disk, polygon
from skimage.measure import regionprops_table

from phenoloom.config.source import Masks
from phenoloom.core.errors import ImageError, PhenoloomError
from phenoloom.images.labels import read_labels
from phenoloom.images.objects import objects
from phenoloom.images.segment import segment
from phenoloom.images.threshold import foreground_threshold


def write(path: Path, mask: list[list[int]] | np.ndarray, dtype: str = "uint8") -> Path:
    tifffile.imwrite(path, np.asarray(mask, dtype))
    return path


def disks(*places: tuple[int, int, int], size: int = 120, noise: float = 4.0) -> np.ndarray:
    """A plane of bright disks (y, x, radius) on noise."""
    plane = np.random.default_rng(0).normal(100, noise, (size, size))
    for y, x, radius in places:
        plane[disk((y, x), radius, shape=plane.shape)] += 200
    return plane.clip(0).astype(np.uint16)


def test_label_values_are_objects_and_stay_what_they_are(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path / "m.tif", [[0, 7, 7], [60000, 0, 7]], "uint16"), Masks())
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [[0, 7, 7], [60000, 0, 7]])


def test_components_touch_over_corners_and_are_numbered_row_by_row(tmp_path: Path) -> None:
    file = write(tmp_path / "m.tif", [[0, 0, 9, 0], [5, 0, 0, 3], [0, 0, 0, 0], [1, 0, 0, 0]])
    labels = read_labels(file, Masks(objects="components"))
    np.testing.assert_array_equal(labels, [[0, 0, 1, 0], [2, 0, 0, 1], [0, 0, 0, 0], [3, 0, 0, 0]])


def test_one_object_holds_all_components(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path / "m.tif", [[255, 0, 255]]), Masks(objects="one"))
    np.testing.assert_array_equal(labels, [[1, 0, 1]])


def test_only_listed_values_are_foreground_so_stray_pixels_are_not(tmp_path: Path) -> None:
    file = write(tmp_path / "m.tif", [[0, 7, 128], [255, 50, 254]])
    labels = read_labels(file, Masks(objects="one", values=[128, 255]))
    np.testing.assert_array_equal(labels, [[0, 0, 1], [1, 0, 0]])


def test_a_silhouette_on_a_bright_ground_is_inverted_and_one_on_a_dark_ground_is_not(tmp_path: Path) -> None:
    mask = np.zeros((5, 6), np.uint8)
    mask[1:4, 2:5] = 255
    settings = Masks(objects="one", invert_when_border_is_foreground=True)
    dark = read_labels(write(tmp_path / "dark.tif", mask), settings)
    bright = read_labels(write(tmp_path / "bright.tif", 255 - mask), settings)
    np.testing.assert_array_equal(dark, mask > 0)
    np.testing.assert_array_equal(bright, mask > 0)
    with pytest.raises(PhenoloomError, match="`components` or `one`, found `labels`"):
        read_labels(tmp_path / "dark.tif", Masks(invert_when_border_is_foreground=True))


def test_a_mask_without_foreground_has_no_objects_and_is_no_error(tmp_path: Path) -> None:
    file = write(tmp_path / "m.tif", np.zeros((4, 4)))
    for kind in ("labels", "components", "one"):
        found = objects(read_labels(file, Masks(objects=kind)))
        assert len(found) == 0
        assert found.centre_y.shape == (0,)


def test_labels_that_are_no_object_numbers_are_refused_for_that_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="found -1 to 3"):
        read_labels(write(tmp_path / "m.tif", [[-1, 3]], "int16"), Masks())
    with pytest.raises(ImageError, match="found 0 to 4294967295"):
        read_labels(write(tmp_path / "n.tif", [[0, 4294967295]], "uint32"), Masks())


@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0, 1, 2, 3, 9])))
def test_objects_agree_with_regionprops(labels: np.ndarray) -> None:
    found = objects(labels)
    expected = regionprops_table(labels, properties=("label", "area", "bbox", "centroid"))
    np.testing.assert_array_equal(found.label, expected["label"])
    np.testing.assert_array_equal(found.area_px, expected["area"])
    for i, name in enumerate(("y0", "x0", "y1", "x1")):
        np.testing.assert_array_equal(getattr(found, name), expected[f"bbox-{i}"])
    np.testing.assert_allclose(found.centre_y, expected["centroid-0"])
    np.testing.assert_allclose(found.centre_x, expected["centroid-1"])
    border = set(np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))) - {0}
    np.testing.assert_array_equal(found.touches_border, [label in border for label in found.label])


@settings(max_examples=20)
@given(arrays(np.int32, (6, 6), elements=st.sampled_from([0, 1, 2**31 - 1, 10**9, 10**6])))
def test_scattered_label_values_cost_nothing(labels: np.ndarray) -> None:
    found = objects(labels)
    values, areas = np.unique(labels[labels > 0], return_counts=True)
    np.testing.assert_array_equal(found.label, values)
    np.testing.assert_array_equal(found.area_px, areas)


def test_a_disk_is_segmented_with_its_area_and_centre() -> None:
    found = objects(segment(disks((50, 60, 15)), Masks()))
    assert len(found) == 1
    assert found.area_px[0] == pytest.approx(np.pi * 15**2, rel=0.06)
    assert (found.centre_y[0], found.centre_x[0]) == (pytest.approx(50, abs=0.5), pytest.approx(60, abs=0.5))
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


@pytest.mark.real_data
def test_stray_pixels_of_blood_masks_are_background(data_root: Path) -> None:
    folder = data_root / "segmentation_wbc" / "Dataset 2"
    settings = Masks(objects="one", values=[128, 255])
    found = [objects(read_labels(file, settings)) for file in sorted(folder.glob("*.png"))]
    assert [len(f) for f in found] == [1] * 100
    widths = [max(int(f.x1[0] - f.x0[0]), int(f.y1[0] - f.y0[0])) for f in found]
    assert (min(widths), max(widths)) == (99, 291)


@pytest.mark.real_data
def test_inverted_silhouettes_are_turned(data_root: Path) -> None:
    settings = Masks(objects="one", invert_when_border_is_foreground=True)
    files = sorted((data_root / "mpeg7_ce1_partB" / "png").glob("*.png"))
    for file in files[::10]:
        labels = read_labels(file, settings)
        border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
        assert 0 < border.mean() + labels.mean() < 1.5
        assert border.mean() <= 0.5


@pytest.mark.real_data
def test_nuclei_of_cell_painting_masks_are_components_of_binary_masks(data_root: Path) -> None:
    files = sorted((data_root / "nf1_cellpainting" / "masks").glob("*MaskNuclei.tiff"))
    if not files:
        pytest.skip(f"no masks of nuclei in {data_root}")
    for file in files:
        found = objects(read_labels(file, Masks(objects="components")))
        assert len(objects(read_labels(file, Masks()))) == 1
        assert (found.area_px > 1000).sum() > 3


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
