"""Reduced resolutions of the images in a TIFF: SubIFDs, or pages that are marked as reduced."""

from __future__ import annotations

from .pages import FileImage, Pages, could_be_level, grouped, is_full, is_mask, is_smaller


def with_levels(image: FileImage, pages: Pages, subs: Pages, *, unmarked: bool = False) -> FileImage:
    """Return an image with its reduced resolutions, the largest first.

    Args:
        image: The image.
        pages: All pages of the file's chain.
        subs: All SubIFDs of the file.
        unmarked: Whether smaller SubIFDs are reduced resolutions though nothing marks them as such.

    Returns:
        The image, with its own levels where it has some already.
    """
    if image.pages and not image.levels:
        found = _in_subs(image, subs, unmarked=unmarked) + _in_chain(image, pages)
        image.levels = levels_among(image.pages, found)
    return image


def levels_among(pages: Pages, groups: list[Pages]) -> list[Pages]:
    """Return those of some groups of pages that could be reduced resolutions of an image, the largest first."""
    found = [group for group in groups if could_be_level(group, pages)]
    return sorted(found, key=lambda group: -group[0].imagewidth * group[0].imagelength)


def _in_subs(image: FileImage, subs: Pages, *, unmarked: bool) -> list[Pages]:
    """Return the SubIFDs of the pages of an image, one group for each number that they have in their page."""
    places = {page.treeindex[0]: number for number, page in enumerate(image.pages) if len(page.treeindex) == 1}
    mine = [
        sub
        for sub in subs
        if sub.treeindex[0] in places and not is_mask(sub)
        if not is_full(sub) or (unmarked and is_smaller(sub, image.pages[0]))
    ]
    mine.sort(key=lambda sub: places[sub.treeindex[0]])
    return grouped(mine, lambda sub: (sub.treeindex[-1], sub.shape))


def _in_chain(image: FileImage, pages: Pages) -> list[Pages]:
    """Return the reduced pages between the first page of an image and the full one that follows its last."""
    own = {page.treeindex for page in image.pages}
    first = min(page.index for page in image.pages)
    reduced = []
    for page in pages[first:]:
        if is_full(page) and page.treeindex not in own:
            break
        if not is_full(page) and not is_mask(page):
            reduced.append(page)
    return grouped(reduced)
