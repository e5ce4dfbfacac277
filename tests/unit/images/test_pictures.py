from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests.helpers.images import RNG
from tests.helpers.picture_files import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, exif, png

from phenoloom.core.errors import ImageError
from phenoloom.images.choice import Choice
from phenoloom.images.formats import file_axes, read_file

LABELS = Choice(meaning="labels")


def save(folder: Path, data: bytes) -> Path:
    path = folder / "a"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("meaning", ["intensities", "labels", "stored"])
def test_a_grey_png_gives_the_numbers_that_it_stores(tmp_path: Path, bits: int, meaning: Any) -> None:
    stored = RNG.integers(0, 1 << bits, (9, 13))
    found, axes = read_file(save(tmp_path, png(stored, bits)), Choice(meaning=meaning))
    np.testing.assert_array_equal(found, stored[None])
    assert found.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert axes == [("S", 1)]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_grey_value_that_a_png_calls_transparent_is_alpha(tmp_path: Path, bits: int) -> None:
    stored = RNG.integers(0, 1 << min(bits, 3), (9, 13))
    found, axes = read_file(save(tmp_path, png(stored, bits, before=[(b"tRNS", struct.pack(">H", 0))])))
    np.testing.assert_array_equal(found[0], stored)
    np.testing.assert_array_equal(found[1] > 0, stored > 0)
    assert axes == [("SA", 2)]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_of_a_png_is_colours_in_an_image_and_indices_in_a_mask(tmp_path: Path, bits: int) -> None:
    stored = RNG.integers(0, 1 << min(bits, 4), (9, 13))
    palette = RNG.integers(0, 256, (1 << min(bits, 4), 3)).astype(np.uint8)
    for before in ([(b"PLTE", palette.tobytes())], [(b"PLTE", palette.tobytes()), (b"tRNS", b"\0")]):
        file = save(tmp_path, png(stored, bits, PALETTE, before))
        np.testing.assert_array_equal(read_file(file)[0][:3], np.moveaxis(palette[stored], -1, 0))
        np.testing.assert_array_equal(read_file(file, LABELS)[0], stored[None])


@pytest.mark.parametrize(("colours", "samples"), [(RGB, 3), (GREY_ALPHA, 2), (RGBA, 4)])
@pytest.mark.parametrize("bits", [8, 16])
def test_colours_and_alpha_of_a_png_are_planes(tmp_path: Path, colours: int, samples: int, bits: int) -> None:
    stored = RNG.integers(0, 1 << bits, (5, 6, samples))
    found, axes = read_file(save(tmp_path, png(stored, bits, colours)))
    np.testing.assert_array_equal(found, np.moveaxis(stored, -1, 0))
    assert axes == [("S" if samples == 3 else "SA", samples)]


def saved_by_pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", [*range(10), 300])
@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_png_is_turned_as_its_exif_says(tmp_path: Path, orientation: int, where: Any) -> None:
    stored = RNG.integers(0, 256, (5, 8, 3))
    data = png(stored, 8, RGB, **{where: [(b"eXIf", exif(orientation))]})
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(png(stored, 8, RGB, [(b"eXIf", exif(orientation))]))))
    np.testing.assert_array_equal(read_file(save(tmp_path, data))[0], np.moveaxis(np.asarray(expected), -1, 0))
    mask = png(stored[..., 0] % 4, 2, PALETTE, [(b"PLTE", bytes(12)), (b"eXIf", exif(orientation))])
    np.testing.assert_array_equal(read_file(save(tmp_path, mask), LABELS)[0][0], np.asarray(expected)[..., 0] % 4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_turned_as_its_exif_says(tmp_path: Path, orientation: int, mode: str) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (24, 40, 3)).astype(np.uint8)).convert(mode)
    data = saved_by_pillow(image, "JPEG", exif=b"Exif\0\0" + exif(orientation))
    expected = np.atleast_3d(np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))
    np.testing.assert_array_equal(read_file(save(tmp_path, data))[0], np.moveaxis(expected, -1, 0))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_that_cannot_be_read_says_nothing_about_the_orientation(tmp_path: Path) -> None:
    stored = RNG.integers(0, 256, (5, 8))
    file = save(tmp_path, png(stored, 8, before=[(b"eXIf", b"no exif at all")]))
    np.testing.assert_array_equal(read_file(file)[0][0], stored)
    data = saved_by_pillow(Image.fromarray(stored.astype(np.uint8)), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert read_file(save(tmp_path, data))[0].shape == (1, 5, 8)


def test_no_frame_of_an_animated_png_is_taken_in_silence(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 5), level, np.uint8)) for level in range(3)]
    file = save(tmp_path, saved_by_pillow(frames[0], "PNG", save_all=True, append_images=frames[1:]))
    for read in (read_file, file_axes):
        with pytest.raises(ImageError, match="expected one picture, found an animated PNG of 3 frames in a; save each"):
            read(file)
    one = png(np.ones((4, 5), int), 8, before=[(b"acTL", struct.pack(">II", 1, 0))])
    with pytest.raises(ImageError, match="found an animated PNG of 1 frames"):
        read_file(save(tmp_path, one))


def test_no_picture_of_a_jpeg_of_several_is_taken_in_silence(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (16, 24), colour) for colour in ("red", "blue")]
    file = save(tmp_path, saved_by_pillow(pictures[0], "MPO", save_all=True, append_images=pictures[1:]))
    with pytest.raises(ImageError, match=r"expected one picture, found 2 .MPO, a JPEG of several pictures"):
        read_file(file)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("between", [b"", b"\0\0\0", b"--boundary"])
def test_pictures_behind_a_jpeg_are_not_left_out_in_silence(
    tmp_path: Path, options: dict[str, Any], between: bytes
) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (24, 40, 3)).astype(np.uint8))
    data = saved_by_pillow(image, "JPEG", **options)
    for more in (1, 3):
        with pytest.raises(ImageError, match=rf"expected one picture, found {more} more behind the end of the first J"):
            read_file(save(tmp_path, between.join([data] * (more + 1))))
    for behind in (b"\0\0", b"a trailer of the camera", b"\xff\xd8\xff no picture"):
        assert read_file(save(tmp_path, data + behind))[0].shape == (3, 24, 40)


def test_a_thumbnail_in_the_metadata_of_a_jpeg_is_no_picture_behind_it(tmp_path: Path) -> None:
    thumbnail = saved_by_pillow(Image.new("RGB", (8, 8)), "JPEG")
    data = saved_by_pillow(Image.new("RGB", (16, 24)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 8 + len(thumbnail)) + b"other\0" + thumbnail
    assert read_file(save(tmp_path, data[:2] + segment + data[2:]))[0].shape == (3, 24, 16)


def test_a_picture_behind_a_png_is_not_left_out_in_silence(tmp_path: Path) -> None:
    data = png(np.ones((4, 5), int), 8)
    with pytest.raises(ImageError, match="expected one picture, found 1 more behind the end of the first PNG in a; sa"):
        read_file(save(tmp_path, data * 2))
    assert read_file(save(tmp_path, data + b"a trailer"))[0].shape == (1, 4, 5)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_usual_kind_of_jpeg_reads_as_by_libjpeg(tmp_path: Path, options: dict[str, Any], mode: str) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (24, 40, 3)).astype(np.uint8)).convert(mode)
    data = saved_by_pillow(image, "JPEG", **options)
    other = np.atleast_3d(imagecodecs.jpeg_decode(data))
    np.testing.assert_array_equal(read_file(save(tmp_path, data))[0], np.moveaxis(other, -1, 0))


def test_jpegs_of_inks_of_many_bits_or_of_another_kind_are_refused_by_name(tmp_path: Path) -> None:
    grey = RNG.integers(0, 256, (24, 40)).astype(np.uint8)
    inks = saved_by_pillow(Image.fromarray(np.dstack([grey] * 3)).convert("CMYK"), "JPEG")
    with pytest.raises(ImageError, match="expected a grey or RGB picture, found a JPEG of 4 colours"):
        read_file(save(tmp_path, inks))
    twelve = imagecodecs.jpeg_encode(grey.astype(np.uint16), bitspersample=12)
    with pytest.raises(ImageError, match=r"expected a JPEG of 8 bits a colour, found 12 bits \(extended\)"):
        read_file(save(tmp_path, twelve))
    with pytest.raises(ImageError, match=r"found 8 bits \(JPEG-LS\)"):
        read_file(save(tmp_path, imagecodecs.jpegls_encode(grey)))
    with pytest.raises(ImageError, match=r"found 16 bits \(lossless\)"):
        read_file(save(tmp_path, imagecodecs.ljpeg_encode(grey.astype(np.uint16), bitspersample=16)))


def test_a_lossless_jpeg_of_8_bits_is_read(tmp_path: Path) -> None:
    grey = RNG.integers(0, 256, (24, 40)).astype(np.uint8)
    np.testing.assert_array_equal(read_file(save(tmp_path, imagecodecs.jpeg_encode(grey, lossless=True)))[0][0], grey)


def test_a_large_picture_is_no_attack(tmp_path: Path) -> None:
    image = Image.new("P", (100_000, 1800))
    image.putpalette(bytes(6))
    image.putpixel((99_000, 7), 1)
    found = read_file(save(tmp_path, saved_by_pillow(image, "PNG", compress_level=1)), LABELS)[0]
    assert found.shape == (1, 1800, 100_000)
    assert found[0, 7, 99_000] == found.max() == 1
    header = struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 8, GREY, 0, 0, 0)
    with pytest.raises(ImageError, match="expected a picture below 4 GiB"):
        read_file(save(tmp_path, png(np.ones((2, 2), int), 8).replace(png(np.ones((2, 2), int), 8)[16:29], header)))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["PNG", "JPEG", "progressive", "BMP", "palette"]), kept=st.floats(0, 1, exclude_max=True))
def test_a_picture_that_is_cut_anywhere_gives_all_its_pixels_or_a_reason(
    tmp_path: Path, kind: str, kept: float
) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 30, 3)).astype(np.uint8))
    if kind == "palette":
        whole = saved_by_pillow(image.quantize(16), "BMP")
    elif kind == "progressive":
        whole = saved_by_pillow(image, "JPEG", progressive=True)
    else:
        whole = saved_by_pillow(image, kind)
    expected = read_file(save(tmp_path, whole))[0]
    with contextlib.suppress(ImageError):
        np.testing.assert_array_equal(read_file(save(tmp_path, whole[: int(kept * len(whole))]))[0], expected)
