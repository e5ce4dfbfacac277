"""Objects of an image: from mask files, or segmented by threshold and watershed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..config.source import Masks
from ..core.errors import ImageError, PhenoloomError
from .formats import read_mask

Labels = NDArray[np.int32]
"""(h, w): 0 is background, every other value an object."""


def read_labels(file: Path, masks: Masks) -> Labels:
    """Read a mask file as labels (h, w); a mask without foreground gives no objects and is no error.

    With `masks.values`, pixels of any other value are background: the stray values that lossy editing leaves in mask
    files never become objects.
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
        return _components(foreground)
    if raw.size and (raw.min() < 0 or raw.max() > np.iinfo(np.int32).max):
        raise ImageError(f"expected labels from 0 to 2147483647 in {file.name}, found {raw.min()} to {raw.max()}")
    return np.where(foreground, raw, 0).astype(np.int32)


def _components(foreground: NDArray[np.bool_]) -> Labels:
    """8-connected components, numbered row by row."""
    labels: Labels = ndimage.label(foreground, np.ones((3, 3)), output=np.int32)[0]
    return labels


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
