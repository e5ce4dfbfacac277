"""Which pages of an OME-TIFF belong to which image, channel, focal plane and time point, as its metadata say.

tifffile reads OME metadata too, but keeps what contradicts the pages to itself and fills gaps with zeros, and knows
nothing of a file whose metadata also describe planes of other files.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from .pages import Axes, FileImage, Pages

Place = tuple[int, ...]

_OME = re.compile(r"<(\w+:)?OME[\s>]")
_START = 4096


def is_ome(description: str) -> bool:
    """Whether the description of a file's first page holds OME metadata, whole or broken."""
    return bool(_OME.search(description[:_START]))


def ome_images(xml: str, pages: Pages, file_name: str) -> tuple[list[FileImage], str]:
    """Find the images of an OME-TIFF that have planes in the file.

    Args:
        xml: Its metadata.
        pages: All pages of its chain.
        file_name: Its name, by which the metadata may call it.

    Returns:
        The images, in the order of the metadata, and why there are none (else an empty text). An image that the
        metadata describe in contradiction to the pages has a `problem`.
    """
    try:
        root = ElementTree.fromstring(xml.strip("\ufeff\0 \t\r\n"))
    except (ElementTree.ParseError, ValueError):
        return [], "broken XML"
    own = _OwnFile(root, file_name)
    images = [
        image
        for element in root
        if _name(element) == "Image"
        for pixels in element
        if _name(pixels) == "Pixels"
        if (image := _image(element.get("Name", ""), pixels, pages, own)) is not None
    ]
    if images:
        return images, ""
    if any(_name(element) == "BinaryOnly" for element in root):
        return [], "metadata that are in another file"
    return [], "no plane that is in this file"


class _OwnFile:
    """Tells the planes of a file from those of the other files of its set.

    Args:
        root: The metadata.
        file_name: Name of the file.
    """

    def __init__(self, root: ElementTree.Element, file_name: str) -> None:
        self.uuid, self.file_name = root.get("UUID"), file_name.lower()

    def holds(self, block: ElementTree.Element) -> bool:
        """Whether the planes of a TiffData element are in the file."""
        for element in block:
            if _name(element) == "UUID":
                if self.uuid is not None:
                    return _bare(element.text) == _bare(self.uuid)
                return element.get("FileName", "").lower() == self.file_name
        return True


def _image(name: str, pixels: ElementTree.Element, pages: Pages, own: _OwnFile) -> FileImage | None:
    """Return one image, or None where all of its planes are in other files."""
    blocks = [element for element in pixels if _name(element) == "TiffData"]
    mine = [block for block in blocks if own.holds(block)]
    if blocks and not mine:
        return None
    try:
        first = next((ifd for block in mine if (ifd := int(block.get("IFD", 0))) < len(pages)), None)
        if first is None:
            return FileImage(name, [], problem="no page that the file has")
        sizes = _sizes(pixels, pages[first].samplesperpixel)
        planes = dict(itertools.chain.from_iterable(_planes(block, sizes, len(pages)) for block in mine))
        size = int(pixels.get("SizeY", 0)), int(pixels.get("SizeX", 0))
    except (KeyError, ValueError):
        return FileImage(name, [], problem="sizes or numbers of pages that cannot be read")
    return _with_pages(name, sizes, planes, pages, size, whole_set=len(mine) == len(blocks))


def _sizes(pixels: ElementTree.Element, samples: int) -> dict[str, int]:
    """Return the sizes of the axes that pages lie along, slowest first."""
    order = pixels.attrib["DimensionOrder"]
    if sorted(order) != sorted("XYCZT") or order[:2] != "XY":
        raise ValueError(order)
    sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in reversed(order[2:])}
    if sizes["C"] % samples == 0:
        # Colours of a page count as channels.
        sizes["C"] //= samples
    if min(sizes.values()) < 1:
        raise ValueError(sizes)
    return sizes


def _planes(block: ElementTree.Element, sizes: dict[str, int], pages: int) -> Iterator[tuple[Place, int]]:
    """Yield the place along the axes and the number of the page of each plane of a TiffData element."""
    ifd = int(block.get("IFD", 0))
    if ifd < 0:
        raise ValueError(ifd)
    count = int(block.get("PlaneCount", block.get("NumPlanes", 1 if "IFD" in block.attrib else pages - ifd)))
    position = 0
    for axis, size in sizes.items():
        start = int(block.get(f"First{axis}", 0))
        if not 0 <= start < size:
            return
        position = position * size + start
    for number in range(min(count, math.prod(sizes.values()) - position)):
        place, rest = [], position + number
        for size in reversed(sizes.values()):
            rest, index = divmod(rest, size)
            place.append(index)
        yield tuple(reversed(place)), ifd + number


def _with_pages(
    name: str, sizes: dict[str, int], planes: dict[Place, int], pages: Pages, size: tuple[int, int], *, whole_set: bool
) -> FileImage:
    """Return an image with its pages in order, or with what contradicts them."""
    present = {place: ifd for place, ifd in planes.items() if ifd < len(pages)}
    found = [pages[ifd] for ifd in dict.fromkeys(present.values())]
    wanted = [list(range(n)) for n in sizes.values()]
    if not whole_set and present:
        # The others are in other files: this one may hold a part of each axis.
        wanted = [sorted({place[axis] for place in present}) for axis in range(len(sizes))]
    places = list(itertools.product(*wanted))
    axes: Axes = [(axis, len(used)) for axis, used in zip(sizes, wanted, strict=True) if len(used) > 1]
    if not found:
        return FileImage(name, [], problem="no page that the file has")
    if len(found) < len(present):
        return FileImage(name, found, problem=f"{len(present)} planes in {len(found)} pages")
    if missing := [place for place in places if place not in present]:
        problem = f"{len(places)} planes, of which {len(missing)} are not in this file"
        return FileImage(name, found, problem=problem, lacking=len(planes) - len(present))
    ordered = [pages[present[place]] for place in places]
    if all(size) and any((page.imagelength, page.imagewidth) != size for page in ordered):
        return FileImage(name, ordered, problem=f"planes of {size[0]} x {size[1]} px, other than those of the pages")
    return FileImage(name, ordered, axes)


def _bare(uuid: str | None) -> str:
    return (uuid or "").strip().lower().removeprefix("urn:uuid:")


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
