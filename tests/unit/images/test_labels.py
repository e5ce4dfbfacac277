from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.helpers.images import RNG, pixels, write_tiff
from tests.helpers.tiff_files import TiffFile

from phenoloom.config.source import Masks
from phenoloom.core.errors import ImageError, PhenoloomError
from phenoloom.images.formats import read_file
from phenoloom.images.labels import read_labels, read_mask
from phenoloom.images.objects import objects
from phenoloom.images.orientation import oriented


def palette_image(path: Path) -> np.ndarray:
    indices = RNG.integers(0, 3, (7, 9)).astype(np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 9, 255])
    picture.save(path)
    return indices


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_a_palette_mask_gives_its_indices(tmp_path: Path, suffix: str) -> None:
    image = palette_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"a.{suffix}"), image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
def test_a_mask_keeps_its_labels(tmp_path: Path, dtype: str) -> None:
    mask = pixels(20, 30, dtype=dtype)
    found = read_mask(write_tiff(tmp_path / "a.tif", mask))
    np.testing.assert_array_equal(found, mask)
    assert found.dtype.kind in "iu"


def test_a_bilevel_mask_and_whole_floats_become_integers(tmp_path: Path) -> None:
    mask = pixels(20, 30) > 50
    found = read_mask(write_tiff(tmp_path / "a.tif", mask))
    np.testing.assert_array_equal(found > 0, mask)
    assert found.dtype == np.uint8
    found = read_mask(write_tiff(tmp_path / "b.tif", mask.astype(np.float32) * 7))
    np.testing.assert_array_equal(found, mask * 7)
    with pytest.raises(ImageError, match="whole numbers"):
        read_mask(write_tiff(tmp_path / "c.tif", mask * np.float32(0.5)))


def test_a_mask_of_true_colours_is_an_error(tmp_path: Path) -> None:
    Image.fromarray(pixels(6, 7, 3, dtype="uint8")).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="expected a mask of one plane, found 3"):
        read_mask(tmp_path / "a.png")


def write(path: Path, mask: list[list[int]] | np.ndarray, dtype: str = "uint8") -> Path:
    tifffile.imwrite(path, np.asarray(mask, dtype))
    return path


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
        assert found.area_px.shape == (0,)


def test_labels_that_are_no_object_numbers_are_refused_for_that_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="found -1 to 3"):
        read_labels(write(tmp_path / "m.tif", [[-1, 3]], "int16"), Masks())
    with pytest.raises(ImageError, match="found 0 to 4294967295"):
        read_labels(write(tmp_path / "n.tif", [[0, 4294967295]], "uint32"), Masks())


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


def test_a_stack_as_a_mask_is_refused_even_if_its_planes_are_equal(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.ome.tif", np.ones((2, 5, 6), np.uint8), metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match=r"expected a mask of one plane, found 2 pages \(2 along Z\)"):
        read_mask(file)


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("photometric", [0, 1])
def test_white_is_foreground_in_a_mask_of_one_bit(tmp_path: Path, photometric: int) -> None:
    white = np.zeros((1, 6, 9), bool)
    white[0, 2:4, 3:7] = True
    file = TiffFile(white if photometric else ~white, 1, tags={262: photometric})
    found = read_labels(write_bytes(tmp_path / "m.tif", file.write()), Masks())
    np.testing.assert_array_equal(found, white[0])


def test_a_mask_of_several_bits_in_which_zero_is_white_needs_the_values_of_the_foreground(tmp_path: Path) -> None:
    stored = np.zeros((1, 6, 9), np.uint8)
    stored[0, 2:4, 3:7] = 255
    file = write_bytes(tmp_path / "m.tif", TiffFile(stored, tags={262: 0}).write())
    with pytest.raises(ImageError, match=r"zero is white .* in `source.masks.values`"):
        read_labels(file, Masks())
    np.testing.assert_array_equal(read_labels(file, Masks(values=[255], objects="one")), stored[0] > 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_and_its_mask_agree_however_each_is_turned(tmp_path: Path, orientation: int) -> None:
    seen = np.arange(54, dtype=np.uint8).reshape(1, 6, 9)
    stored = oriented(seen, {6: 8, 8: 6}.get(orientation, orientation))
    turned = write_bytes(tmp_path / "turned.tif", TiffFile(stored, tags={274: orientation}).write())
    upright = write_bytes(tmp_path / "upright.tif", TiffFile(seen).write())
    np.testing.assert_array_equal(read_mask(turned), read_file(upright)[0][0])
    np.testing.assert_array_equal(read_file(turned)[0][0], read_mask(upright))


def two_pages(path: Path, **options: Any) -> np.ndarray:
    nuclei, cells = np.zeros((2, 8, 9), np.uint8)
    nuclei[2, 3], cells[1:5, 2:6] = 1, 7
    tifffile.imwrite(path, np.stack([nuclei, cells]), photometric="minisblack", **options)
    return np.stack([nuclei, cells])


@pytest.mark.parametrize("options", [{}, {"metadata": None}, {"imagej": True}, {"metadata": {"axes": "CYX"}}])
def test_pages_of_a_mask_file_are_never_taken_for_transparency(tmp_path: Path, options: dict[str, Any]) -> None:
    pages = two_pages(tmp_path / "a.tif", **options)
    with pytest.raises(ImageError, match=r"found 2 pages \(2 along .\) in a\.tif; say in `source\.masks\.plane` which"):
        read_labels(tmp_path / "a.tif", Masks())
    for number, page in enumerate(pages):
        labels = read_labels(tmp_path / "a.tif", Masks(files="a.tif", plane=number))
        np.testing.assert_array_equal(labels, page)
    with pytest.raises(ImageError, match=r"expected plane 2 of a mask \(`source\.masks\.plane`\), found 2 in a\.tif"):
        read_labels(tmp_path / "a.tif", Masks(files="a.tif", plane=2))


def test_equal_pages_of_a_mask_file_are_pages_and_equal_colours_of_one_page_are_one_plane(tmp_path: Path) -> None:
    mask = RNG.integers(0, 4, (8, 9)).astype(np.uint8)
    with pytest.raises(ImageError, match="found 3 pages"):
        read_mask(write_tiff(tmp_path / "a.tif", np.stack([mask] * 3)))
    np.testing.assert_array_equal(
        read_mask(write_tiff(tmp_path / "b.tif", np.dstack([mask] * 3), photometric="rgb")), mask
    )


def test_an_image_or_a_level_of_a_mask_file_is_chosen_by_keys_of_the_masks(tmp_path: Path) -> None:
    nuclei, cells = RNG.integers(0, 4, (2, 16, 16)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(nuclei, metadata={"Name": "nuclei"}, subifds=1, photometric="minisblack")
        writer.write(nuclei[::2, ::2], subfiletype=1, photometric="minisblack")
        writer.write(cells[:8], metadata={"Name": "cells"}, photometric="minisblack")
    file = tmp_path / "a.ome.tif"
    with pytest.raises(ImageError, match=r"0 'nuclei' .* 1 'cells' .*say in `source\.masks\.image` which"):
        read_mask(file)
    np.testing.assert_array_equal(read_mask(file, Masks(files="a", image="cells")), cells[:8])
    np.testing.assert_array_equal(read_mask(file, Masks(files="a", image=0, level=1)), nuclei[::2, ::2])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_transparency_of_a_mask_is_left_out_only_where_it_hides_nothing_or_the_background(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    mask = np.zeros((6, 7), np.uint8)
    mask[1:4, 2:5] = 9
    opaque, background = np.full_like(mask, 255), np.where(mask > 0, 200, 0).astype(np.uint8)
    shape = np.zeros_like(mask)
    shape[2:5, 1:6] = 255

    def written(colour: np.ndarray, alpha: np.ndarray) -> Path:
        pixels = np.dstack([colour] * (len(mode) - 1) + [alpha])
        file = tmp_path / f"a.{suffix}"
        if suffix == "png":
            Image.fromarray(pixels).save(file)
        else:
            tifffile.imwrite(
                file,
                pixels,
                photometric="rgb" if mode == "RGBA" else "minisblack",
                planarconfig="contig",
                extrasamples=["unassalpha"],
            )
        return file

    for alpha in (opaque, background):
        np.testing.assert_array_equal(read_mask(written(mask, alpha)), mask)
    for colour in (mask, np.zeros_like(mask), np.full_like(mask, 255)):
        file = written(colour, shape)
        with pytest.raises(ImageError, match=r"transparency hides nothing or exactly the background, found another"):
            read_mask(file)
        np.testing.assert_array_equal(read_mask(file, Masks(files="a", plane=0)), colour)
        np.testing.assert_array_equal(read_mask(file, Masks(files="a", plane=len(mode) - 1)), shape)


@pytest.mark.parametrize("samples", [2, 4])
def test_samples_that_a_file_does_not_mark_as_alpha_are_data(tmp_path: Path, samples: int) -> None:
    mask = RNG.integers(0, 4, (8, 9)).astype(np.uint8)
    pixels = np.dstack([mask] * (samples - 1) + [np.full_like(mask, 255)])
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        photometric="rgb" if samples == 4 else "minisblack",
        planarconfig="contig",
        extrasamples=["unspecified"],
    )
    with pytest.raises(
        ImageError, match=rf"found {samples} different colours in a\.tif; say in `source\.masks\.plane`"
    ):
        read_mask(tmp_path / "a.tif")
