"""Classical shape descriptors: vectors of contours that need no training, batched over objects.

To add a set of descriptors, write a module with the names of its columns and a function of contours, and add one line
to `DESCRIPTORS`. Studies ask for a set by its key there, so the key joins the names in `config.base.Descriptor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fourier import (
    EFD_NAMES,
    FOURIER_NAMES,
    PUBLISHED_EFD_NAMES,
    SPECTRUM_NAMES,
    distance_spectrum,
    efd,
    fourier,
    published_efd,
)
from .polygons import Floats
from .region_properties import REGION_NAMES, region_properties


@dataclass(frozen=True)
class DescriptorSet:
    """A set of descriptors.

    Attributes:
        names: Names of its columns, the same for every shard.
        compute: Function of contours (n, p, 2) in px to finite values (n, columns) float64. No value may depend on
            where a contour lies or on the rest of the batch; its docstring says what else it is invariant to.
    """

    names: tuple[str, ...]
    compute: Callable[[NDArray[np.floating[Any]]], Floats]


DESCRIPTORS: dict[str, DescriptorSet] = {
    "regionprops": DescriptorSet(REGION_NAMES, region_properties),
    "efd": DescriptorSet(EFD_NAMES, efd),
    "efd-published": DescriptorSet(PUBLISHED_EFD_NAMES, published_efd),
    "fourier": DescriptorSet(FOURIER_NAMES, fourier),
    "distance-spectrum": DescriptorSet(SPECTRUM_NAMES, distance_spectrum),
}
