from __future__ import annotations

import itertools
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.helpers.images import RNG, pixels, read_image, write_tiff

from phenoloom.core.errors import ImageError
from phenoloom.images import formats
from phenoloom.images.formats import FORMATS, file_axes, read_file


def palette_image(path: Path) -> np.ndarray:
    indices = RNG.integers(0, 3, (7, 9)).astype(np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 9, 255])
    picture.save(path)
    return indices


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_lossless_pictures_read_back_and_formats_are_known_by_their_bytes(tmp_path: Path, suffix: str) -> None:
    colours, grey = pixels(10, 12, 3, dtype="uint8"), pixels(10, 12, dtype="uint8")
    for array, channels in ((colours, 3), (grey, 1)):
        Image.fromarray(array).save(tmp_path / "a", suffix.upper())
        expected = np.moveaxis(array, -1, 0) if array.ndim == 3 else array[None]
        np.testing.assert_array_equal(read_image([tmp_path / "a"], channels), expected)


def test_a_16_bit_png_keeps_its_values(tmp_path: Path) -> None:
    image = (pixels(9, 8) * 600).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    np.testing.assert_array_equal(read_image([tmp_path / "a.png"], 1), image[None])


def test_a_jpeg_gives_its_colours(tmp_path: Path) -> None:
    Image.new("RGB", (16, 24), (200, 30, 90)).save(tmp_path / "a.jpeg", quality=95)
    image = read_image([tmp_path / "a.jpeg"], 3)
    assert image.shape == (3, 24, 16)
    np.testing.assert_allclose(image[:, 5, 5], [200, 30, 90], atol=3)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_a_palette_is_expanded_to_colours_in_an_image(tmp_path: Path, suffix: str) -> None:
    image = palette_image(tmp_path / f"a.{suffix}")
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 9, 255]])
    np.testing.assert_array_equal(read_image([tmp_path / f"a.{suffix}"], 3), np.moveaxis(palette[image], -1, 0))


def test_a_missing_file_a_folder_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    with pytest.raises(ImageError, match=r"found none at .*gone"):
        read_image([tmp_path / "gone.tif"], 1)
    with pytest.raises(ImageError, match="found none at"):
        read_image([tmp_path], 1)
    with pytest.raises(ImageError, match="zero bytes"):
        read_image([tmp_path / "empty.tif"], 1)


def test_a_text_file_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("not an image, although it is called one")
    with pytest.raises(ImageError, match=r"expected a TIFF, .* image, found bytes b.not an i. at the start of a\.tif"):
        read_image([tmp_path / "a.tif"], 1)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_a_truncated_picture_never_gives_pixels(tmp_path: Path, suffix: str, kept: float) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels(64, 64, 3, dtype="uint8")).save(file)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_image([file], 3)


def test_a_reason_is_the_same_in_each_run(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff no picture at all")
    with pytest.raises(ImageError) as first:
        read_image([tmp_path / "a.jpg"], 1)
    assert "0x" not in str(first.value)


@pytest.mark.parametrize("name", ["a b.tif", "[x]{y}.tif", "it's $HOME.tif", 'quo"te.tif', "µ-日本.tif", "-n.tif"])
def test_any_file_name_can_be_read(tmp_path: Path, name: str) -> None:
    image = pixels(1, 8, 8)
    np.testing.assert_array_equal(read_image([write_tiff(tmp_path / name, image)], 1), image)


@pytest.mark.real_data
def test_real_files_read_like_their_usual_readers(data_root: Path) -> None:
    tiffs = sorted((data_root / "nf1_cellpainting").rglob("*.tif*"))
    pictures = itertools.chain((data_root / "hela_sirna_submorph").rglob("*.jpeg"), _some(data_root, "*.bmp"))
    if not tiffs:
        pytest.skip(f"no nf1_cellpainting in {data_root}")
    for file in tiffs:
        np.testing.assert_array_equal(read_image([file], 1)[0], tifffile.imread(file))
    for file in pictures:
        picture = np.atleast_3d(np.asarray(Image.open(file)))
        np.testing.assert_array_equal(read_image([file], picture.shape[-1]), np.moveaxis(picture, -1, 0))


def _some(data_root: Path, pattern: str) -> list[Path]:
    return sorted((data_root / "segmentation_wbc").rglob(pattern))[::40]


def test_a_format_is_one_entry_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new format is read like any other as soon as it is listed."""
    rows = formats.Format(
        "ROWS", (b"ROWS",), lambda file, name, *_: (np.frombuffer(file.read()[4:], "u1")[None, None], [("C", 1)])
    )
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, rows))
    (tmp_path / "a").write_bytes(b"ROWS\x01\x02\x03")
    np.testing.assert_array_equal(read_image([tmp_path / "a"], 1), [[[1, 2, 3]]])
    (tmp_path / "b").write_bytes(b"COLUMNS")
    with pytest.raises(ImageError, match=r"expected a TIFF, .* or ROWS image"):
        read_image([tmp_path / "b"], 1)


def test_axes_of_pictures_are_their_colours(tmp_path: Path) -> None:
    Image.new("RGB", (16, 24)).save(tmp_path / "a.png")
    assert file_axes(tmp_path / "a.png") == [("S", 3)]
    assert read_file(tmp_path / "a.png")[0].shape == (3, 24, 16)
