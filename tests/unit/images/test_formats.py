from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from phenoloom.core.errors import ImageError
from phenoloom.images.formats import read_image, read_mask, read_pages

RNG = np.random.default_rng(0)
DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"]


def pixels(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return RNG.integers(0, 100, shape).astype(dtype)


def write_tiff(path: Path, image: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, image, **{"photometric": "minisblack", **options})
    return path


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}, {"byteorder": ">"}, {"bigtiff": True}])
def test_every_layout_of_a_tiff_reads_the_pixels_that_were_written(
    tmp_path: Path, dtype: str, compression: str | None, layout: dict[str, Any]
) -> None:
    image = pixels(3, 41, 23, dtype=dtype)
    file = write_tiff(tmp_path / "a.tif", image, compression=compression, **layout)
    found = read_image([file], 3)
    np.testing.assert_array_equal(found, image)
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    assert found.flags.c_contiguous


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_predictors_are_undone(tmp_path: Path, dtype: str, compression: str, byteorder: str) -> None:
    image = RNG.integers(0, 200, (2, 30, 21)).astype(dtype)
    file = write_tiff(tmp_path / "a.tif", image, compression=compression, predictor=True, byteorder=byteorder)
    np.testing.assert_array_equal(read_image([file], 2), image)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_colours_of_one_page_become_channels(
    tmp_path: Path, compression: str | None, predictor: bool, byteorder: str
) -> None:
    image = pixels(3, 20, 17)
    options = {"compression": compression, "predictor": predictor and compression is not None, "byteorder": byteorder}
    interleaved, planar = tmp_path / "i.tif", tmp_path / "p.tif"
    write_tiff(interleaved, np.moveaxis(image, 0, -1), photometric="rgb", rowsperstrip=6, **options)
    write_tiff(planar, image, photometric="rgb", planarconfig="separate", rowsperstrip=6, **options)
    np.testing.assert_array_equal(read_image([interleaved], 3), image)
    np.testing.assert_array_equal(read_image([planar], 3), image)


def test_a_jpeg_compressed_tiff_is_read_like_tifffile_reads_it(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(32, 48, dtype="uint8"), compression="jpeg")
    np.testing.assert_array_equal(read_image([file], 1)[0], tifffile.imread(file))


def test_an_ome_tiff_gives_channels_in_the_order_of_its_metadata(tmp_path: Path) -> None:
    image = pixels(4, 20, 30)
    file = write_tiff(tmp_path / "a.ome.tif", image, ome=True, metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_image([file], 4), image)


def test_a_stack_in_z_is_not_taken_for_channels(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.ome.tif", pixels(3, 20, 30), ome=True, metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match="one plane a channel"):
        read_image([file], 3)


def test_reduced_copies_of_a_page_are_not_channels(tmp_path: Path) -> None:
    file, image = tmp_path / "a.tif", pixels(40, 40)
    with tifffile.TiffWriter(file) as writer:
        writer.write(image, photometric="minisblack")
        writer.write(image[::2, ::2], photometric="minisblack", subfiletype=1)
    np.testing.assert_array_equal(read_image([file], 1), image[None])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(1, 4),
    rows=st.integers(1, 45),
    compression=st.sampled_from([None, "lzw", "deflate", "packbits"]),
    dtype=st.sampled_from(DTYPES),
)
def test_any_shape_and_strip_height_reads_back(
    tmp_path: Path, height: int, width: int, channels: int, rows: int, compression: str | None, dtype: str
) -> None:
    image = pixels(channels, height, width, dtype=dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for plane in image:
            writer.write(plane, photometric="minisblack", compression=compression, rowsperstrip=rows, metadata=None)
    np.testing.assert_array_equal(read_image([tmp_path / "a.tif"], channels), image)


def test_one_file_a_channel_is_stacked_in_the_order_given(tmp_path: Path) -> None:
    image = pixels(3, 11, 13)
    files = [write_tiff(tmp_path / f"{i}.tif", plane) for i, plane in enumerate(image)]
    np.testing.assert_array_equal(read_image(files[::-1], 3), image[::-1])


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


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_a_palette_mask_gives_its_indices(tmp_path: Path, suffix: str) -> None:
    image = palette_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"a.{suffix}"), image)


def palette_image(path: Path) -> np.ndarray:
    indices = RNG.integers(0, 3, (7, 9)).astype(np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 9, 255])
    picture.save(path)
    return indices


def test_the_colour_table_of_a_tiff_is_for_display_only(tmp_path: Path) -> None:
    indices, table = pixels(12, 12, dtype="uint8"), RNG.integers(0, 65535, (3, 256)).astype(np.uint16)
    file = write_tiff(tmp_path / "a.tif", indices, photometric="palette", colormap=table)
    np.testing.assert_array_equal(read_image([file], 1), indices[None])


def test_an_opaque_alpha_channel_is_dropped_and_a_real_one_is_an_error(tmp_path: Path) -> None:
    colours = pixels(6, 7, 3, dtype="uint8")
    Image.fromarray(np.dstack([colours, np.full((6, 7), 255, np.uint8)])).save(tmp_path / "opaque.png")
    Image.fromarray(np.dstack([colours, pixels(6, 7, dtype="uint8")])).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image([tmp_path / "opaque.png"], 3), np.moveaxis(colours, -1, 0))
    with pytest.raises(ImageError, match="expected 3 channels, found 4"):
        read_image([tmp_path / "alpha.png"], 3)


def test_three_equal_colours_are_one_grey_channel(tmp_path: Path) -> None:
    grey = pixels(6, 7, dtype="uint8")
    Image.fromarray(np.dstack([grey, grey, grey])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image([tmp_path / "a.png"], 1), grey[None])
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), grey)


def test_a_wrong_number_of_channels_is_told(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(3, 8, 8))
    with pytest.raises(ImageError, match=r"expected 4 channels, found 3 pages or colours in a\.tif"):
        read_image([file], 4)
    with pytest.raises(ImageError, match="found 2 files"):
        read_image([file, file], 4)


def test_channel_files_of_different_shapes_or_types_are_told(tmp_path: Path) -> None:
    first = write_tiff(tmp_path / "a.tif", pixels(8, 8))
    smaller = write_tiff(tmp_path / "b.tif", pixels(8, 7))
    other = write_tiff(tmp_path / "c.tif", pixels(8, 8, dtype="uint8"))
    with pytest.raises(ImageError, match=r"like a\.tif \(8 x 8 px, uint16\), found b\.tif \(8 x 7 px, uint16\)"):
        read_image([first, smaller], 2)
    with pytest.raises(ImageError, match=r"found c\.tif \(8 x 8 px, uint8\)"):
        read_image([first, other], 2)


def test_pages_of_different_shapes_are_told(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels(8, 8), photometric="minisblack")
        writer.write(pixels(8, 9), photometric="minisblack")
    with pytest.raises(ImageError, match="found page 1"):
        read_image([tmp_path / "a.tif"], 2)


def test_a_missing_file_a_folder_and_an_empty_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    with pytest.raises(ImageError, match=r"found none at .*gone"):
        read_image([tmp_path / "gone.tif"], 1)
    with pytest.raises(ImageError, match="found none at"):
        read_image([tmp_path], 1)
    with pytest.raises(ImageError, match="zero bytes"):
        read_image([tmp_path / "empty.tif"], 1)


def test_a_text_file_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("not an image, although it is called one")
    with pytest.raises(ImageError, match="expected a TIFF, PNG, JPEG or BMP"):
        read_image([tmp_path / "a.tif"], 1)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_tiff_never_gives_pixels(tmp_path: Path, compression: str | None, kept: float) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(2, 64, 64), compression=compression)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_image([file], 2)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_a_truncated_picture_never_gives_pixels(tmp_path: Path, suffix: str, kept: float) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels(64, 64, 3, dtype="uint8")).save(file)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_image([file], 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), compression=st.sampled_from([None, "lzw", "deflate"]))
def test_damaged_bytes_give_pixels_or_a_reason_and_nothing_else(
    tmp_path: Path, data: st.DataObject, compression: str | None
) -> None:
    file = write_tiff(
        tmp_path / "a.tif", np.arange(2 * 16 * 16, dtype=np.uint16).reshape(2, 16, 16), compression=compression
    )
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(raw)
    with contextlib.suppress(ImageError):
        assert read_image([file], 2).shape[0] == 2


def test_a_header_that_asks_for_too_much_memory_is_refused(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", np.zeros((16, 16), np.uint16), compression="deflate")
    with tifffile.TiffFile(file, mode="r+") as tif:
        tif.pages[0].tags["ImageWidth"].overwrite(2**31)
        tif.pages[0].tags["ImageLength"].overwrite(2**31)
        tif.pages[0].tags["RowsPerStrip"].overwrite(2**31)
    with pytest.raises(ImageError, match="GiB"):
        read_image([file], 1)


@pytest.mark.parametrize(
    "options", [{"rowsperstrip": 8}, {"rowsperstrip": 8, "compression": "lzw"}, {"tile": (16, 16)}]
)
def test_parts_that_were_never_written_are_told(tmp_path: Path, options: dict[str, Any]) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(32, 32), **options)
    with tifffile.TiffFile(file, mode="r+") as tif:
        page = tif.pages[0]
        names = ("TileOffsets", "TileByteCounts") if page.is_tiled else ("StripOffsets", "StripByteCounts")
        for name in names:
            values = page.tags[name].value
            page.tags[name].overwrite((*values[:-1], 0))
    with pytest.raises(ImageError, match="never written"):
        read_image([file], 1)


@pytest.mark.parametrize("options", [{"rowsperstrip": 8}, {"tile": (16, 16)}])
def test_a_page_larger_than_its_parts_is_told(tmp_path: Path, options: dict[str, Any]) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(32, 32), **options)
    with tifffile.TiffFile(file, mode="r+") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(1 << 20)
    with pytest.raises(ImageError, match=r"expected \d+ (tile|strip)s, found 4"):
        read_image([file], 1)


def test_strips_with_fewer_bytes_than_their_pixels_are_told(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(32, 32), rowsperstrip=32)
    with tifffile.TiffFile(file, mode="r+") as tif:
        tif.pages[0].tags["StripByteCounts"].overwrite(100)
    with pytest.raises(ImageError, match="expected 2048 bytes of pixels, found 100"):
        read_image([file], 1)


def test_jpeg_in_a_tiff_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    image = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    file = write_tiff(tmp_path / "a.tif", image, compression="jpeg", rowsperstrip=64)
    assert np.abs(read_image([file], 1)[0].astype(int) - image).max() < 8
    with tifffile.TiffFile(file, mode="r+") as tif:
        count = tif.pages[0].databytecounts[0]
        tif.pages[0].tags["StripByteCounts"].overwrite(count // 2)
    with pytest.raises(ImageError, match="expected whole JPEG data"):
        read_image([file], 1)


@pytest.mark.parametrize("kind", ["imagej", "shaped"])
def test_planes_behind_the_only_page_are_never_left_out_in_silence(tmp_path: Path, kind: str) -> None:
    options = {"imagej": True} if kind == "imagej" else {}
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels(5, 16, 16),
        truncate=True,
        photometric="minisblack",
        metadata={"axes": "ZYX"},
        **options,
    )
    with pytest.raises(ImageError, match="one page for 5 planes"):
        read_image([tmp_path / "a.tif"], 1)
    with pytest.raises(ImageError, match="one page for 5 planes"):
        read_pages(tmp_path / "a.tif")


def test_a_file_of_an_ome_set_of_several_files_is_its_own_plane(tmp_path: Path) -> None:
    """The metadata of each file tells of the planes of all."""
    image = pixels(2, 16, 16)
    sizes = 'SizeX="16" SizeY="16" SizeC="2" SizeZ="1" SizeT="1"'
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" {sizes}><TiffData/></Pixels></Image></OME>'
    )
    for c in range(2):
        write_tiff(tmp_path / f"{c}.ome.tif", image[c], description=xml, metadata=None)
    found = read_image([tmp_path / "0.ome.tif", tmp_path / "1.ome.tif"], 2)
    np.testing.assert_array_equal(found, image)


def test_several_positions_in_one_file_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(file, ome=True) as writer:
        for name in ("one", "two"):
            writer.write(pixels(2, 16, 16), photometric="minisblack", metadata={"axes": "CYX", "Name": name})
    with pytest.raises(ImageError, match=r"expected one image, found 2 of \(2, 16, 16\) \(positions\)"):
        read_image([file], 2)


def test_a_reason_is_the_same_in_each_run(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff no picture at all")
    with pytest.raises(ImageError) as first:
        read_image([tmp_path / "a.jpg"], 1)
    assert "0x" not in str(first.value)


@pytest.mark.parametrize("dtype", [bool, np.complex64, np.float64])
def test_pixel_types_that_the_store_does_not_hold_are_told(tmp_path: Path, dtype: type) -> None:
    file = write_tiff(tmp_path / "a.tif", np.ones((8, 8), dtype))
    with pytest.raises(ImageError, match=rf"expected pixels of type uint8.*found {np.dtype(dtype).name}"):
        read_image([file], 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_told_with_its_place(tmp_path: Path, bad: float) -> None:
    image = np.ones((2, 8, 9), np.float32)
    image[1, 3, 5] = bad
    file = write_tiff(tmp_path / "a.tif", image)
    with pytest.raises(ImageError, match=r"found 1 NaN or infinite ones .* channel 1 at y 3, x 5"):
        read_image([file], 2)


@pytest.mark.parametrize("name", ["a b.tif", "[x]{y}.tif", "it's $HOME.tif", 'quo"te.tif', "µ-日本.tif", "-n.tif"])
def test_any_file_name_can_be_read(tmp_path: Path, name: str) -> None:
    image = pixels(1, 8, 8)
    np.testing.assert_array_equal(read_image([write_tiff(tmp_path / name, image)], 1), image)


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
