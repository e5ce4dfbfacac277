"""Classical shape descriptors: vectors of contours that need no training, batched over objects.

Each function takes contours (n, p, 2) in px and returns (n, k) float64, with the same columns for every shard. None
sees where a contour lies; what else each is invariant to is said in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fourier import EFD_NAMES, FOURIER_NAMES, SPECTRUM_NAMES, distance_spectrum, efd, fourier
from .region_properties import (
    REGION_NAMES,
    region_properties,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DescriptorSet:
    """A set of descriptors: the names of its columns and the function that computes them."""

    names: tuple[str, ...]
    compute: Callable[[NDArray[np.floating[Any]]], Floats]


DESCRIPTORS = {
    "regionprops": DescriptorSet(REGION_NAMES, region_properties),
    "efd": DescriptorSet(EFD_NAMES, efd),
    "fourier": DescriptorSet(FOURIER_NAMES, fourier),
    "distance-spectrum": DescriptorSet(SPECTRUM_NAMES, distance_spectrum),
}
