"""Read mask files as label images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..config.source import Masks
from ..core.errors import ImageError, PhenoloomError
from .choice import Choice
from .formats import read_file
from .reader import is_opaque
from .tiff.pages import Axes

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
    raw = read_mask(file, masks)
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


def read_mask(file: Path, masks: Masks | None = None) -> NDArray[Any]:
    """Read a mask as (h, w) integers, values as they are in the file; a palette gives its indices.

    White is 1 in a mask of one bit, whichever bit stands for it. A colour file with equal colours is one plane. What
    the file marks as alpha is left out where it hides nothing, or exactly the background. Pages are never left out: a
    file of several needs `masks.plane`.

    Raises:
        ImageError: The file cannot be read, holds no such plane, several of which none is chosen, true colours, or
            values that are not whole.
    """
    masks = masks or Masks()
    planes, axes = read_file(file, Choice.of_masks(masks))
    mask = np.ascontiguousarray(_chosen_plane(planes, axes, masks.plane, file.name))
    if mask.dtype.kind in "iu":
        return mask
    if mask.dtype.kind == "f" and np.isfinite(mask).all() and (mask == np.trunc(mask)).all():
        return mask.astype(np.int64)
    raise ImageError(f"expected whole numbers in a mask, found {mask.dtype.name} values in {file.name}")


def _chosen_plane(planes: NDArray[Any], axes: Axes, chosen: int | None, name: str) -> NDArray[Any]:
    """Return the plane (h, w) of a mask file that a study reads: the only one, or the one that it chooses."""
    if chosen is not None:
        if chosen >= len(planes):
            raise ImageError(f"expected plane {chosen} of a mask (`source.masks.plane`), found {len(planes)} in {name}")
        chosen_plane: NDArray[Any] = planes[chosen]
        return chosen_plane
    colours: NDArray[Any] = planes
    if axes[0][0] == "SA":
        colours, alpha = planes[:-1], planes[-1]
        if not (is_opaque(alpha) or np.array_equal(alpha > 0, colours.any(0))):
            raise ImageError(
                "expected a mask whose transparency hides nothing or exactly the background, found another one in "
                f"{name}; say in `source.masks.plane` which plane holds the objects: {len(colours)} is the transparency"
            )
    several_pages = not axes[0][0].startswith("S") and len(planes) > 1
    if several_pages or not (colours[1:] == colours[0]).all():
        along = " x ".join(f"{n} along {axis}" for axis, n in axes)
        what = f"pages ({along})" if several_pages else "different colours"
        raise ImageError(
            f"expected a mask of one plane, found {len(colours)} {what} in {name}; say in `source.masks.plane` which "
            "one holds the objects, from 0 in the order of the file"
        )
    first: NDArray[Any] = colours[0]
    return first


def components(foreground: NDArray[np.bool_]) -> Labels:
    """Return the 8-connected components of a foreground (h, w) as labels, numbered row by row."""
    labels: Labels = ndimage.label(foreground, np.ones((3, 3)), output=np.int32)[0]
    return labels


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
