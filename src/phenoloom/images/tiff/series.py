"""Choose the pages of a TIFF that a study reads, and refuse to leave out full-resolution pages that nobody asked for.

A file may hold several images, each of several pages along several axes and in several resolutions. What a page is
comes from what the file says of it: OME metadata, ImageJ's and other descriptions, the marks of slide scanners, and
the tag NewSubfileType. Reduced copies and transparency masks are left out; every other page is read or named in a
refusal.
"""

from __future__ import annotations

import tifffile

from ...core.errors import ImageError
from ..choice import Choice
from .levels import levels_among, with_levels
from .metadata import metadata_problem, stated_images, what_pages_are
from .ome import is_ome
from .pages import (
    Axes,
    FileImage,
    Pages,
    colours,
    could_be_level,
    grouped,
    has_alpha,
    is_full,
    is_smaller,
    listed,
    main_pages,
    product,
    refuse_broken_chain,
    sub_pages,
)
from .slides import slide_of

_MOST_LISTED = 6


def chosen_pages(tif: tifffile.TiffFile, name: str, choice: Choice) -> tuple[Pages, Axes]:
    """Return the pages that a study reads, and the axes of their planes.

    Args:
        tif: The open file.
        name: Its name, for error messages.
        choice: Image and level to read, and whether the study states what pages are.

    Returns:
        Pages in the order of the axes, and the axes of all planes, of which each page holds its colours. Pages that
        state nothing lie along C.

    Raises:
        ImageError: The file holds no full-resolution page, several images or other pages than the choice explains, or
            metadata that contradict its pages.
    """
    pages = main_pages(tif)
    if choice.image is None:
        refuse_broken_chain(pages, tif, name, choice)
    full = [page for page in pages if is_full(page)]
    subs = [sub for page in pages for sub in sub_pages(tif, page)]
    images, by_products = _images(tif, pages, subs, name, choice)
    if not images:
        raise _no_full_page(pages, name)
    image = _image(images, name, choice)
    if choice.image is None:
        _refuse_unread([*full, *filter(is_full, subs)], image, by_products, name, choice)
    if not image.pages:
        raise _no_full_page(pages, name)
    return _level(image, name, choice), _plane_axes(image, name, choice)


def _no_full_page(pages: Pages, name: str) -> ImageError:
    marked = f" among {len(pages)} that are marked as reduced copies or transparency masks" if pages else ""
    return ImageError(f"expected at least one full-resolution page, found none{marked} in {name}")


def _images(
    tif: tifffile.TiffFile, pages: Pages, subs: Pages, name: str, choice: Choice
) -> tuple[list[FileImage], Pages]:
    """Return the images of a file, and pages that it marks as something else."""
    if slide := slide_of(tif, pages):
        return [with_levels(image, pages, subs) for image in slide.images], slide.by_products
    images = stated_images(tif, pages, name, choice)
    stated = images is not None
    if images is None:
        images = [FileImage("", group) for group in grouped(page for page in pages if is_full(page))]
    # A study that names a level says that smaller SubIFDs are levels, and so does the format OME-TIFF.
    images = [with_levels(image, pages, subs, unmarked=choice.level is not None) for image in images]
    ome = bool(pages) and is_ome(pages[0].description)
    of_levels = {page.treeindex for image in images for level in image.levels for page in level}
    if choice.level is not None and (choice.image is None or not stated):
        images = _as_pyramid(images)
    by_format = [sub for sub in subs if ome and is_smaller(sub, pages[sub.treeindex[0]])]
    known = of_levels | {sub.treeindex for sub in by_format}
    others = [sub for sub in subs if is_full(sub) and sub.treeindex not in known]
    return images + [FileImage("", group) for group in grouped(others)], by_format


def _as_pyramid(images: list[FileImage]) -> list[FileImage]:
    """Return images of which those that could be reduced copies of the first one are its levels: the study has some."""
    if not images or not images[0].pages:
        return images
    first, *others = images
    smaller = [one for one in others if one.pages and not one.problem and could_be_level(one.pages, first.pages)]
    first.levels = levels_among(first.pages, first.levels + [one.pages for one in smaller])
    return [first, *(one for one in others if one not in smaller)]


def _image(images: list[FileImage], name: str, choice: Choice) -> FileImage:
    """Return the chosen image of a file; refuse several without a choice, and one that contradicts its metadata."""
    key = f"`{choice.section}.image`"
    if choice.image is None:
        candidates = [image for image in images if image.pages or image.problem]
        if len(candidates) > 1:
            raise ImageError(
                f"expected one image, found {len(candidates)} in {name}: {_described(images)}; say in {key} which one "
                f"is read, by its number or name{_hint(candidates, choice)}"
            )
        image = (candidates or images)[0]
    elif isinstance(choice.image, int):
        if choice.image >= len(images):
            raise ImageError(
                f"expected image {choice.image} ({key}), found {len(images)} in {name}: {_described(images)}"
            )
        image = images[choice.image]
    else:
        named = [image for image in images if image.name == choice.image]
        if len(named) != 1:
            raise ImageError(
                f"expected one image named {choice.image!r} ({key}), found {len(named)} in {name}: {_described(images)}"
            )
        image = named[0]
    if image.problem:
        raise metadata_problem("", image.problem, name, choice)
    return image


def _hint(images: list[FileImage], choice: Choice) -> str:
    """Return what else a user may say of several images: that they are resolutions of one, or pages of one."""
    first, *others = [image.pages for image in images if image.pages] or [[]]
    if choice.level is None and others and all(levels_among(first, [other]) for other in others):
        return f", or `{choice.section}.level: 0` if the smaller ones are reduced copies of the first"
    if others and all(other[0].shape == first[0].shape and other[0].dtype == first[0].dtype for other in others):
        return f"; or say in `{choice.order_key}` {what_pages_are(choice)}; or save each image in a file of its own"
    return ""


def _described(images: list[FileImage]) -> str:
    texts = []
    for number, image in enumerate(images[:_MOST_LISTED]):
        named = f" {image.name!r}" if image.name else ""
        along = " x ".join(f"{n} along {axis}" for axis, n in image.axes)
        pages = listed(image.pages) if image.pages else "no full-resolution page"
        texts.append(f"{number}{named} ({pages}{', ' + along if along else ''})")
    more = len(images) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")


def _refuse_unread(full: Pages, image: FileImage, by_products: Pages, name: str, choice: Choice) -> None:
    """Refuse full-resolution pages that are neither in the image nor something else by what the file says."""
    known = {page.treeindex for page in [*image.pages, *by_products, *(p for level in image.levels for p in level)]}
    unread = [page for page in full if page.treeindex not in known]
    if not unread:
        return
    along = f" ({' x '.join(f'{n} along {axis}' for axis, n in image.axes)})" if image.axes else ""
    count = len(image.pages)
    smaller = all(is_smaller(page, image.pages[0]) for page in unread) if image.pages else False
    order = "" if smaller else f", or say in `{choice.order_key}` {what_pages_are(choice)}"
    raise ImageError(
        f"expected {count} full-resolution page{'s' * (count != 1)}{along} by what the file says, "
        f"found {len(unread)} more that nothing is said of in {name}: {'; '.join(map(listed, grouped(unread)))}; "
        f"say `{choice.section}.image: 0` to leave them out{order}"
    )


def _level(image: FileImage, name: str, choice: Choice) -> Pages:
    """Return the pages of the chosen resolution."""
    levels = [image.pages, *image.levels]
    if choice.level is None or choice.level < len(levels):
        return levels[choice.level or 0]
    sizes = ", ".join(f"{n}: {level[0].imagelength} x {level[0].imagewidth} px" for n, level in enumerate(levels))
    raise ImageError(
        f"expected level {choice.level} of a pyramid (`{choice.section}.level`), found {len(levels)} in {name}: {sizes}"
    )


def _plane_axes(image: FileImage, name: str, choice: Choice) -> Axes:
    """Return the axes of all planes of an image: those of its pages, then those in a page."""
    first, pages, axes = image.pages[0], image.pages, image.axes
    own = [(axis, n) for axis, n in (("C", first.samplesperpixel), ("Z", first.imagedepth)) if n > 1]
    if axes and product(axes) == len(pages) * colours(first):
        return axes
    if len(pages) == 1 and [axis for axis, _ in own] == ["C"]:
        return [("SA" if has_alpha(first) else "S", first.samplesperpixel)]
    if not axes:
        axes = [("C", len(pages))] if len(pages) > 1 or not own else []
    if product(axes) != len(pages):
        raise metadata_problem("", " x ".join(f"{n} along {axis}" for axis, n in axes), name, choice)
    return _merged(axes, own, name)


def _merged(axes: Axes, own: Axes, name: str) -> Axes:
    """Return axes of pages, and behind them those in a page; channels of pages and colours in them are one axis."""
    if not own:
        return axes
    twice = {axis for axis, _ in axes} & {axis for axis, _ in own}
    if not twice:
        return axes + own
    if axes[-1][0] == own[0][0] and len(twice) == 1:
        return [*axes[:-1], (own[0][0], axes[-1][1] * own[0][1]), *own[1:]]
    raise ImageError(
        f"expected each axis once, found pages along {''.join(axis for axis, _ in axes)} that hold several of "
        f"{''.join(axis for axis, _ in own)} each in {name}; save the file again with one plane a page"
    )
