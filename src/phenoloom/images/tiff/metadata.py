"""Images that the metadata of a TIFF tell of: OME-XML, and the descriptions of ImageJ, tifffile and microscopes."""

from __future__ import annotations

import json
import math
from typing import Any

import tifffile

from ...core.errors import ImageError
from ..choice import Choice
from .ome import is_ome, ome_images
from .pages import Axes, FileImage, Pages, colours, is_full, product

_OF_A_PAGE = "YXS"
_UNKNOWN = {"I", "Q"}
_STATING = {
    "lsm": "LSM",
    "mmstack": "Micro-Manager",
    "imagej": "ImageJ",
    "ndtiff": "NDTiff",
    "fluoview": "FluoView",
    "sis": "Olympus SIS",
    "scanimage": "ScanImage",
}
"""Kinds of files, in tifffile's words, whose metadata state the axes of all pages, and their names."""


def stated_images(tif: tifffile.TiffFile, pages: Pages, name: str, choice: Choice) -> list[FileImage] | None:
    """Return the images that the metadata of a file tell of; None where it has none, or where the study knows better.

    A single page needs no metadata, for those of a set of files describe the planes of all of them. It is refused only
    where OME metadata place planes of its image in pages that the file lacks.

    Args:
        tif: The open file.
        pages: All pages of its chain.
        name: Its name, for error messages.
        choice: What is read, and whether the study states what pages are.

    Raises:
        ImageError: The metadata cannot be used, or planes lie behind a page without a page of their own.
    """
    full = [page for page in pages if is_full(page)]
    _refuse_hidden(tif, pages, full, name)
    if choice.image is None and choice.own_order:
        return None
    if choice.image is None and len(full) <= 1:
        _refuse_lacking(tif, pages, name, choice)
        return None
    if is_ome(pages[0].description):
        images, problem = ome_images(pages[0].description, pages, tif.filename)
        if images:
            return [_without_reduced(image) for image in images]
        if len(full) == 1 or choice.own_order:
            return None
        raise metadata_problem("OME", problem, name, choice)
    if any(page.is_shaped for page in pages):
        return _shaped_images(pages)
    kind = next((kind for kind in _STATING if len(full) > 1 and getattr(tif, f"is_{kind}")), None)
    return _series_image(tif, kind, full, name, choice) if kind else None


def _refuse_lacking(tif: tifffile.TiffFile, pages: Pages, name: str, choice: Choice) -> None:
    """Refuse a single page whose OME metadata place further planes of the same image behind it."""
    if not pages or not is_ome(pages[0].description):
        return
    images, _ = ome_images(pages[0].description, pages, tif.filename)
    if len(images) == 1 and images[0].lacking:
        raise metadata_problem("OME", images[0].problem, name, choice)


def _without_reduced(image: FileImage) -> FileImage:
    """Return an image without pages that are marked as reduced; one of such pages alone stays an image of them."""
    full = [page for page in image.pages if is_full(page)]
    if len(full) == len(image.pages):
        return image
    reduced = f"{len(image.pages)} planes, of which {len(image.pages) - len(full)} are marked as reduced copies"
    return FileImage(image.name, full, [], problem=image.problem or (reduced if full else ""))


def metadata_problem(what: str, problem: str, name: str, choice: Choice) -> ImageError:
    """Return the refusal of a file whose metadata do not tell what its pages are."""
    alone = "" if choice.image is None else f", without `{choice.section}.image`"
    return ImageError(
        f"expected {what}{' ' * bool(what)}metadata that fit the pages of the file, "
        f"found {problem} in {name}; say in `{choice.order_key}` {what_pages_are(choice)}{alone}"
    )


def what_pages_are(choice: Choice) -> str:
    """Return what a study says of the pages of a file, for error messages."""
    return "which page is read" if choice.order_key.endswith("plane") else "what the pages are, e.g. `C` for channels"


def _shaped_images(pages: Pages) -> list[FileImage] | None:
    """Return the series that tifffile's own metadata tell of, if they state axes; refuses no page."""
    starts = [number for number, page in enumerate(pages) if page.is_shaped]
    images, states_axes = [], False
    for start, end in zip(starts, [*starts[1:], len(pages)], strict=True):
        stated = _shaped(pages[start])
        shape, axes = stated.get("shape", ()), stated.get("axes") or ""
        named: Axes = []
        if len(axes) == len(shape):
            named = [(axis, n) for axis, n in zip(axes, shape, strict=True) if axis not in _OF_A_PAGE and n > 1]
        series = [page for page in pages[start:end] if is_full(page)]
        if not series:
            continue
        known = bool(named) and not _UNKNOWN & {axis for axis, _ in named}
        states_axes |= known
        count = max(math.prod(shape) // math.prod(pages[start].shape), 1) if shape else len(series)
        problem = f"{count} planes in {len(series)} pages" if count > len(series) else ""
        images.append(FileImage(stated.get("name", ""), series[:count], named if known else [], problem=problem))
    return images if states_axes or any(image.problem for image in images) else None


def _shaped(page: tifffile.TiffPage) -> dict[str, Any]:
    """Return tifffile's own metadata of a page; empty where there are none, or of an older form without axes."""
    try:
        stated = json.loads(page.shaped_description or "{}")
    except ValueError:
        return {}
    return stated if isinstance(stated, dict) else {}


def _refuse_hidden(tif: tifffile.TiffFile, pages: Pages, full: Pages, name: str) -> None:
    """Refuse planes that lie behind a page without a page of their own, as in stacks of ImageJ and MetaMorph."""
    stated, found = 0, len(full)
    if tif.is_stk:
        stated = (tif.stk_metadata or {}).get("NumberPlanes", 0)
    elif truncated := [page for page in pages if _shaped(page).get("truncated")]:
        found, stated = 1, max(math.prod(_shaped(page)["shape"]) // math.prod(page.shape) for page in truncated)
    elif len(full) == 1 and tif.is_shaped:
        stated = math.prod(_shaped(full[0]).get("shape", (0,))) // math.prod(full[0].shape)
    elif len(full) == 1 and tif.is_imagej:
        stated = _planes_of_imagej(tif, full[0])
    if stated > found:
        raise ImageError(
            f"expected a page for each plane, found {'one page' if found == 1 else f'{found} pages'} for {stated} "
            f"planes in {name}; save it again with a page for each"
        )


def _planes_of_imagej(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Return the number of planes of an ImageJ file with one page, by its axes or by its bytes."""
    by_axes = int(math.prod(tif.series[0].shape) // math.prod(page.shape))
    images = int((tif.imagej_metadata or {}).get("images", 1))
    # The number of images is often left from another file: it counts if so many planes follow.
    fits = page.dataoffsets[0] + images * page.nbytes <= tif.filehandle.size and page.compression == 1
    return max(by_axes, images if fits else 1)


def _series_image(tif: tifffile.TiffFile, kind: str, full: Pages, name: str, choice: Choice) -> list[FileImage] | None:
    """Return the one image of a file of a kind that states axes; None where it states none."""
    try:
        series = tif.series[0]
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise metadata_problem(_STATING[kind], f"some that cannot be read ({error})", name, choice) from None
    if series.kind not in _STATING:
        raise metadata_problem(_STATING[kind], "axes or numbers of planes that do not", name, choice)
    axes = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in _OF_A_PAGE and n > 1]
    if len(axes) == 1 and axes[0][0] in _UNKNOWN and axes[0][1] == len(full):
        return None
    if series.kind in ("mmstack", "ndtiff"):
        places = {page.dataoffsets[0]: page for page in full}
        found = [page and places.get(page.dataoffsets[0]) for page in series.pages]
        ordered = [page for page in found if page is not None]
        problem = f"{len(found)} planes, of which {len(found) - len(ordered)} are not in this file"
        return [FileImage("", ordered, axes, problem=problem if len(ordered) < len(found) else "")]
    total, own = product(axes), colours(full[0])
    if total in (len(full), len(full) * own):
        return [FileImage("", full, axes)]
    count = total // own if total % own == 0 and total // own < len(full) else total
    problem = f"{total} planes" if count > len(full) else ""
    return [FileImage("", full[:count], axes, problem=problem)]
