"""Read mask files as label images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..config.source import Masks
from ..core.errors import ImageError, PhenoloomError
from .formats import read_file

Labels = NDArray[np.int32]
"""(h, w): 0 is background, every other value an object."""


def read_labels(file: Path, masks: Masks) -> Labels:
    """Read a mask file as labels (h, w); a mask without foreground gives no objects and is no error.

    With `masks.values`, pixels of any other value are background: the stray values that lossy editing leaves in mask
    files never become objects.

    Args:
        file: Path of the mask file.
        masks: What its values mean.

    Raises:
        ImageError: The file cannot be read, or does not hold labels.
        PhenoloomError: The settings of masks contradict each other.
    """
    raw = read_mask(file)
    foreground = np.isin(raw, masks.values) if masks.values is not None else raw > 0
    if masks.invert_when_border_is_foreground:
        if masks.objects == "labels":
            raise PhenoloomError(
                "`masks.invert_when_border_is_foreground` needs a binary mask, so `masks.objects` must be "
                "`components` or `one`, found `labels`"
            )
        if _border(foreground).mean() > 0.5:
            foreground = ~foreground
    if masks.objects == "one":
        return foreground.astype(np.int32)
    if masks.objects == "components":
        return components(foreground)
    if raw.size and (raw.min() < 0 or raw.max() > np.iinfo(np.int32).max):
        raise ImageError(f"expected labels from 0 to 2147483647 in {file.name}, found {raw.min()} to {raw.max()}")
    return np.where(foreground, raw, 0).astype(np.int32)


def read_mask(file: Path) -> NDArray[Any]:
    """Read a mask as (h, w) integers, values as they are in the file; a palette gives its indices.

    A colour file with equal colours is one plane (alpha ignored).

    Raises:
        ImageError: The file cannot be read, or holds true colours, several planes, or values that are not whole.
    """
    planes, axes = read_file(file, palette_indices=True)
    if {axis for axis, _ in axes} & {"Z", "T"}:
        raise ImageError(f"expected a mask of one plane, found {len(planes)} planes of a stack in {file.name}")
    if len(planes) in (2, 4):
        planes = planes[:-1]
    if len(planes) > 1 and not (planes[1:] == planes[0]).all():
        raise ImageError(
            f"expected a mask of one plane, found {len(planes)} different planes or colours in {file.name}"
        )
    mask = np.ascontiguousarray(planes[0])
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    if mask.dtype.kind in "iu":
        return mask
    if mask.dtype.kind == "f" and np.isfinite(mask).all() and (mask == np.trunc(mask)).all():
        return mask.astype(np.int64)
    raise ImageError(f"expected whole numbers in a mask, found {mask.dtype.name} values in {file.name}")


def components(foreground: NDArray[np.bool_]) -> Labels:
    """Return the 8-connected components of a foreground (h, w) as labels, numbered row by row."""
    labels: Labels = ndimage.label(foreground, np.ones((3, 3)), output=np.int32)[0]
    return labels


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
