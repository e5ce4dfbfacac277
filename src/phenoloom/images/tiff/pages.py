"""Pages of a TIFF as the file lists and marks them: full-resolution, reduced, transparency masks, and SubIFDs."""

from __future__ import annotations

import copy
import math
import struct
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import tifffile

from ...core.errors import ImageError
from ..choice import Choice

Axes = list[tuple[str, int]]
"""Names and sizes of the axes that the planes of a file lie along, slowest first: C, Z, T, or what a file calls them.

S is the colours of a picture; SA as well, and the file marks the last of them as alpha (transparency).
"""

Pages = list[tifffile.TiffPage]

_REDUCED, _MASK = 1, 4
_MOST_SUBS = 256
_ALPHA = (1, 2)


@dataclass
class FileImage:
    """An image among those that a TIFF holds.

    Attributes:
        name: Its name in the metadata; empty where it has none.
        pages: Its full-resolution pages, in the order of `axes`.
        axes: Axes that the pages lie along; empty where the file does not state them.
        levels: Pages of each reduced resolution, the largest first.
        problem: Why the metadata do not tell what the pages are; empty where they do.
        lacking: Number of planes that the metadata place in pages that the file does not have.
    """

    name: str
    pages: Pages
    axes: Axes = field(default_factory=list)
    levels: list[Pages] = field(default_factory=list)
    problem: str = ""
    lacking: int = 0


def main_pages(tif: tifffile.TiffFile) -> Pages:
    """Return all pages of the chain of a file, each once, without SubIFDs."""
    found, offsets = Pages(), set[int]()
    for page in tif.pages:
        # In a damaged file a page may name itself or an earlier one as the next: the chain would have no end.
        if page.offset in offsets and page.offset > 0:
            break
        offsets.add(page.offset)
        found.append(_whole(page))
    return found


def sub_pages(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Pages:
    """Return the SubIFDs of a page; raises ImageError where there are more than any file has."""
    if len(page.subifds or ()) > _MOST_SUBS:
        raise ImageError(
            f"expected at most {_MOST_SUBS} SubIFDs, found {len(page.subifds)} in {tif.filename} (page {page.index}): "
            "the file is damaged"
        )
    found = []
    for number, offset in enumerate(page.subifds or ()):
        if offset >= 8:
            tif.filehandle.seek(offset)
            found.append(tifffile.TiffPage(tif, (page.index, number)))
    return found


def is_full(page: tifffile.TiffPage) -> bool:
    """Whether a file marks a page neither as a reduced copy (a thumbnail, a level) nor as a transparency mask."""
    return not page.subfiletype & (_REDUCED | _MASK)


def is_mask(page: tifffile.TiffPage) -> bool:
    """Whether a file marks a page as the transparency mask of another page."""
    return bool(page.subfiletype & _MASK)


def has_alpha(page: tifffile.TiffPage) -> bool:
    """Whether a file marks the last sample of a page as alpha, and its samples fill their type.

    What is opaque among packed samples cannot be seen from their values: these count as colours.
    """
    packed = page.dtype is None or page.bitspersample != 8 * page.dtype.itemsize
    return page.samplesperpixel > 1 and not packed and bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA


def colours(page: tifffile.TiffPage) -> int:
    """Return the number of planes of a page."""
    return int(page.imagedepth * page.samplesperpixel)


def kind(page: tifffile.TiffPage) -> Hashable:
    """Return what pages of one image have in common."""
    return page.shape, page.dtype


def grouped(pages: Iterable[tifffile.TiffPage], key: Callable[[tifffile.TiffPage], Hashable] = kind) -> list[Pages]:
    """Return pages in groups of equal kind, in the order of their first pages."""
    groups: dict[Hashable, Pages] = {}
    for page in pages:
        groups.setdefault(key(page), []).append(page)
    return list(groups.values())


def is_smaller(page: tifffile.TiffPage, than: tifffile.TiffPage) -> bool:
    """Whether a page has fewer pixels than another one and is nowhere longer."""
    return bool(
        page.imagewidth <= than.imagewidth
        and page.imagelength <= than.imagelength
        and page.imagewidth * page.imagelength < than.imagewidth * than.imagelength
    )


def could_be_level(level: Pages, pages: Pages) -> bool:
    """Whether pages are as many as those of an image, of its type and proportions, and smaller."""
    small, large = level[0], pages[0]
    proportions = small.imagelength / large.imagelength - small.imagewidth / large.imagewidth
    rounding = 2 / large.imagelength + 2 / large.imagewidth
    return bool(
        len(level) == len(pages)
        and small.dtype == large.dtype
        and colours(small) == colours(large)
        and is_smaller(small, large)
        and abs(proportions) <= rounding
    )


def refuse_broken_chain(pages: Pages, tif: tifffile.TiffFile, name: str, choice: Choice) -> None:
    """Refuse a file that names a further page which it does not hold."""
    following = _next_offset(pages[-1], tif) if pages and pages[-1].offset > 0 else 0
    if following and following not in {page.offset for page in pages}:
        raise ImageError(
            f"expected another page behind page {len(pages) - 1}, at byte {following:,}, found a truncated file of "
            f"{tif.filehandle.size:,} bytes: {name}; if nothing is missing, say `{choice.section}.image: 0`"
        )


def _next_offset(page: tifffile.TiffPage, tif: tifffile.TiffFile) -> int:
    """Return where the page behind a page lies, 0 for none; in NDPI too, where tifffile looks 4 bytes a tag too far."""
    file, layout = tif.filehandle, tif.tiff
    file.seek(page.offset)
    tags: int = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))[0]
    file.seek(page.offset + layout.tagnosize + tags * layout.tagsize)
    following: int = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))[0]
    return following


def listed(pages: Sequence[tifffile.TiffPage]) -> str:
    """Return the numbers of pages with their size: `pages 0-3 and 7, 96 x 64 px`."""
    numbers = sorted(page.index for page in pages if len(page.treeindex) == 1)
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    subs = [page.treeindex for page in pages if len(page.treeindex) > 1]
    parts = [f"page{'s' * (len(numbers) > 1)} {', '.join(texts)}"] if texts else []
    if subs:
        several = f" and {len(subs) - 1} more" if len(subs) > 1 else ""
        parts.append(f"SubIFD {subs[0][-1]} of page {subs[0][0]}{several}")
    return f"{' and '.join(parts)}, {size_of(pages[0])}"


def size_of(page: tifffile.TiffPage) -> str:
    """Return height and width of a page, and its colours where it has several, for error messages."""
    planes = "" if colours(page) == 1 else f" x {colours(page)}"
    return f"{page.imagelength} x {page.imagewidth}{planes} px {page.dtype}"


def product(axes: Axes) -> int:
    """Return the number of planes along axes."""
    return math.prod(n for _, n in axes)


def _whole(page: tifffile.TiffPage | tifffile.TiffFrame) -> tifffile.TiffPage:
    """Return a page with all its properties; tifffile reads those of an LSM file but for two as frames without."""
    if isinstance(page, tifffile.TiffPage) or page.keyframe is None:
        return page if isinstance(page, tifffile.TiffPage) else page.aspage()
    whole = copy.copy(page.keyframe)
    for name in ("offset", "dataoffsets", "databytecounts", "subifds", "jpegtables", "_index"):
        setattr(whole, name, getattr(page, name))
    return whole
