"""Read one image of a study, whatever files it is spread over, as one plane a channel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config.planes import Planes
from ..core.errors import ImageError
from .choice import Choice
from .formats import file_axes, read_file
from .projection import project
from .tiff.pages import Axes

PIXELS = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32")
"""Pixel types that the tile store holds without loss."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of one image, and which of their planes it is made of.

    Attributes:
        files: One file a channel in the order of the channels, one file a plane (the channels of the first focal plane
            of the first time point first), or one file that holds all.
        grid: Number of time points and of focal planes that `files` spread over; None: each file holds its own.
        plane: Time point and focal plane that the image shows; -1: by the study's policy.
    """

    files: Sequence[Path]
    grid: tuple[int, int] | None = None
    plane: tuple[int, int] = (-1, -1)

    @classmethod
    def of(cls, row: Mapping[str, Any], root: Path) -> ImageFiles:
        """Return the files that a row of the sheet lists; their paths are relative to `root`."""
        files = [root / file for file in row["files"]]
        grid, plane = row.get("grid"), row.get("plane")
        return cls(files, tuple(grid) if grid else None, tuple(plane) if plane else (-1, -1))


@dataclass(frozen=True)
class Reader:
    """A reader of images of one kind.

    Attributes:
        channels: Number of channels that the files of an image hold.
        planes: What becomes of focal planes and time points; None: images with several are refused.
        image: Image that is read of a file that holds several, by number or name; None: these are refused.
        level: Resolution that is read of a pyramid; None: the full one.
        select: Channels to return, in this order; None: all of them.
        dtype: Pixel type that images must have; None: any of `PIXELS`.
    """

    channels: int
    planes: Planes | None = None
    image: int | str | None = None
    level: int | None = None
    select: tuple[int, ...] | None = None
    dtype: str | None = None

    @property
    def choice(self) -> Choice:
        """What of a file is read."""
        return Choice.of_images(self.image, self.level, self.planes)

    def read(self, image: ImageFiles) -> NDArray[Any]:
        """Read one image as (c, h, w) in the camera's dtype, C-contiguous.

        Raises:
            ImageError: A file is missing, damaged or no image; files differ in shape or dtype; the number of channels
                or the dtype is not as expected; a pixel is NaN or infinite; or an axis has no policy.
        """
        pixels = project(self.read_stack(image), self.planes or Planes(), image.plane)
        if self.dtype and pixels.dtype.name != self.dtype:
            raise ImageError(
                f"expected pixels of type {self.dtype} like those that the model was trained on, "
                f"found {pixels.dtype.name} in {image.files[0].name}; a conversion must keep the camera's unit"
            )
        return np.ascontiguousarray(pixels if self.select is None else pixels[list(self.select)])

    def read_stack(self, image: ImageFiles) -> NDArray[Any]:
        """Read all planes of one image, (t, z, c, h, w); raises ImageError like `read`."""
        files, grid = image.files, image.grid
        planes = 1 if grid is None else math.prod(grid)
        if len(files) not in (planes, planes * self.channels):
            raise ImageError(
                f"expected one file or one file for each of {self.channels} channels, found {len(files)} files"
            )
        channels = self.channels if len(files) == planes else 1
        # A file of one plane that holds a stack of its own is a mistake.
        stacked = None if grid is None else "the names of files tell planes apart, so each file must hold one"
        parts = [_stack_in_file(file, channels, self, stacked) for file in files]
        _refuse_different(parts, files)
        for number, (part, file) in enumerate(zip(parts, files, strict=True)):
            _refuse_unusable(part, file, number * channels % self.channels)
        stack = parts[0] if len(parts) == 1 else np.concatenate(parts, 2)
        return stack if grid is None else stack.reshape(*grid, self.channels, *stack.shape[-2:])

    def stack_size(self, files: Sequence[Path]) -> tuple[int, int]:
        """Count the time points and focal planes of one image with stacks in its files; reads no pixel of a TIFF."""
        channels = self.channels if len(files) == 1 else 1
        sizes = _axis_sizes(file_axes(files[0], self.choice), channels, self.planes, files[0].name)
        return sizes.get("T", 1), sizes.get("Z", 1)


def _stack_in_file(file: Path, channels: int, reader: Reader, stacked: str | None) -> NDArray[Any]:
    """Read all planes of one file, (t, z, c, h, w); `stacked` says why it may not hold a stack, if it may not."""
    pages, axes = read_file(file, reader.choice)
    if stacked:
        sizes = _channel_size(axes, channels, file.name, stacked)
    else:
        sizes = _axis_sizes(axes, channels, reader.planes, file.name)
    if not sizes:
        pages, sizes = _channels_of(pages, axes, channels, file.name), {"C": channels}
    image, names = pages.reshape(*sizes.values(), *pages.shape[1:]), list(sizes)
    for axis in "CZT":
        if axis not in names:
            image, names = image[None], [axis, *names]
    return image.transpose(*(names.index(axis) for axis in "TZC"), -2, -1)


def _axis_sizes(axes: Axes, channels: int, planes: Planes | None, name: str) -> dict[str, int]:
    """Return sizes of a file's axes, slowest first; empty where it is no stack and has other channels than expected."""
    if planes is None:
        advice = "say in `source.planes` what becomes of focal planes and time points"
        return _channel_size(axes, channels, name, advice)
    total = math.prod(n for _, n in axes)
    sizes = dict(_axes_of_study(planes.axes, total, channels, name) if planes.axes is not None else axes)
    if sizes.keys() & {"S", "SA"}:
        sizes = {"C": total}
    if set(sizes) - set("CZT"):
        raise ImageError(
            f"expected pages along channels, z and t, found axes {''.join(sizes)} in {name}; say in "
            "`source.planes.axes` what they are"
        )
    found_channels = sizes.get("C", 1)
    if found_channels != channels and not sizes.keys() & {"Z", "T"}:
        return {}
    if found_channels != channels:
        raise ImageError(f"expected {channels} channels, found {found_channels} in {name}")
    return sizes


def _channel_size(axes: Axes, channels: int, name: str, advice: str) -> dict[str, int]:
    """Return the size of the only axis of a file without stacks; empty where it has other channels than expected."""
    total = math.prod(n for _, n in axes)
    if {axis for axis, _ in axes} - {"C", "S", "SA"}:
        found = " x ".join(f"{n} along {axis}" for axis, n in axes)
        raise ImageError(f"expected one plane a channel, found {found} in {name}; {advice}")
    return {"C": total} if total == channels else {}


def _axes_of_study(axes: str, pages: int, channels: int, name: str) -> Axes:
    """Return the axes that the study states, with their sizes."""
    own = channels if "C" in axes else 1
    if pages % own or (own != pages and set(axes) == {"C"}):
        raise ImageError(f"expected pages of {own} channels along {axes}, found {pages} in {name}")
    return [(axis, own if axis == "C" else pages // own) for axis in axes]


def _channels_of(pages: NDArray[Any], axes: Axes, channels: int, name: str) -> NDArray[Any]:
    """Return exactly `channels` planes of a file that is no stack.

    A plane that the file marks as alpha is dropped if it is opaque all over, and three equal colours are one grey
    channel: nothing is lost.
    """
    found = len(pages)
    if axes == [("SA", found)] and found - 1 in (channels, 3) and is_opaque(pages[-1]):
        pages = pages[:-1]
    if axes[0][0] != "C" and channels == 1 and len(pages) == 3 and (pages[1:] == pages[0]).all():
        pages = pages[:1]
    if len(pages) != channels:
        if axes[0][0] == "C":
            advice = "; say in `source.channels` or `source.planes.axes` what its pages are"
        elif axes == [("SA", found)] and len(pages) == found:
            advice = ", of which the last is a transparency that is not opaque everywhere; save it without transparency"
        else:
            advice = "; name its colours in `source.channels`"
        raise ImageError(f"expected {channels} channels, found {found} pages or colours in {name}{advice}")
    return pages


def is_opaque(alpha: NDArray[Any]) -> bool:
    """Whether alpha hides nothing anywhere: it is 1 if floating-point, else the largest number of its type."""
    return bool((alpha == (1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max)).all())


def _refuse_different(parts: Sequence[NDArray[Any]], files: Sequence[Path]) -> None:
    """Refuse files of one image that differ in shape or dtype."""
    first = parts[0]
    for part, file in zip(parts, files, strict=True):
        if part.shape != first.shape or part.dtype != first.dtype:
            raise ImageError(
                f"expected all channels like {files[0].name} ({_described(first)}), "
                f"found {file.name} ({_described(part)})"
            )


def _described(stack: NDArray[Any]) -> str:
    times, depths, channels, height, width = stack.shape
    planes = [(times, "time points"), (depths, "focal planes"), (channels, "channels")]
    parts = [f"{n} {what}" for n, what in planes if n > 1] + [f"{height} x {width} px", stack.dtype.name]
    return ", ".join(parts)


def _refuse_unusable(part: NDArray[Any], file: Path, first_channel: int) -> None:
    """Refuse pixels (t, z, c, h, w) of a type that the store does not hold, and pixels that are not finite."""
    if part.dtype.name not in PIXELS:
        raise ImageError(f"expected pixels of type {', '.join(PIXELS)}, found {part.dtype.name} in {file.name}")
    if part.dtype.kind != "f" or (np.isfinite(part.min()) and np.isfinite(part.max())):
        return
    bad = np.argwhere(~np.isfinite(part))
    channel, y, x = (int(i) for i in bad[0][2:])
    raise ImageError(
        f"expected finite pixels, found {len(bad)} NaN or infinite ones in {file.name}, "
        f"the first in channel {first_channel + channel} at y {y}, x {x}"
    )
