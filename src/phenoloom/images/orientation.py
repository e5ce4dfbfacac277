"""Turn planes as the Orientation of TIFF and EXIF says, so that an image and its mask agree however each was saved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
TAG = 274
"""Number of the tag in TIFF and in EXIF."""

_TURNED = (5, 6, 7, 8)
_MIRRORED_LEFT_RIGHT, _MIRRORED_UP_DOWN = (2, 3, 6, 7), (3, 4, 7, 8)


def known(code: Any) -> int:
    """Return an orientation from 1 to 8; any other value counts as upright, as in libtiff and Pillow."""
    return int(code) if code in range(1, 9) else UPRIGHT


def turns(code: int) -> bool:
    """Whether an orientation from 1 to 8 swaps height and width."""
    return code in _TURNED


def oriented(planes: NDArray[Any], code: int) -> NDArray[Any]:
    """Return a view of stored planes (..., h, w) as they are seen, for an orientation from 1 to 8.

    It says where the first row and the first column of what is stored are seen: 1 top, left; 2 top, right; 3 bottom,
    right; 4 bottom, left; 5 left, top; 6 right, top; 7 right, bottom; 8 left, bottom.
    """
    if code in _TURNED:
        planes = np.swapaxes(planes, -1, -2)
    if code in _MIRRORED_UP_DOWN:
        planes = planes[..., ::-1, :]
    return planes[..., ::-1] if code in _MIRRORED_LEFT_RIGHT else planes
