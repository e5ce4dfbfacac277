"""Say which files an image is read from, and which of its planes are images of their own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ..config.source import Source
from ..core.errors import ImageError
from ..images.reader import Reader
from .files import Root, natural
from .images import Image

Row = dict[str, Any]
"""A row of the sheet."""


def channel_files(image: Image, source: Source) -> list[str]:
    """Return the files of an image in the order of the study's channels, of a stack those of all its planes.

    Raises:
        ImageError: A channel or a plane has no file.
    """
    if image.stack:
        return _stack_files(image, [""] if "" in image.files else list(source.channels))
    if "" in image.files:
        return [image.files[""]]
    if missing := [channel for channel in source.channels if channel not in image.files]:
        raise ImageError(f"there is no file for channel {', '.join(map(repr, missing))}")
    return [image.files[channel] for channel in source.channels]


def rows_of_planes(row: Row, image: Image, source: Source, root: Root) -> list[Row]:
    """Return the rows of an image: itself, or each plane of its files that is to be an image of its own.

    Args:
        row: Its row so far, with its files.
        image: The image.
        source: Section of raw data of the study.
        root: Folder of the raw data.

    Raises:
        ImageError: Its files cannot be read.
    """
    if source.planes is None:
        return [row]
    row |= {"stack": image.whole, "grid": _grid(image) if image.stack else None, "plane": [-1, -1]}
    kept = [axis == "all" for axis in (source.planes.t, source.planes.z)]
    if image.stack or not any(kept):
        return [row]
    files = [root.path(file) for file in row["files"]]
    counts = Reader(len(source.channels), source.planes, source.image, source.level).stack_size(files)
    points = [range(n) if keep and n > 1 else [-1] for n, keep in zip(counts, kept, strict=True)]
    places = list(itertools.product(*points))
    if len(places) == 1:
        return [row]

    def name(place: tuple[int, ...]) -> str:
        return "".join(f"/{axis}{n:03d}" for axis, n in zip("tz", place, strict=True) if n >= 0)

    return [
        {
            **row,
            "image_id": row["image_id"] + name(place),
            "stack": row["image_id"],
            "plane": list(place),
            "bytes": row["bytes"] // len(places),
        }
        for place in places
    ]


def _grid(image: Image) -> list[int]:
    return [len({place[axis] for place in image.stack}) for axis in (0, 1)]


def _stack_files(image: Image, channels: Sequence[str]) -> list[str]:
    """Return the files of a stack, the channels of the first focal plane of the first time point first."""
    times, depths = (sorted({place[axis] for place in image.stack}, key=natural) for axis in (0, 1))
    wanted = list(itertools.product(times, depths, channels))
    if missing := [place for place in wanted if place not in image.stack]:
        t, z, channel = missing[0]
        what = ", ".join(f"{name} {text!r}" for name, text in (("t", t), ("z", z), ("channel", channel)) if text)
        raise ImageError(f"there is no file for {what}; {len(missing)} of {len(wanted)} planes are missing")
    return [image.stack[place] for place in wanted]
