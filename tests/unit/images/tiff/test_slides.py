"""Files of slide scanners as their formats mark pages, in miniature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from tests.helpers.images import pixels

from phenoloom.config.planes import Planes
from phenoloom.core.errors import ImageError
from phenoloom.images.reader import ImageFiles, Reader

SIZE = 256
TILED = {"tile": (16, 16)}


def picture(factor: int = 1) -> np.ndarray:
    return pixels(SIZE // factor, SIZE // factor, 3, dtype="uint8")


def read(file: Path, **settings: Any) -> np.ndarray:
    return np.moveaxis(Reader(3, **settings).read(ImageFiles([file])), 0, -1)


def write(path: Path, *pages: tuple[np.ndarray, dict[str, Any]]) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for page, options in pages:
            photometric = "rgb" if page.ndim == 3 else "minisblack"
            writer.write(page, photometric=photometric, metadata=None, **options)
    return path


def described(text: str, **options: Any) -> dict[str, Any]:
    return {"description": text, **options}


def svs(path: Path, *more: tuple[np.ndarray, dict[str, Any]], marked: bool = False) -> tuple[Path, list[np.ndarray]]:
    levels = [picture(), picture(4), picture(16)]
    mark = {"subfiletype": 1} if marked else {}
    head = "Aperio Image Library v1\r\n"
    reduced = [
        (level, described(f"{head}256x256 -> {len(level)}x{len(level)}", **TILED, **mark)) for level in levels[1:]
    ]
    return (
        write(
            path,
            (levels[0], described(f"{head}256x256 (16x16) JPEG/RGB|AppMag = 20", **TILED)),
            (picture(8), described(f"{head}256x256 -> 32x32")),
            *reduced,
            (pixels(40, 30, 3, dtype="uint8"), described(f"{head}label 30x40", subfiletype=1)),
            (pixels(300, 400, 3, dtype="uint8"), described(f"{head}macro 400x300", subfiletype=9)),
            *more,
        ),
        levels,
    )


@pytest.mark.parametrize("marked", [False, True])
def test_an_aperio_slide_is_its_full_resolution_or_the_level_of_the_study(tmp_path: Path, marked: bool) -> None:
    file, levels = svs(tmp_path / "a.svs", marked=marked)
    np.testing.assert_array_equal(read(file), levels[0])
    for number, level in enumerate(levels):
        np.testing.assert_array_equal(read(file, level=number), level)
    with pytest.raises(ImageError, match=r"expected level 3 .*: 0: 256 x 256 px, 1: 64 x 64 px, 2: 16 x 16 px"):
        read(file, level=3)


def test_a_page_of_an_aperio_slide_that_its_format_does_not_know_is_named(tmp_path: Path) -> None:
    file, levels = svs(tmp_path / "a.svs", (pixels(SIZE, SIZE, dtype="uint8"), {}))
    with pytest.raises(
        ImageError, match=r"found 1 more .*: page 6, 256 x 256 px uint8; say `source\.image: 0` to leave"
    ):
        read(file)
    np.testing.assert_array_equal(read(file, image=0), levels[0])


def test_focal_planes_of_an_aperio_slide_are_planes(tmp_path: Path) -> None:
    text, planes = "Aperio Image Library v1\r\n", [picture(), picture()]
    file = write(
        tmp_path / "a.svs",
        (planes[0], described(text, **TILED)),
        (picture(8), described(text)),
        (planes[1], described(text, **TILED)),
    )
    with pytest.raises(ImageError, match="found 2 along Z x 3 along C"):
        read(file)
    np.testing.assert_array_equal(read(file, planes=Planes(z="last")), planes[1])


def test_pages_of_a_hamamatsu_slide_are_known_by_their_magnification(tmp_path: Path) -> None:
    def lens(magnification: float) -> dict[str, Any]:
        return {
            "extratags": [(65420, 4, 1, 1, True), (271, 2, 9, "Hamamatsu", True), (65421, 11, 1, magnification, True)]
        }

    levels = [picture(), picture(4)]
    file = write(
        tmp_path / "a.tif",
        (levels[0], lens(20.0)),
        (levels[1], lens(5.0)),
        (pixels(200, 600, 3, dtype="uint8"), lens(-1.0)),
        (pixels(20, 60, dtype="uint8"), lens(-2.0)),
    )
    np.testing.assert_array_equal(read(file), levels[0])
    np.testing.assert_array_equal(read(file, level=1), levels[1])


def test_pages_of_a_perkinelmer_slide_are_known_by_their_type(tmp_path: Path) -> None:
    def kind(name: str, **options: Any) -> dict[str, Any]:
        xml = f"<PerkinElmer-QPI-ImageDescription><ImageType>{name}</ImageType></PerkinElmer-QPI-ImageDescription>"
        return described(xml, software="PerkinElmer-QPI", **options)

    full, half = pixels(3, 64, 64, dtype="uint8"), pixels(3, 32, 32, dtype="uint8")
    file = write(
        tmp_path / "a.qptiff",
        *((page, kind("FullResolution", **TILED)) for page in full),
        (pixels(9, 9, 3, dtype="uint8"), kind("Thumbnail")),
        *((page, kind("ReducedResolution", **TILED)) for page in half),
        (pixels(99, 40, 3, dtype="uint8"), kind("Overview")),
        (pixels(99, 40, 3, dtype="uint8"), kind("Label")),
    )
    np.testing.assert_array_equal(Reader(3).read(ImageFiles([file])), full)
    np.testing.assert_array_equal(Reader(3, level=1).read(ImageFiles([file])), half)


def test_pages_of_a_ventana_slide_are_known_by_their_descriptions(tmp_path: Path) -> None:
    levels = [picture(), picture(2)]
    xmp = {"software": "ScanOutputManager", "extratags": [(700, 1, 6, b"<iScan", True)]}
    file = write(
        tmp_path / "a.tif",
        (pixels(99, 40, 3, dtype="uint8"), described("Label_Image", **xmp)),
        (pixels(99, 40, dtype="uint8"), described("Probability_Image", **xmp)),
        *(
            (level, described(f"level={n} mag={40 / 2**n} quality=90", **TILED, **xmp))
            for n, level in enumerate(levels)
        ),
    )
    np.testing.assert_array_equal(read(file), levels[0])
    np.testing.assert_array_equal(read(file, level=1), levels[1])


def test_a_leica_file_is_its_scan_and_not_the_view_of_the_glass(tmp_path: Path) -> None:
    def image(name: str, size: int, view: int, *ifds: int) -> str:
        levels = "".join(
            f'<dimension sizeX="{size >> r}" sizeY="{size >> r}" r="{r}" ifd="{ifd}"/>' for r, ifd in enumerate(ifds)
        )
        return (
            f'<image name="{name}"><pixels sizeX="{size}" sizeY="{size}">{levels}</pixels>'
            f'<view sizeX="{view}" sizeY="{view}" offsetX="0" offsetY="0"/></image>'
        )

    def scn(*images: str) -> str:
        return f'<?xml version="1.0"?><scn><collection sizeX="1000" sizeY="1000">{"".join(images)}</collection></scn>'

    scans = [picture(), picture(2), picture(4)]
    xml = scn(image("glass", 64, 1000, 0), image("tissue", SIZE, 600, 1, 2))
    pages = [(page, dict(TILED)) for page in (scans[2], scans[0], scans[1])]
    file = write(tmp_path / "a.scn", (pages[0][0], described(xml, **TILED)), *pages[1:])
    np.testing.assert_array_equal(read(file), scans[0])
    np.testing.assert_array_equal(read(file, level=1), scans[1])
    two = scn(image("one", SIZE, 600, 1, 2), image("two", 64, 400, 0))
    file = write(tmp_path / "b.scn", (pages[0][0], described(two, **TILED)), *pages[1:])
    with pytest.raises(ImageError, match=r"0 'one' \(page 1, 256 .*, 1 'two' \(page 0, 64 .*say in `source\.image`"):
        read(file)
    np.testing.assert_array_equal(read(file, image="two"), scans[2])
