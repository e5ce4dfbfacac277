"""Stacks of focal planes and films to images of one plane a channel, by a policy that the study states."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config.planes import Planes, Policy
from ..core.errors import ImageError
from .formats import page_axes, read_image, read_pages
from .tiff import Axes

ALL = "all"


class Where(NamedTuple):
    """Which files and planes an image is made of: `grid` is the number of time points and focal planes that `files`
    spread over (None: each file holds its own), `plane` the time point and focal plane that is meant (-1: by policy).
    """

    grid: tuple[int, int] | None = None
    plane: tuple[int, int] = (-1, -1)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Where:
        """As a row of the sheet tells it."""
        grid, plane = row.get("grid"), row.get("plane")
        return cls(tuple(grid) if grid else None, tuple(plane) if plane else (-1, -1))


def read_projected(files: Sequence[Path], channels: int, planes: Planes, where: Where) -> NDArray[Any]:
    """One image as (c, h, w) in the camera's dtype; raises ImageError as `readers.read_image` does, and for an axis
    without a policy.
    """
    return np.ascontiguousarray(project(read_stack(files, channels, planes, where.grid), planes, where.plane))


def read_stack(
    files: Sequence[Path], channels: int, planes: Planes, grid: tuple[int, int] | None = None
) -> NDArray[Any]:
    """All planes of one image, (t, z, c, h, w): of one file, of one file a channel, or of one file a plane.

    Files of single planes come with the channels of the first focal plane of the first time point first.
    """
    if grid is not None and len(files) == grid[0] * grid[1] * channels:
        # Read as channels: they must agree in shape and type as those of one image do.
        together = read_image(list(files), len(files))
        return together.reshape(*grid, channels, *together.shape[1:])
    if grid is not None:
        images = [read_image([file], channels) for file in files]
        if len({(image.shape, image.dtype) for image in images}) > 1:
            raise ImageError(f"expected planes of one shape and type, found others among those of {files[0].name}")
        return np.stack(images).reshape(*grid, *images[0].shape)
    if len(files) == 1:
        return _of_file(files[0], channels, planes)
    if len(files) != channels:
        raise ImageError(f"expected one file or one file for each of {channels} channels, found {len(files)} files")
    stacks = [_of_file(file, 1, planes) for file in files]
    for file, stack in zip(files, stacks, strict=True):
        if stack.shape != stacks[0].shape or stack.dtype != stacks[0].dtype:
            raise ImageError(
                f"expected stacks of {stacks[0].shape} {stacks[0].dtype} like {files[0].name}, found {stack.shape} "
                f"{stack.dtype} in {file.name}"
            )
    return np.concatenate(stacks, 2)


def stack_size(files: Sequence[Path], channels: int, planes: Planes) -> tuple[int, int]:
    """Time points and focal planes of one image whose files hold their own; no pixel of a TIFF is read."""
    sizes = _sizes(page_axes(files[0]), channels if len(files) == 1 else 1, planes, files[0].name)
    return sizes.get("T", 1), sizes.get("Z", 1)


def project(stack: NDArray[Any], planes: Planes, plane: tuple[int, int] = (-1, -1)) -> NDArray[Any]:
    """A stack (t, z, c, h, w) as (c, h, w): z by its policy at each time point, then t; `plane` chooses of `all`."""
    for axis, policy, name, chosen in ((1, planes.z, "z", plane[1]), (0, planes.t, "t", plane[0])):
        count = stack.shape[axis]
        if count > 1 and policy is None:
            what = "focal planes" if name == "z" else "time points"
            raise ImageError(f"expected one plane a channel, found {count} {what}; say in `source.planes.{name}` which")
        if chosen >= count:
            raise ImageError(f"expected at least {chosen + 1} planes along {name}, found {count}")
        stack = np.take(stack, [max(chosen, 0)], axis) if policy in (None, ALL) else _reduced(stack, axis, policy)
    image: NDArray[Any] = stack[0, 0]
    return image


def _reduced(stack: NDArray[Any], axis: int, policy: Policy) -> NDArray[Any]:
    """One plane along an axis, which stays with length 1."""
    count = stack.shape[axis]
    if policy == "max":
        return np.asarray(stack.max(axis, keepdims=True))
    if policy == "mean":
        mean = stack.mean(axis, dtype=np.float64, keepdims=True)
        return np.asarray((np.rint(mean) if stack.dtype.kind in "iu" else mean).astype(stack.dtype))
    if policy == "sharpest":
        others = stack.shape[1 - axis]
        chosen = [_sharpest(np.take(stack, i, 1 - axis)) for i in range(others)]
        parts = [np.take(np.take(stack, [i], 1 - axis), [best], axis) for i, best in enumerate(chosen)]
        return np.concatenate(parts, 1 - axis)
    return np.take(stack, [{"first": 0, "last": count - 1, "middle": count // 2}[policy]], axis)


def _sharpest(planes: NDArray[Any]) -> int:
    """The plane of (n, c, h, w) with the largest variance of the Laplacian (Pech-Pacheco et al. 2000).

    Of each channel in units of its mean over the planes, so that no bright channel decides alone; one plane for all, so
    that channels stay in register. The first of equal ones.
    """
    values = planes.astype(np.float32)
    scores = np.array([[cv2.Laplacian(plane, cv2.CV_32F).var() for plane in image] for image in values])
    usual = scores.mean(0)
    return int((scores / np.where(usual > 0, usual, 1)).sum(1).argmax())


def _of_file(file: Path, channels: int, planes: Planes) -> NDArray[Any]:
    """All planes of one file, (t, z, c, h, w)."""
    pages, axes = read_pages(file)
    sizes = _sizes(axes, channels, planes, file.name)
    if not sizes:
        # No stack: what an image may be besides, opaque or of equal colours, is told there.
        return read_image([file], channels)[None, None]
    image, names = pages.reshape(*sizes.values(), *pages.shape[1:]), list(sizes)
    for axis in "CZT":
        if axis not in names:
            image, names = image[None], [axis, *names]
    return image.transpose(*(names.index(axis) for axis in "TZC"), -2, -1)


def _sizes(axes: Axes, channels: int, planes: Planes, name: str) -> dict[str, int]:
    """Sizes of a file's axes, slowest first; empty where it is no stack, and its channels are not those expected."""
    if planes.axes is not None:
        axes = _told(planes.axes, math.prod(n for _, n in axes), channels, name)
    sizes = dict(axes)
    found = sizes.get("C", 1)
    if set(sizes) - set("CZT"):
        raise ImageError(
            f"expected pages along channels, z and t, found axes {''.join(sizes)} in {name}; say in "
            "`source.planes.axes` what they are"
        )
    if found != channels and not sizes.keys() & {"Z", "T"}:
        return {}
    if found != channels:
        raise ImageError(f"expected {channels} channels, found {found} in {name}")
    return sizes


def _told(axes: str, pages: int, channels: int, name: str) -> Axes:
    """Sizes of axes of which the channels' is known."""
    own = channels if "C" in axes else 1
    if pages % own or (own != pages and set(axes) == {"C"}):
        raise ImageError(f"expected pages of {own} channels along {axes}, found {pages} in {name}")
    return [(axis, own if axis == "C" else pages // own) for axis in axes]
