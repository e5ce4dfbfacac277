"""What the pixels of one page mean, for every kind of page that the TIFF specification and its readers know."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests.helpers.tiff_files import COMPRESSIONS, TiffFile

from phenoloom.core.errors import ImageError
from phenoloom.images.choice import Choice
from phenoloom.images.formats import read_file
from phenoloom.images.tiff.file import read_tiff

RNG = np.random.default_rng(0)
TYPES = [*((f"{kind}{size}", 0) for kind in "ui" for size in (1, 2, 4, 8)), ("f2", 0), ("f4", 0), ("f8", 0)]
PACKED = [("b1", 1), ("u1", 2), ("u1", 4), ("u1", 7), ("u2", 10), ("u2", 12), ("u4", 20)]
WITH_PREDICTOR = ("lzw", "deflate", "old deflate", "lzma", "zstd")
LAYOUTS = list(itertools.product((False, True), (False, True), (3, 1 << 31, (16, 32)), (1, 3)))
"""BigTIFF or not, colours apart or together, rows of a strip or a tile, number of colours."""


def samples(kind: str, bits: int, colours: int, height: int = 7, width: int = 21) -> np.ndarray:
    """Samples (colours, h, w) of every value: random bits, or a ramp with plateaus for floating-point numbers."""
    dtype, shape = np.dtype(kind), (colours, height, width)
    if dtype.kind == "f":
        return np.round(np.linspace(-40, 60, int(np.prod(shape))).reshape(shape)).astype(dtype) / 4
    if dtype.kind == "b":
        return RNG.random(shape) < 0.5
    values = RNG.integers(0, 256, (colours, height, width * dtype.itemsize), dtype=np.uint8).view(dtype)
    return values & dtype.type((1 << bits) - 1) if bits else values


def read(file: TiffFile | bytes, meaning: Any = "intensities") -> np.ndarray:
    return read_tiff(io.BytesIO(file if isinstance(file, bytes) else file.write()), "a.tif", Choice(meaning=meaning))[0]


def is_refused(kind: str, bits: int, compression: str, predictor: int) -> bool:
    """Whether libtiff refuses a predictor, or readers differ in whether it counts."""
    if predictor == 1:
        return False
    if compression not in WITH_PREDICTOR or bits:
        return True
    return predictor == 3 and kind[0] != "f"


@pytest.mark.parametrize(("kind", "bits"), [*TYPES, *PACKED])
def test_every_compression_predictor_and_order_of_bytes_gives_the_samples_that_were_stored(
    kind: str, bits: int
) -> None:
    layouts = itertools.cycle(LAYOUTS)
    for order, compression, predictor in itertools.product("<>", COMPRESSIONS, (1, 2, 3)):
        for big, planar, part, colours in itertools.islice(layouts, 3):
            stored = samples(kind, bits, colours)
            file = TiffFile(stored, bits, order, big, compression, predictor, planar, part)
            if is_refused(kind, bits, compression, predictor):
                with pytest.raises(ImageError, match=rf"found predictor {predictor}"):
                    read(file)
            else:
                found = read(file)
                np.testing.assert_array_equal(found, stored, str(file)[-120:])
                assert found.dtype == (np.uint8 if stored.dtype == bool else stored.dtype)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from([*TYPES, *PACKED]),
    compression=st.sampled_from(list(COMPRESSIONS)),
    order=st.sampled_from("<>"),
    big=st.booleans(),
    predictor=st.sampled_from([1, 2, 3]),
    planar=st.booleans(),
    part=st.sampled_from([1, 4, 100, (16, 16), (32, 16)]),
    shape=st.tuples(st.sampled_from([1, 2, 3, 5]), st.integers(1, 20), st.integers(1, 40)),
    reversed_bits=st.booleans(),
)
def test_pages_read_as_by_tifffile(
    kind: tuple[str, int],
    compression: str,
    order: str,
    big: bool,
    predictor: int,
    planar: bool,
    part: Any,
    shape: tuple[int, int, int],
    reversed_bits: bool,
) -> None:
    assume(not is_refused(*kind, compression, predictor))
    stored = samples(*kind, *shape)
    file = TiffFile(stored, kind[1], order, big, compression, predictor, planar, part, reversed_bits=reversed_bits)
    np.testing.assert_array_equal(read(file), stored)
    with tifffile.TiffFile(io.BytesIO(file.write())) as tif:
        other = tif.pages[0].asarray(squeeze=False)  # Colours apart, depth, height, width, colours together.
    np.testing.assert_array_equal(stored[:, None], other[..., 0] if planar else np.moveaxis(other[0], -1, 0))


@pytest.mark.parametrize("reader", ["Pillow", "OpenCV"])
@pytest.mark.parametrize(("kind", "bits"), [("u1", 0), ("u2", 0), ("f4", 0), ("b1", 1)])
def test_pages_read_as_by_libtiff(kind: str, bits: int, reader: str) -> None:
    compared = 0
    for compression, predictor, part in itertools.product(COMPRESSIONS, (1, 2, 3), (4, 1 << 31, (16, 16))):
        if is_refused(kind, bits, compression, predictor):
            continue
        stored = samples(kind, bits, 1)
        data = TiffFile(stored, bits, compression=compression, predictor=predictor, part=part).write()
        other = by_pillow(data) if reader == "Pillow" else by_opencv(data)
        if other is not None:
            np.testing.assert_array_equal(read(data)[0] > 0 if bits else read(data)[0], other > 0 if bits else other)
            compared += 1
    assert compared >= 9


def by_pillow(data: bytes) -> np.ndarray | None:
    """Read by the libtiff of Pillow, which knows some types and layouts."""
    try:
        return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    except OSError:
        return None


def by_opencv(data: bytes) -> np.ndarray | None:
    """Read by the libtiff of OpenCV, which lacks some compressions."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_some_readers_ignore_a_predictor_without_its_compressions_so_it_is_refused(kind: str) -> None:
    file = TiffFile(samples(kind, 0, 1), compression="packbits", predictor=2)
    with pytest.raises(ImageError, match=r"predictor 2 with compression 32773 .* save it again without a predictor"):
        read(file)
    assert not np.array_equal(by_pillow(file.write()), tifffile.imread(io.BytesIO(file.write())))


@pytest.mark.parametrize("compression", list(COMPRESSIONS))
@pytest.mark.parametrize("part", [16, 64, (32, 32)])
@pytest.mark.parametrize("tail", [b"", b"\0\0", b"padding"])
def test_rows_below_the_image_and_bytes_behind_the_data_are_no_damage(compression: str, part: Any, tail: bytes) -> None:
    stored = samples("u2", 0, 1, 41, 24)
    file = TiffFile(stored, compression=compression, part=part, padded=True, tail=tail)
    np.testing.assert_array_equal(read(file), stored)


@pytest.mark.parametrize("compression", list(COMPRESSIONS))
@pytest.mark.parametrize("planar", [False, True])
def test_byte_counts_may_be_missing_or_zero_where_each_plane_is_one_strip(compression: str, planar: bool) -> None:
    stored = samples("u2", 0, 3 if planar else 1)
    file = TiffFile(stored, compression=compression, planar=planar)
    np.testing.assert_array_equal(read(replace(file, tags={279: None})), stored)
    if not planar:
        np.testing.assert_array_equal(read(replace(file, tags={279: 0})), stored)
        tile = replace(file, part=(16, 32))
        np.testing.assert_array_equal(read(replace(tile, tags={325: None})), stored)
    with pytest.raises(ImageError, match=r"expected the byte counts of \d+ strips, found 1"):
        read(replace(file, part=2, tags={279: None}))


@pytest.mark.parametrize("directory_first", [False, True])
def test_the_only_strip_without_compression_has_the_bytes_of_its_pixels_whatever_its_byte_count(
    directory_first: bool,
) -> None:
    stored = samples("u2", 0, 1)
    for count in (0, 1, stored.nbytes - 1, stored.nbytes + 1, 1 << 20):
        file = TiffFile(stored, directory_first=directory_first, tags={279: count})
        np.testing.assert_array_equal(read(file), stored)
        for other in (by_pillow(file.write()), tifffile.imread(io.BytesIO(file.write()))):
            np.testing.assert_array_equal(other, stored[0])
    tile = TiffFile(stored, part=(16, 32), tags={325: 100})
    with pytest.raises(ImageError, match="expected 448 bytes of pixels, found 100"):
        read(tile)


def test_pixels_that_would_reach_over_the_directory_are_missing() -> None:
    stored = samples("u2", 0, 1)
    for count in (0, 20, None):
        with pytest.raises(ImageError, match=r"expected 420 bytes of pixels, found the directory .* after 294 of them"):
            read(TiffFile(stored, tags={257: 10, 279: count}))


def test_one_bit_and_packed_strips_need_no_byte_count_either() -> None:
    for kind, bits in PACKED:
        stored = samples(kind, bits, 1)
        np.testing.assert_array_equal(read(TiffFile(stored, bits, tags={279: None})), stored)


@pytest.mark.parametrize("tags", [{278: None}, {278: 0xFFFFFFFF}, {278: 1000}, {339: None}, {277: None}, {284: None}])
def test_tags_with_a_default_may_be_missing(tags: dict[int, Any]) -> None:
    stored = samples("u2", 0, 1)
    np.testing.assert_array_equal(read(TiffFile(stored, tags=tags)), stored)


@pytest.mark.parametrize("compression", ["none", "lzw"])
@pytest.mark.parametrize("unwritten", [{273: [0, 300, 400]}, {279: [10, 0, 10]}, {273: [0, 0, 0], 279: [0, 0, 0]}])
def test_strips_that_lie_nowhere_were_never_written(compression: str, unwritten: dict[int, Any]) -> None:
    with pytest.raises(ImageError, match=r"expected pixels in each strip, found strip [01] never written"):
        read(TiffFile(samples("u2", 0, 1), compression=compression, part=3, tags=unwritten))


@pytest.mark.parametrize("options", [{}, {"tile": (2, 16, 16)}, {"rowsperstrip": 5}])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("predictor", [False, True])
def test_the_depths_of_a_page_are_planes(options: dict[str, Any], compression: str | None, predictor: bool) -> None:
    stored, buffer = samples("u2", 0, 5), io.BytesIO()
    options = {**options, "compression": compression, "predictor": predictor and compression is not None}
    tifffile.imwrite(buffer, stored, photometric="minisblack", volumetric=True, metadata=None, **options)
    np.testing.assert_array_equal(read(buffer.getvalue()), stored)


@pytest.mark.parametrize("order", ["<", ">"])
def test_floating_point_numbers_of_24_bits_are_read(order: Any) -> None:
    values = np.arange(24, dtype=np.float32).reshape(1, 4, 6) / 4
    packed = np.frombuffer(imagecodecs.float24_encode(values, byteorder=order), np.uint8).reshape(1, 4, 18)
    np.testing.assert_array_equal(read(TiffFile(packed, order=order, tags={256: 6, 258: 24, 339: 3})), values)


def test_a_byte_count_may_reach_behind_the_file_if_the_data_is_whole() -> None:
    for compression in ("lzw", "deflate", "zstd", "packbits", "lzma", "none"):
        stored = samples("u2", 0, 1)
        file = TiffFile(stored, compression=compression, tags={279: 1 << 20})
        np.testing.assert_array_equal(read(file), stored)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    compression=st.sampled_from(list(COMPRESSIONS)),
    kind=st.sampled_from([("u2", 0), ("b1", 1), ("f4", 0)]),
    part=st.sampled_from([3, 100, (16, 16)]),
    directory_first=st.booleans(),
    kept=st.floats(0, 1, exclude_max=True),
)
def test_a_file_that_is_cut_anywhere_gives_all_its_pixels_or_a_reason(
    tmp_path: Path, compression: str, kind: tuple[str, int], part: Any, directory_first: bool, kept: float
) -> None:
    stored = samples(*kind, 1)
    file = TiffFile(stored, kind[1], compression=compression, part=part, directory_first=directory_first)
    whole = file.write()
    (tmp_path / "a.tif").write_bytes(whole[: int(kept * len(whole))])
    with contextlib.suppress(ImageError):
        np.testing.assert_array_equal(read_file(tmp_path / "a.tif")[0], stored)


def seen(stored: np.ndarray, orientation: int) -> np.ndarray:
    """What a page (h, w) looks like, from where its first row and its first column are seen."""
    return {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: stored.T[:, ::-1],
        7: stored.T[::-1, ::-1],
        8: stored.T[::-1],
    }.get(orientation, stored)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("part", [3, (16, 16)])
@pytest.mark.parametrize("colours", [1, 3])
def test_pages_are_turned_as_their_orientation_says(orientation: int, part: Any, colours: int) -> None:
    stored = samples("u1", 0, colours, 6, 11)
    file = TiffFile(stored, compression="lzw", part=part, tags={274: orientation})
    found = read(file)
    np.testing.assert_array_equal(found, [seen(plane, orientation) for plane in stored])
    other = by_pillow(file.write())
    assert other is not None
    np.testing.assert_array_equal(found, other[None] if colours == 1 else np.moveaxis(other, -1, 0))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("reversed_bits", [False, True])
@pytest.mark.parametrize("compression", list(COMPRESSIONS))
def test_white_is_one_in_a_page_of_one_bit_whichever_number_stands_for_it(
    compression: str, reversed_bits: bool, orientation: int
) -> None:
    white = samples("b1", 1, 1)
    for photometric, stored in ((0, ~white), (1, white)):
        file = TiffFile(
            stored, 1, compression=compression, reversed_bits=reversed_bits, tags={262: photometric, 274: orientation}
        )
        for meaning in ("intensities", "labels", "stored"):
            found = read(file, meaning)[0]
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, seen(white[0], orientation))
        other = by_pillow(file.write())
        assert other is not None
        np.testing.assert_array_equal(read(file)[0], other)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_white_is_one_in_a_fax(compression: str, photometric: int) -> None:
    white, buffer = samples("b1", 1, 1, 41, 24)[0], io.BytesIO()
    Image.fromarray(white).save(buffer, "TIFF", compression=compression, tiffinfo={262: photometric})
    np.testing.assert_array_equal(read(buffer.getvalue(), "labels")[0], white)


@pytest.mark.parametrize(("kind", "bits"), [("u1", 0), ("u2", 0), ("u4", 0), ("u1", 4), ("u2", 12)])
def test_intensities_of_which_zero_is_white_are_complements_and_labels_are_refused(kind: str, bits: int) -> None:
    stored = samples(kind, bits, 1)
    file = TiffFile(stored, bits, tags={262: 0})
    most = (1 << (bits or 8 * stored.itemsize)) - 1
    np.testing.assert_array_equal(read(file), most - stored)
    np.testing.assert_array_equal(read(file, "stored"), stored)
    with pytest.raises(ImageError, match=r"in which zero is white .* list .* in `source.masks.values`"):
        read(file, "labels")


@pytest.mark.parametrize(
    ("tags", "colours", "reason"),
    [
        ({262: 5}, 4, "expected grey, RGB or a palette, found SEPARATED pixels"),
        ({262: 6}, 3, "found YCBCR pixels"),
        ({277: None}, 3, "expected 3 samples a pixel for RGB, found 1"),
        ({262: 8}, 3, "found CIELAB pixels"),
        ({262: 32803}, 1, "found CFA pixels"),
        ({262: 60000}, 1, "found PhotometricInterpretation 60000 pixels"),
        ({262: 0}, 2, r"found that zero is white \(WhiteIsZero\) with 2 samples"),
        ({258: [8, 8, 4]}, 3, "expected colours of equally many bits, found 8, 8, 4 bits"),
        ({339: 5}, 1, "expected whole or real numbers as pixels, found 8 bits of type COMPLEXINT"),
        ({339: 77}, 1, "found 8 bits of type SampleFormat 77"),
        ({339: [1, 2, 1]}, 3, "expected one SampleFormat for all samples of a pixel"),
        ({259: 34676}, 1, r"expected compression none, LZW, .* found compression 34676 \(SGILOG\)"),
        ({259: 6}, 1, r"found compression 6 \(OJPEG\)"),
        ({259: 4711}, 1, "found compression 4711 in"),
        ({259: 5, 317: 34892}, 1, "found predictor 34892"),
    ],
)
def test_pixels_that_are_no_intensities_or_cannot_be_read_are_refused_by_name(
    tags: dict[int, Any], colours: int, reason: str
) -> None:
    with pytest.raises(ImageError, match=reason):
        read(TiffFile(samples("u1", 0, colours), tags=tags))


def test_one_bit_without_a_word_on_what_is_white_is_refused() -> None:
    with pytest.raises(ImageError, match="expected PhotometricInterpretation to say whether 0 is black or white"):
        read(TiffFile(samples("b1", 1, 1), 1, tags={262: None}))
    stored = samples("u2", 0, 1)
    np.testing.assert_array_equal(read(TiffFile(stored, tags={262: None})), stored)


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "png", "webp", "jpegxl", "lerc"])
@pytest.mark.parametrize("options", [{}, {"tile": (32, 32)}])
def test_pictures_in_strips_or_tiles_are_whole_or_refused(
    tmp_path: Path, compression: str, options: dict[str, Any]
) -> None:
    picture, file = np.moveaxis(samples("u1", 0, 3, 40, 50), 0, -1), tmp_path / "a.tif"
    tifffile.imwrite(file, picture, photometric="rgb", compression=compression, metadata=None, **options)
    whole = file.read_bytes()
    expected = np.moveaxis(tifffile.imread(file), -1, 0)
    np.testing.assert_array_equal(read_file(file)[0], expected)
    for kept in range(len(whole) - 60, len(whole), 7):
        file.write_bytes(whole[:kept])
        with contextlib.suppress(ImageError):
            np.testing.assert_array_equal(read_file(file)[0], expected)


def ndpi(picture: np.ndarray) -> bytes:
    """A slide of NDPI: one strip of JPEG whose rows of blocks are listed as tiles, with offsets of 64 bits."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", restart_marker_rows=1, quality=95)
    jpeg, (height, width) = buffer.getvalue(), picture.shape
    scan = jpeg.index(b"\xff\xda")
    starts = [scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4])]
    starts += [found.end() for found in re.finditer(rb"\xff[\xd0-\xd7]", jpeg)]
    make, at = b"Hamamatsu\0", 12 + len(jpeg)
    behind = make + struct.pack(f"<{len(starts)}I", *starts)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 7), (262, 3, 1, 1)]
    tags += [(271, 2, len(make), at), (273, 4, 1, 12), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(jpeg))]
    tags += [(65420, 4, 1, 1), (65426, 4, len(starts), at + len(make))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory += bytes(8 + 4 * len(tags))
    return struct.pack("<2sHQ", b"II", 42, at + len(behind)) + jpeg + behind + directory


def test_the_tiles_of_a_slide_of_ndpi_are_pieces_of_one_jpeg(tmp_path: Path) -> None:
    slope = np.add.outer(np.arange(40), np.arange(64)).astype(np.uint8)
    file = tmp_path / "a.ndpi"
    file.write_bytes(ndpi(slope))
    assert np.abs(read_file(file)[0][0].astype(int) - slope).max() < 8
    file.write_bytes(ndpi(slope).replace(b"\xff\xd9", b"\0\0"))
    with pytest.raises(ImageError, match="expected whole JPEG data, found part 4"):
        read_file(file)
