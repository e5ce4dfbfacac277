"""Images, reduced resolutions and by-products of slide scanners, as their formats mark them.

A slide is one image in several resolutions. Thumbnails, macro images and labels of the glass are by-products; which
pages these are is written in tags and descriptions of each format, and never taken from the size of a page alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree import ElementTree

import tifffile

from .pages import FileImage, Pages, could_be_level, grouped, is_full, is_smaller

_SOURCE_LENS = 65421
"""Tag of NDPI: magnification of a page; -1 is the macro image, -2 the map of empty parts."""

_QPI_IMAGE_TYPE = re.compile(r"<ImageType>\s*(\w+)\s*</ImageType>")
_QPI_FULL, _QPI_REDUCED = "FullResolution", "ReducedResolution"

_APERIO_BY_PRODUCT = re.compile(r"^Aperio[^\n]*\n\s*(label|macro)\b", re.IGNORECASE)


@dataclass
class Slide:
    """What a scanner's file holds.

    Attributes:
        images: Its images, with their reduced resolutions.
        by_products: Thumbnails, macro images and labels.
    """

    images: list[FileImage]
    by_products: Pages = field(default_factory=list)


def slide_of(tif: tifffile.TiffFile, pages: Pages) -> Slide | None:
    """Return what a file of a slide scanner holds; None for other files.

    Args:
        tif: The file.
        pages: All pages of its chain.
    """
    for is_of_format, read in _FORMATS:
        if is_of_format(tif):
            return read(tif, pages)
    return None


def _svs(_tif: tifffile.TiffFile, pages: Pages) -> Slide | None:
    """Aperio: a tiled image, a thumbnail in strips, reduced resolutions in tiles, a label and a macro image."""
    base, levels, by_products = pages[0], Pages(), Pages()
    if not base.is_tiled:
        return None
    same = [page for page in pages if page.is_tiled and page.shape == base.shape and is_full(page)]
    for page in pages[1:]:
        thumbnail = page.index == 1 and not page.is_tiled and is_smaller(page, base)
        if thumbnail or _APERIO_BY_PRODUCT.match(page.description):
            by_products.append(page)
        elif page.is_tiled and page.shape != base.shape:
            levels.append(page)
    return Slide([_with_levels("", same, levels)], by_products)


def _ndpi(_tif: tifffile.TiffFile, pages: Pages) -> Slide | None:
    """Hamamatsu: each page states its magnification."""
    lenses = [page.tags.valueof(_SOURCE_LENS) for page in pages]
    largest = max((lens for lens in lenses if lens is not None), default=0)
    if largest <= 0:
        return None
    marked = list(zip(pages, lenses, strict=True))
    base = [page for page, lens in marked if lens == largest]
    levels = [page for page, lens in marked if lens is not None and 0 < lens < largest]
    return Slide([_with_levels("", base, levels)], [page for page, lens in marked if lens is not None and lens < 0])


def _qpi(_tif: tifffile.TiffFile, pages: Pages) -> Slide | None:
    """PerkinElmer: each page states its type; pages of one resolution are channels."""
    types = [found[1] if (found := _QPI_IMAGE_TYPE.search(page.description)) else "" for page in pages]
    if _QPI_FULL not in types:
        return None
    marked = list(zip(pages, types, strict=True))
    image = _with_levels("", [p for p, t in marked if t == _QPI_FULL], [p for p, t in marked if t == _QPI_REDUCED])
    image.axes = [("C", len(image.pages))] if len(image.pages) > 1 else []
    return Slide([image], [p for p, t in marked if t not in ("", _QPI_FULL, _QPI_REDUCED)])


def _bif(_tif: tifffile.TiffFile, pages: Pages) -> Slide | None:
    """Ventana: descriptions such as `level=0 mag=40`, `Label Image`, `Thumbnail`, `Probability_Image`."""
    levels = [page for page in pages if page.description.startswith("level=")]
    if not levels:
        return None
    by_products = [page for page in pages if page.description.startswith(("Label", "Thumbnail", "Probability"))]
    return Slide([_with_levels("", levels[:1], levels[1:])], by_products)


def _philips(tif: tifffile.TiffFile, _pages: Pages) -> Slide | None:
    """Philips: the metadata give the size of reduced resolutions without their padding."""
    series = tif.series
    if series[0].kind != "philips":
        return None
    images = [FileImage("", [one.keyframe], [], [[level.keyframe] for level in one.levels[1:]]) for one in series[:1]]
    return Slide(images, [one.keyframe for one in series[1:] if one.name in ("Macro", "Label")])


def _scn(tif: tifffile.TiffFile, pages: Pages) -> Slide | None:
    """Leica: several images, each in several resolutions; one that shows the whole glass is the macro image."""
    root = ElementTree.fromstring(tif.pages.first.description)
    macros = _views_of_the_glass(root)
    images, by_products = [], Pages()
    for number, series in enumerate(tif.series):
        if series.kind != "scn":
            return None
        levels = [[pages[page.index] for page in level.pages if page is not None] for level in series.levels]
        levels = [level for level in levels if len(level) == len(levels[0])]
        axes = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if axis in "CZ" and n > 1]
        if macros[number : number + 1] == [True]:
            by_products += [page for level in levels for page in level]
        else:
            images.append(FileImage(series.name, levels[0], axes, levels[1:]))
    return Slide(images, by_products) if images else None


def _views_of_the_glass(root: ElementTree.Element) -> list[bool]:
    """Return for each image of a Leica file whether its view is the whole collection."""
    found = []
    for collection in root.iter():
        if not collection.tag.endswith("collection"):
            continue
        size = collection.get("sizeX"), collection.get("sizeY")
        for image in collection:
            if image.tag.endswith("image"):
                views = [view for view in image if view.tag.endswith("view")]
                found.append(any(size == (view.get("sizeX"), view.get("sizeY")) for view in views))
    return found


def _with_levels(name: str, pages: Pages, others: Pages) -> FileImage:
    """Return an image of focal planes with its reduced resolutions; pages that cannot be one are left for a refusal."""
    levels = [level for level in grouped(others) if could_be_level(level, pages)]
    levels.sort(key=lambda level: -level[0].imagewidth)
    return FileImage(name, pages, [("Z", len(pages))] if len(pages) > 1 else [], levels)


_Read = Callable[[tifffile.TiffFile, Pages], Slide | None]
_FORMATS: tuple[tuple[Callable[[tifffile.TiffFile], bool], _Read], ...] = (
    (lambda tif: bool(tif.is_svs), _svs),
    (lambda tif: bool(tif.is_ndpi), _ndpi),
    (lambda tif: bool(tif.is_qpi), _qpi),
    (lambda tif: bool(tif.is_bif), _bif),
    (lambda tif: bool(tif.is_philips), _philips),
    (lambda tif: bool(tif.is_scn), _scn),
)
