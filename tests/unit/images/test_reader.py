from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.helpers.images import pixels, ramp, read_image, write_tiff
from tests.helpers.tiff_files import TiffFile

from phenoloom.config.planes import Planes
from phenoloom.core.errors import ImageError
from phenoloom.images.labels import read_mask
from phenoloom.images.reader import ImageFiles, Reader


def test_one_file_a_channel_is_stacked_in_the_order_given(tmp_path: Path) -> None:
    image = pixels(3, 11, 13)
    files = [write_tiff(tmp_path / f"{i}.tif", plane) for i, plane in enumerate(image)]
    np.testing.assert_array_equal(read_image(files[::-1], 3), image[::-1])


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


def test_a_wrong_number_of_channels_is_refused(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", pixels(3, 8, 8))
    with pytest.raises(ImageError, match=r"expected 4 channels, found 3 pages or colours in a\.tif"):
        read_image([file], 4)
    with pytest.raises(ImageError, match="found 2 files"):
        read_image([file, file], 4)


def test_channel_files_of_different_shapes_or_types_are_refused(tmp_path: Path) -> None:
    first = write_tiff(tmp_path / "a.tif", pixels(8, 8))
    smaller = write_tiff(tmp_path / "b.tif", pixels(8, 7))
    other = write_tiff(tmp_path / "c.tif", pixels(8, 8, dtype="uint8"))
    with pytest.raises(ImageError, match=r"like a\.tif \(8 x 8 px, uint16\), found b\.tif \(8 x 7 px, uint16\)"):
        read_image([first, smaller], 2)
    with pytest.raises(ImageError, match=r"found c\.tif \(8 x 8 px, uint8\)"):
        read_image([first, other], 2)


def test_a_stack_in_z_is_not_taken_for_channels(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.ome.tif", pixels(3, 20, 30), ome=True, metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match="one plane a channel"):
        read_image([file], 3)


def test_a_file_of_an_ome_set_of_several_files_is_its_own_plane(tmp_path: Path) -> None:
    """The metadata of each file describes the planes of all files."""
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


def test_complex_numbers_are_no_pixels(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", np.ones((8, 8), np.complex64))
    with pytest.raises(ImageError, match=r"expected whole or real numbers .* found 64 bits of type COMPLEXIEEEFP"):
        read_image([file], 1)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_pixel_types_that_the_store_does_not_hold_are_refused(tmp_path: Path, dtype: type) -> None:
    file = write_tiff(tmp_path / "a.tif", np.ones((8, 8), dtype))
    with pytest.raises(ImageError, match=rf"expected pixels of type uint8.*found {np.dtype(dtype).name}"):
        read_image([file], 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_refused_with_its_place(tmp_path: Path, bad: float) -> None:
    image = np.ones((2, 8, 9), np.float32)
    image[1, 3, 5] = bad
    file = write_tiff(tmp_path / "a.tif", image)
    with pytest.raises(ImageError, match=r"found 1 NaN or infinite ones .* channel 1 at y 3, x 5"):
        read_image([file], 2)


@pytest.mark.parametrize("axes", ["TZCYX", "ZCTYX", "CTZYX"])
def test_planes_of_an_ome_tiff_are_found_by_its_axes(axes: str, tmp_path: Path) -> None:
    stack = ramp(2, 3, 4, 5, 6)
    order = [("TZCYX").index(axis) for axis in axes]
    file = tmp_path / "a.ome.tif"
    tifffile.imwrite(file, stack.transpose(order), photometric="minisblack", metadata={"axes": axes})
    assert np.array_equal(Reader(4, Planes(z="max", t="last")).read_stack(ImageFiles([file])), stack)
    assert np.array_equal(Reader(4, Planes(z="max", t="last")).read(ImageFiles([file])), stack[1, 2])
    assert np.array_equal(Reader(4, Planes(z="all", t="all")).read(ImageFiles([file], plane=(1, 0))), stack[1, 0])
    with pytest.raises(ImageError, match=r"one plane a channel, found \d along .*; say in `source\.planes`"):
        read_image([file], 4)


def test_an_imagej_stack_is_no_silent_set_of_channels(tmp_path: Path) -> None:
    stack = ramp(3, 2, 5, 6)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack, imagej=True, metadata={"axes": "ZCYX"})
    assert np.array_equal(Reader(2, Planes(z="last")).read(ImageFiles([file])), stack[2])
    plain = tmp_path / "b.tif"
    tifffile.imwrite(plain, stack[:, 0], imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match=r"found 3 along Z in b\.tif"):
        read_image([plain], 3)
    # Where somebody saved channels as slices, the study can say so.
    assert np.array_equal(Reader(3, Planes(axes="C")).read(ImageFiles([plain])), stack[:, 0])


@pytest.mark.parametrize(("axes", "order"), [("ZC", (0, 1)), ("CZ", (1, 0))])
def test_pages_that_state_no_axes_are_read_along_those_of_the_study(
    axes: str, order: tuple[int, int], tmp_path: Path
) -> None:
    stack = ramp(3, 2, 5, 6)
    file = tmp_path / "a.tif"
    with tifffile.TiffWriter(file) as writer:
        for page in stack.transpose(*order, 2, 3).reshape(-1, 5, 6):
            writer.write(page, photometric="minisblack", metadata=None)
    assert np.array_equal(Reader(2, Planes(z="first", axes=axes)).read(ImageFiles([file])), stack[0])
    with pytest.raises(ImageError, match="expected pages of 4 channels along"):
        Reader(4, Planes(z="first", axes=axes)).read(ImageFiles([file]))


def test_axes_that_pages_cannot_have_are_refused() -> None:
    for axes, sentence in (("ZT", "use OME-TIFF"), ("ZZ", "each axis once"), ("Z", "`z` must say")):
        with pytest.raises(ValueError, match=sentence):
            Planes(axes=axes, t="first")


def test_stacks_of_one_file_a_channel_must_agree(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.ome.tif" for name in "ab"]
    for number, file in enumerate(files):
        tifffile.imwrite(file, ramp(3, 5, 6) + number, photometric="minisblack", metadata={"axes": "ZYX"})
    found = Reader(2, Planes(z="last")).read(ImageFiles(files))
    assert np.array_equal(found, np.stack([ramp(3, 5, 6)[2], ramp(3, 5, 6)[2] + 1]))
    tifffile.imwrite(files[1], ramp(4, 5, 6), photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match=r"like a\.ome\.tif \(3 focal planes, .* found b\.ome\.tif \(4 focal"):
        Reader(2, Planes(z="last")).read(ImageFiles(files))


@pytest.mark.parametrize("axes", ["ZCYX", "TZYX", "CZYX"])
def test_planes_are_counted_without_reading_a_pixel(axes: str, tmp_path: Path) -> None:
    file, shape = tmp_path / "a.ome.tif", (2, 3, 16, 16)
    tifffile.imwrite(file, ramp(*shape), photometric="minisblack", compression="zlib", metadata={"axes": axes})
    planes, channels = Planes(z="all", t="all"), dict(zip(axes, shape, strict=True)).get("C", 1)
    expected = Reader(channels, planes).read_stack(ImageFiles([file])).shape[:2]
    with tifffile.TiffFile(file) as tif:
        strips = [(page.dataoffsets[0], page.databytecounts[0]) for page in tif.pages]
    with file.open("r+b") as opened:
        for offset, count in strips:
            opened.seek(offset)
            opened.write(bytes(count))
    with pytest.raises(ImageError, match="damaged"):
        Reader(channels, planes).read_stack(ImageFiles([file]))
    assert Reader(channels, planes).stack_size([file]) == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "found none at"), (b"", "zero bytes"), (b"no image at all", "expected a TIFF"), (b"II*\0cut", "damaged")],
)
def test_planes_of_a_file_that_is_no_image_are_not_counted(
    content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match=sentence):
        Reader(2, Planes(z="all")).stack_size([tmp_path / "a.tif"])


def test_a_file_a_plane_must_hold_one_plane(tmp_path: Path) -> None:
    files = [write_tiff(tmp_path / f"{z}.ome.tif", ramp(2, 5, 6), metadata={"axes": "ZYX"}) for z in range(3)]
    with pytest.raises(ImageError, match=r"expected one plane a channel, found 2 along Z in 0\.ome\.tif"):
        Reader(1, Planes(z="max")).read(ImageFiles(files, grid=(1, 3)))


def test_channels_are_selected_in_the_order_that_a_model_needs(tmp_path: Path) -> None:
    image = pixels(3, 5, 6)
    file = write_tiff(tmp_path / "a.tif", image)
    found = Reader(3, select=(2, 0)).read(ImageFiles([file]))
    np.testing.assert_array_equal(found, image[[2, 0]])
    assert found.flags.c_contiguous
    with pytest.raises(ImageError, match="expected pixels of type uint8 like those that the model was trained on"):
        Reader(3, dtype="uint8").read(ImageFiles([file]))


def test_a_sample_of_a_tiff_is_dropped_only_if_the_file_marks_it_as_alpha_and_it_is_opaque(tmp_path: Path) -> None:
    image = np.dstack([pixels(6, 7, 3, dtype="uint8"), np.full((6, 7), 255, np.uint8)])
    for name in ("unassalpha", "assocalpha", "unspecified"):
        file = tmp_path / f"{name}.tif"
        tifffile.imwrite(file, image, photometric="rgb", extrasamples=[name])
        np.testing.assert_array_equal(read_image([file], 4), np.moveaxis(image, -1, 0))
    for name in ("unassalpha", "assocalpha"):
        np.testing.assert_array_equal(read_image([tmp_path / f"{name}.tif"], 3), np.moveaxis(image[..., :3], -1, 0))
    with pytest.raises(ImageError, match="expected 3 channels, found 4"):
        read_image([tmp_path / "unspecified.tif"], 3)


def test_transparency_that_hides_something_is_named(tmp_path: Path) -> None:
    image = np.dstack([pixels(6, 7, 3, dtype="uint8"), np.full((6, 7), 254, np.uint8)])
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(
        ImageError, match=r"found 4 .* in a\.tif, of which the last is a transparency .* save it without"
    ):
        read_image([tmp_path / "a.tif"], 3)


def test_floating_point_alpha_of_one_is_opaque(tmp_path: Path) -> None:
    image = np.dstack([pixels(6, 7, 3).astype(np.float32), np.ones((6, 7), np.float32)])
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image([tmp_path / "a.tif"], 3), np.moveaxis(image[..., :3], -1, 0))


@pytest.mark.parametrize("bits", [1, 2, 4, 12])
def test_alpha_of_packed_samples_is_a_colour_of_its_own(tmp_path: Path, bits: int) -> None:
    stored = np.full((2, 8, 9), (1 << bits) - 1, np.uint16 if bits > 8 else np.uint8)
    stored[0, 2:4] = 0
    (tmp_path / "a.tif").write_bytes(TiffFile(stored, bits, tags={338: [2]}).write())
    np.testing.assert_array_equal(read_image([tmp_path / "a.tif"], 2), stored)
    with pytest.raises(ImageError, match=r"expected 1 channels, found 2 .* in a\.tif; name its colours in `source"):
        read_image([tmp_path / "a.tif"], 1)


def test_three_equal_pages_are_three_channels(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", np.stack([pixels(6, 7)] * 3))
    with pytest.raises(
        ImageError, match=r"expected 1 channels, found 3 .*; say in `source\.channels` or `source\.planes"
    ):
        read_image([file], 1)


@pytest.mark.parametrize("choice", [{"image": 1}, {"image": "raw"}, {"level": 1}])
def test_a_picture_holds_one_image_in_one_resolution(tmp_path: Path, choice: dict[str, Any]) -> None:
    Image.fromarray(pixels(6, 7, dtype="uint8")).save(tmp_path / "a.png")
    key, value = next(iter(choice.items()))
    with pytest.raises(ImageError, match=rf"`source\.{key}: {value}`, found a\.png, a PNG file with one"):
        Reader(1, **choice).read(ImageFiles([tmp_path / "a.png"]))
    assert Reader(1, image=0, level=0).read(ImageFiles([tmp_path / "a.png"])).shape == (1, 6, 7)


def test_planes_of_a_chosen_image_are_counted_and_read(tmp_path: Path) -> None:
    file, stacks = tmp_path / "a.ome.tif", (ramp(3, 8, 8), ramp(5, 4, 4))
    with tifffile.TiffWriter(file) as writer:
        for stack in stacks:
            writer.write(stack, photometric="minisblack", metadata={"axes": "ZYX"})
    for number, stack in enumerate(stacks):
        reader = Reader(1, Planes(z="all"), image=number)
        assert reader.stack_size([file]) == (1, len(stack))
        np.testing.assert_array_equal(reader.read(ImageFiles([file], plane=(-1, 2))), stack[2:3])
    with pytest.raises(ImageError, match=r"say in `source\.image`"):
        Reader(1, Planes(z="all")).stack_size([file])
