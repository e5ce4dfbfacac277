from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from tests.helpers.images import pixels, ramp, read_image, write_tiff

from phenoloom.config.planes import Planes
from phenoloom.core.errors import ImageError
from phenoloom.images.formats import file_axes
from phenoloom.images.reader import ImageFiles, Reader

GREY: dict[str, Any] = {"photometric": "minisblack"}


def read(file: Path, channels: int, **settings: Any) -> np.ndarray:
    return Reader(channels, **settings).read(ImageFiles([file]))


def write_series(path: Path, *images: np.ndarray, **options: Any) -> Path:
    """Write each image as an image of its own, with names and axes in the metadata."""
    with tifffile.TiffWriter(path, **options) as writer:
        for number, image in enumerate(images):
            axes = "CYX" if image.ndim == 3 else "YX"
            writer.write(image, **GREY, metadata={"axes": axes, "Name": f"part {number}"})
    return path


def ome_xml(*images: str, uuid: str = "") -> str:
    root = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"' + (f' UUID="{uuid}"' if uuid else "")
    return f'<?xml version="1.0" encoding="UTF-8"?><OME {root}>{"".join(images)}</OME>'


def ome_image(data: str = "<TiffData/>", order: str = "XYCZT", size: int = 16, **sizes: int) -> str:
    counts = {"C": 1, "Z": 1, "T": 1} | sizes
    stated = " ".join(f'Size{axis}="{n}"' for axis, n in counts.items())
    return (
        f'<Image ID="Image:0" Name="raw"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="uint16" SizeX="{size}" '
        f'SizeY="{size}" {stated}>{data}</Pixels></Image>'
    )


def write_described(path: Path, stack: np.ndarray, description: str) -> Path:
    with tifffile.TiffWriter(path, ome=False) as writer:
        for number, page in enumerate(stack):
            writer.write(page, **GREY, metadata=None, description=description if number == 0 else None)
    return path


@pytest.mark.parametrize("second", [64, 96])
def test_one_of_several_images_of_an_ome_tiff_is_read_if_the_study_names_it(tmp_path: Path, second: int) -> None:
    images = pixels(2, 96, 96), pixels(2, second, second)
    file = write_series(tmp_path / "a.ome.tif", *images)
    with pytest.raises(
        ImageError,
        match=rf"expected one image, found 2 in a\.ome\.tif: 0 'part 0' \(pages 0-1, 96 x 96 px .*, "
        rf"1 'part 1' \(pages 2-3, {second} x {second} px .*say in `source\.image` which",
    ):
        read(file, 2)
    for number, image in enumerate(images):
        np.testing.assert_array_equal(read(file, 2, image=number), image)
        np.testing.assert_array_equal(read(file, 2, image=f"part {number}"), image)
    for unknown, sentence in ((2, "expected image 2"), ("part 2", "expected one image named 'part 2'")):
        with pytest.raises(ImageError, match=rf"{sentence} .`source\.image`., found [02] in a\.ome\.tif: 0 'part 0'"):
            read(file, 2, image=unknown)


@pytest.mark.parametrize("data", ["<TiffData/>", '<TiffData IFD="0" PlaneCount="2"/>', '<TiffData IFD="0"/>' * 2])
def test_pages_that_ome_metadata_do_not_tell_of_are_named(tmp_path: Path, data: str) -> None:
    image = pixels(4, 16, 16)
    if data.count("IFD") == 2:
        data = '<TiffData IFD="0" FirstC="0"/><TiffData IFD="1" FirstC="1"/>'
    file = write_described(tmp_path / "a.tif", image, ome_xml(ome_image(data, C=2)))
    with pytest.raises(
        ImageError,
        match=r"expected 2 full-resolution pages \(2 along C\) .*, found 2 more .* in a\.tif: pages 2-3, 16 x 16 px "
        r"uint16; say `source\.image: 0` to leave them out, or say in `source\.planes\.axes`",
    ):
        read(file, 2)
    with pytest.raises(ImageError, match="2 more"):
        file_axes(file)
    np.testing.assert_array_equal(read(file, 2, image=0), image[:2])
    np.testing.assert_array_equal(read(file, 4, planes=Planes(axes="C")), image)


UNUSABLE = {
    "broken XML": ome_xml(ome_image(C=3))[:-20] + "</Ome></OME>",
    "broken  XML": ome_xml(ome_image(C=3))[:-30],
    "no plane that is in this file": ome_xml(
        ome_image('<TiffData IFD="0"><UUID FileName="b.tif">urn:uuid:2</UUID></TiffData>', Z=3), uuid="urn:uuid:1"
    ),
    "metadata that are in another file": ome_xml('<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:2"/>'),
    "planes of 32 x 32 px, other than those of the pages": ome_xml(ome_image(C=3, size=32)),
    "6 planes, of which 3 are not in this file": ome_xml(ome_image(Z=6)),
    "3 planes in 1 pages": ome_xml(ome_image("".join(f'<TiffData IFD="0" FirstZ="{z}"/>' for z in range(3)), Z=3)),
    "sizes or numbers of pages that cannot be read": ome_xml(ome_image(order="XYC", Z=3)),
    "sizes or numbers of pages  that cannot be read": ome_xml(ome_image('<TiffData IFD="-1" PlaneCount="3"/>', C=3)),
    "no page that the file has": ome_xml(ome_image('<TiffData IFD="9" PlaneCount="3"/>', C=3)),
    "no plane  that is in this file": ome_xml(),
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_pages_of_a_file_whose_ome_metadata_cannot_be_used_are_channels_only_if_the_study_says_so(
    tmp_path: Path, reason: str
) -> None:
    stack = pixels(3, 16, 16)
    file = write_described(tmp_path / "a.tif", stack, UNUSABLE[reason])
    with pytest.raises(ImageError, match=rf"{re.sub(' +', ' ', reason)} in a\.tif; say in `source\.planes\.axes`"):
        read(file, 3)
    np.testing.assert_array_equal(read(file, 3, planes=Planes(axes="C")), stack)
    one = write_described(tmp_path / "b.tif", stack[:1], UNUSABLE[reason])
    np.testing.assert_array_equal(read(one, 1), stack[:1])


def test_a_page_whose_ome_metadata_place_further_planes_behind_it_is_refused(tmp_path: Path) -> None:
    page = pixels(1, 16, 16)
    behind = '<TiffData IFD="0" PlaneCount="3"/>'
    file = write_described(tmp_path / "a.tif", page, ome_xml(ome_image(behind, Z=3)))
    with pytest.raises(
        ImageError,
        match=r"expected OME metadata that fit the pages of the file, found 3 planes, of which 2 are not in this "
        r"file in a\.tif; say in `source\.planes\.axes` what",
    ):
        read(file, 1)
    np.testing.assert_array_equal(read(file, 1, planes=Planes(axes="C")), page)
    for let_pass in (ome_image(behind, Z=3) * 2, ome_image('<TiffData IFD="0" FirstZ="1"/>', Z=3)):
        write_described(file, page, ome_xml(let_pass))
        np.testing.assert_array_equal(read(file, 1), page)


def test_a_file_of_an_ome_set_has_the_axes_of_its_own_planes(tmp_path: Path) -> None:
    stack = ramp(2, 3, 16, 16)
    for c in range(2):
        other, own = (
            "".join(
                f'<TiffData IFD="{z}" FirstC="{channel}" FirstZ="{z}"><UUID FileName="{channel}.tif">urn:uuid:{channel}'
                "</UUID></TiffData>"
                for z in range(3)
            )
            for channel in (1 - c, c)
        )
        xml = ome_xml(ome_image(own + other, order="XYZCT", C=2, Z=3), uuid=f"urn:uuid:{c}")
        write_described(tmp_path / f"{c}.tif", stack[c], xml)
    files = [tmp_path / "0.tif", tmp_path / "1.tif"]
    assert file_axes(files[1]) == [("Z", 3)]
    np.testing.assert_array_equal(Reader(2, Planes(z="last")).read(ImageFiles(files)), stack[:, 2])
    with pytest.raises(ImageError, match="found 3 along Z"):
        read(files[0], 3)


def test_axes_that_tifffile_wrote_are_respected(tmp_path: Path) -> None:
    stack = ramp(3, 16, 16)
    file = write_tiff(tmp_path / "a.tif", stack, metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match="found 3 along Z"):
        read(file, 3)
    np.testing.assert_array_equal(read(file, 1, planes=Planes(z="last")), stack[2:])
    named = write_tiff(tmp_path / "b.tif", stack, metadata={"axes": "RYX"})
    with pytest.raises(ImageError, match="found 3 along R"):
        read(named, 3)
    np.testing.assert_array_equal(read(write_tiff(tmp_path / "c.tif", stack), 3), stack)


def test_imagej_metadata_that_contradict_the_pages_are_refused(tmp_path: Path) -> None:
    stack, text = ramp(4, 16, 16), "ImageJ=1.53c\nimages={n}\nslices={n}\n"
    more = write_described(tmp_path / "a.tif", stack, text.format(n=2))
    with pytest.raises(ImageError, match=r"expected 2 .*pages \(2 along Z\).* found 2 more .*: pages 2-3"):
        read(more, 4)
    less = write_described(tmp_path / "b.tif", stack, text.format(n=6))
    with pytest.raises(ImageError, match=r"found axes or numbers of planes that do not in b\.tif; say in `source\.pla"):
        read(less, 4)
    for file in (more, less):
        np.testing.assert_array_equal(read(file, 4, planes=Planes(axes="C")), stack)


def write_pyramid(path: Path, stack: np.ndarray, levels: int, kind: str) -> Path:
    """Write pages (n, h, w) and halved copies: as SubIFDs, as pages that are marked as reduced, or unmarked."""
    subs = {"subifds": levels} if "flat" not in kind else {}
    marked = {} if kind.startswith("unmarked") else {"subfiletype": 1}
    axes = {} if kind.startswith("unmarked") and "ome" not in kind else {"metadata": {"axes": "CYX"}}
    with tifffile.TiffWriter(path, ome="ome" in kind) as writer:
        writer.write(stack, **GREY, **subs, **axes)
        for level in range(1, levels + 1):
            writer.write(stack[:, :: 2**level, :: 2**level], **GREY, **marked, metadata=None)
    return path


@pytest.mark.parametrize("kind", ["subifds", "ome", "unmarked ome", "flat"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_level_of_a_pyramid_is_read_by_its_number(tmp_path: Path, kind: str, channels: int) -> None:
    stack = ramp(channels, 41, 64)
    file = write_pyramid(tmp_path / "a.tif", stack, 2, kind)
    np.testing.assert_array_equal(read(file, channels), stack)
    for level in range(3):
        np.testing.assert_array_equal(read(file, channels, level=level), stack[:, :: 2**level, :: 2**level])
    with pytest.raises(
        ImageError,
        match=r"expected level 3 of a pyramid \(`source\.level`\), found 3 in a\.tif: 0: 41 x 64 px, 1: 21 x 32 px, "
        r"2: 11 x 16 px",
    ):
        read(file, channels, level=3)


@pytest.mark.parametrize("kind", ["unmarked flat", "unmarked subifds"])
def test_unmarked_smaller_pages_are_levels_only_if_the_study_says_so(tmp_path: Path, kind: str) -> None:
    stack = ramp(2, 40, 64)
    file = write_pyramid(tmp_path / "a.tif", stack, 2, kind)
    with pytest.raises(ImageError, match=r"found 3 in a\.tif.*, or `source\.level: 0` if the smaller ones are reduced"):
        read(file, 2)
    for level in range(3):
        np.testing.assert_array_equal(read(file, 2, level=level), stack[:, :: 2**level, :: 2**level])
    np.testing.assert_array_equal(read(file, 2, image=1), stack[:, ::2, ::2])


def test_levels_of_the_study_leave_an_unlike_page_its_number_among_images(tmp_path: Path) -> None:
    file, stack, macro = tmp_path / "a.tif", ramp(1, 64, 48), pixels(20, 40)
    write_pyramid(file, stack, 1, "unmarked flat")
    tifffile.imwrite(file, macro, **GREY, metadata=None, append=True)
    with pytest.raises(ImageError, match=r"0 \(page 0, 64 x 48 px uint16\), 1 \(page 2, 20 x 40 px .*`source.image`"):
        read(file, 1, level=1)
    np.testing.assert_array_equal(read(file, 1, image=0, level=1), stack[:, ::2, ::2])
    np.testing.assert_array_equal(read(file, 1, image=1, level=0)[0], macro)


def test_sub_pages_that_are_not_marked_as_reduced_are_named(tmp_path: Path) -> None:
    stack = ramp(2, 32, 32)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(stack[0], **GREY, subifds=1)
        writer.write(stack[1], **GREY)
    with pytest.raises(ImageError, match=r"1 \(SubIFD 0 of page 0, 32 x 32 px uint16\); say in `source\.image`"):
        read_image([tmp_path / "a.tif"], 1)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 1, image=0), stack[:1])
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 1, image=1), stack[1:])


def test_thumbnails_and_transparency_masks_are_left_out_because_the_file_marks_them(tmp_path: Path) -> None:
    image = ramp(2, 32, 32)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in image:
            writer.write(page, **GREY, metadata=None)
            writer.write(page[:7, :9], **GREY, subfiletype=1, metadata=None)
            writer.write(page > 3, photometric=4, subfiletype=4, metadata=None)
    np.testing.assert_array_equal(read_image([tmp_path / "a.tif"], 2), image)


def test_a_file_that_is_cut_between_its_pages_is_truncated(tmp_path: Path) -> None:
    stack, file = ramp(2, 16, 16), tmp_path / "a.tif"
    with tifffile.TiffWriter(file) as writer:
        for page in stack:
            writer.write(page, **GREY, metadata=None)
    with tifffile.TiffFile(file) as tif:
        second = min(tif.pages[1].offset, tif.pages[1].dataoffsets[0])
    file.write_bytes(file.read_bytes()[:second])
    with pytest.raises(ImageError, match=r"expected another page behind page 0, at byte \d+, found a truncated file"):
        read_image([file], 1)
    np.testing.assert_array_equal(read(file, 1, image=0), stack[:1])


def record(fields: list[tuple[Any, ...]], values: dict[str, Any]) -> bytes:
    """The bytes of a structure in which all other fields are zero."""
    filled = np.zeros((), np.dtype([tuple(field) for field in fields]).newbyteorder("<"))
    for name, value in values.items():
        filled[name] = value
    return filled.tobytes()


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_a_zeiss_stack_has_channels_and_focal_planes_and_its_thumbnails_are_left_out(
    tmp_path: Path, compression: str | None
) -> None:
    stack = ramp(2, 3, 16, 16)
    sizes = {"DimensionX": 16, "DimensionY": 16, "DimensionZ": 2, "DimensionChannels": 3, "DimensionTime": 1}
    fields = tifffile.TIFF.CZ_LSMINFO
    known = {"MagicNumber": 67127628, "StructureSize": np.dtype(fields).itemsize, "ScanType": 0}
    info = record(fields, known | sizes)
    with tifffile.TiffWriter(tmp_path / "a.lsm") as writer:
        for number, planes in enumerate(stack):
            tags = [(34412, 1, len(info), info, True)] if number == 0 else []
            options: dict[str, Any] = {"planarconfig": "separate", "metadata": None, "compression": compression, **GREY}
            writer.write(planes, **options, extratags=tags)
            writer.write(planes[:, ::4, ::4], **options, subfiletype=1)
    file = tmp_path / "a.lsm"
    assert file_axes(file) == [("Z", 2), ("C", 3)]
    with pytest.raises(ImageError, match="found 2 along Z x 3 along C"):
        read(file, 6)
    np.testing.assert_array_equal(read(file, 3, planes=Planes(z="last")), stack[1])


def test_an_olympus_stack_has_the_axes_of_its_header(tmp_path: Path) -> None:
    stack, names = ramp(2, 3, 16, 16), [(b"X", 16), (b"Y", 16), (b"Z", 3), (b"Ch", 2)]
    dimensions = np.zeros(10, tifffile.TIFF.MM_HEADER[9][1])
    for number, (name, size) in enumerate(names):
        dimensions[number]["Name"], dimensions[number]["Size"] = name, size
    header = record(tifffile.TIFF.MM_HEADER, {"Dimensions": dimensions})
    tags = [(34361, 1, len(header), header, True), (34362, 12, 8, (0.0,) * 8, True)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number, page in enumerate(stack.reshape(-1, 16, 16)):
            writer.write(page, **GREY, metadata=None, extratags=tags if number == 0 else [])
    assert file_axes(tmp_path / "a.tif") == [("C", 2), ("Z", 3)]
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 2, planes=Planes(z="first")), stack[:, 0])


def test_planes_that_follow_the_only_page_of_an_imagej_file_are_named_though_no_axis_is(tmp_path: Path) -> None:
    stack, file = ramp(5, 16, 16), tmp_path / "a.tif"
    write_described(file, stack[:1], "ImageJ=1.53c\nimages=5\n")
    np.testing.assert_array_equal(read(file, 1), stack[:1])
    with file.open("ab") as opened:
        opened.write(stack[1:].tobytes())
    with pytest.raises(ImageError, match="one page for 5 planes"):
        read(file, 1)


def test_reduced_pages_are_levels_of_the_image_that_they_follow(tmp_path: Path) -> None:
    images = ramp(2, 32, 32)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        for name, image in zip(("one", "two"), images, strict=True):
            writer.write(image, **GREY, metadata={"Name": name})
            writer.write(image[::2, ::2], **GREY, metadata={"Name": f"{name}, reduced"}, subfiletype=1)
    for name, image in zip(("one", "two"), images, strict=True):
        np.testing.assert_array_equal(read(tmp_path / "a.ome.tif", 1, image=name, level=1)[0], image[::2, ::2])
    with pytest.raises(ImageError, match="found 2 in"):
        read(tmp_path / "a.ome.tif", 1)


def test_a_chain_of_pages_that_leads_back_to_itself_ends(tmp_path: Path) -> None:
    stack, file = ramp(3, 16, 16), tmp_path / "a.tif"
    with tifffile.TiffWriter(file) as writer:
        for page in stack:
            writer.write(page, **GREY, metadata=None)
    data = bytearray(file.read_bytes())
    with tifffile.TiffFile(file) as tif:
        last, second = tif.pages[2].offset, tif.pages[1].offset
        end = last + 2 + 12 * len(tif.pages[2].tags)
    data[end : end + 4] = second.to_bytes(4, "little")
    file.write_bytes(data)
    np.testing.assert_array_equal(read(file, 3), stack)
