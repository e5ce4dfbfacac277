from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers.images import PIXEL_TYPES, RNG, pixels, read_image, write_tiff

from phenoloom.core.errors import ImageError
from phenoloom.images.formats import file_axes


@pytest.mark.parametrize("dtype", PIXEL_TYPES)
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
    dtype=st.sampled_from(PIXEL_TYPES),
)
def test_any_shape_and_strip_height_reads_back(
    tmp_path: Path, height: int, width: int, channels: int, rows: int, compression: str | None, dtype: str
) -> None:
    image = pixels(channels, height, width, dtype=dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for plane in image:
            writer.write(plane, photometric="minisblack", compression=compression, rowsperstrip=rows, metadata=None)
    np.testing.assert_array_equal(read_image([tmp_path / "a.tif"], channels), image)


def test_the_colour_table_of_a_tiff_is_for_display_only(tmp_path: Path) -> None:
    indices, table = pixels(12, 12, dtype="uint8"), RNG.integers(0, 65535, (3, 256)).astype(np.uint16)
    file = write_tiff(tmp_path / "a.tif", indices, photometric="palette", colormap=table)
    np.testing.assert_array_equal(read_image([file], 1), indices[None])


def test_pages_of_different_shapes_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels(8, 8), photometric="minisblack")
        writer.write(pixels(8, 9), photometric="minisblack")
    with pytest.raises(ImageError, match=r"0 \(page 0, 8 x 8 px uint16\), 1 \(page 1, 8 x 9 .* `source\.image` which"):
        read_image([tmp_path / "a.tif"], 2)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_tiff_never_gives_pixels(tmp_path: Path, compression: str | None, kept: float) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(2, 64, 64), compression=compression)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_image([file], 2)


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
def test_parts_that_were_never_written_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
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
def test_a_page_larger_than_its_parts_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(32, 32), **options)
    with tifffile.TiffFile(file, mode="r+") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(1 << 20)
    with pytest.raises(ImageError, match=r"expected \d+ (tile|strip)s, found 4"):
        read_image([file], 1)


def test_strips_with_fewer_bytes_than_their_pixels_are_refused(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(32, 32), rowsperstrip=16)
    with tifffile.TiffFile(file, mode="r+") as tif:
        tif.pages[0].tags["StripByteCounts"].overwrite((100, 1024))
    with pytest.raises(ImageError, match="expected 2048 bytes of pixels, found 1124"):
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
        file_axes(tmp_path / "a.tif")


def test_several_positions_in_one_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(file, ome=True) as writer:
        for name in ("one", "two"):
            writer.write(pixels(2, 16, 16), photometric="minisblack", metadata={"axes": "CYX", "Name": name})
    with pytest.raises(
        ImageError, match=r"expected one image, found 2 in a\.ome\.tif: 0 'one' \(pages 0-1, 16 x 16.*`source\.image`"
    ):
        read_image([file], 2)


def with_strips(path: Path, image: np.ndarray, rows: int, encode: Callable[[bytes], bytes], **tags: Any) -> Path:
    """Write a TIFF of one page whose strips all hold `rows` rows, the last one too; `encode` makes their bytes."""
    padded = np.pad(image, ((0, -len(image) % rows), (0, 0)), constant_values=7)
    strips = [encode(padded[top : top + rows].tobytes()) for top in range(0, len(padded), rows)]
    write_tiff(path, image, rowsperstrip=rows, metadata=None, **tags)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path, mode="r+") as tif:
        offsets = np.cumsum([len(data), *map(len, strips[:-1])]).tolist()
        tif.pages[0].tags["StripOffsets"].overwrite(offsets)
        tif.pages[0].tags["StripByteCounts"].overwrite([len(strip) for strip in strips])
    with path.open("ab") as file:
        file.write(b"".join(strips))
    return path


CODECS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "deflate": imagecodecs.deflate_encode,
    "lzw": imagecodecs.lzw_encode,
    "packbits": imagecodecs.packbits_encode,
    "zstd": imagecodecs.zstd_encode,
}


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_a_last_strip_that_is_padded_to_its_rows_is_read_as_far_as_the_image_goes(
    tmp_path: Path, compression: str | None
) -> None:
    image = pixels(41, 24)
    file = with_strips(tmp_path / "a.tif", image, 16, CODECS[compression], compression=compression)
    np.testing.assert_array_equal(read_image([file], 1)[0], image)


@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
def test_bytes_behind_the_data_of_a_strip_are_no_damage(tmp_path: Path, compression: str | None) -> None:
    image = pixels(48, 24)
    encode = CODECS[compression]
    file = with_strips(tmp_path / "a.tif", image, 16, lambda rows: encode(rows) + b"\0\0", compression=compression)
    np.testing.assert_array_equal(read_image([file], 1)[0], image)


@pytest.mark.parametrize("compression", ["deflate", "lzw", "packbits", "zstd"])
def test_a_strip_of_too_few_rows_is_damage(tmp_path: Path, compression: str) -> None:
    encode = CODECS[compression]
    file = with_strips(
        tmp_path / "a.tif", pixels(48, 24), 16, lambda rows: encode(rows[: len(rows) // 2]), compression=compression
    )
    with pytest.raises(ImageError, match=r"damaged or truncated file: a\.tif"):
        read_image([file], 1)
