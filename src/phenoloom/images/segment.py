"""Segment one plane by threshold and watershed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from ..config.source import Masks, Polarity
from .labels import Labels, components
from .threshold import beyond, otsu


def segment(plane: NDArray[Any], masks: Masks, polarity: Polarity = "bright") -> Labels:
    """Segment the objects of one channel (h, w) as labels (h, w).

    The plane is smoothed by a Gaussian, thresholded (Otsu, IEEE Trans. SMC 9, 1979) and its holes are filled; a
    watershed of the distance to the background separates objects that touch. A plane of one value has no objects.

    Args:
        plane: Pixels (h, w) of any type.
        masks: Smoothing in px, what an object is, and the least distance between two objects in px.
        polarity: Whether objects are brighter or darker than the field.
    """
    smooth = ndimage.gaussian_filter(plane, masks.smoothing_px, output=np.float32, mode="nearest")
    if masks.objects == "one":
        return _threshold(smooth, polarity).astype(np.int32)
    foreground = ndimage.binary_fill_holes(_threshold(smooth, polarity))
    if masks.objects == "components" or not foreground.any():
        return components(foreground)
    # Zero rows beyond the image would pull seeds away from objects that the border cuts: do not pad.
    depth = cv2.distanceTransform(foreground.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Outlines are rough at the scale of the smoothing, and each bump of an outline makes a ridge in the depth.
    depth = ndimage.gaussian_filter(depth, masks.smoothing_px, mode="nearest")
    seeds = peak_local_max(
        depth,
        min_distance=max(round(masks.split_distance_px), 1),
        labels=components(foreground),
        exclude_border=False,
    )
    markers = np.zeros(plane.shape, np.int32)
    # Row by row from the top: the number of an object must not depend on how deep it is.
    seeds = seeds[np.lexsort((seeds[:, 1], seeds[:, 0]))]
    markers[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    labels: Labels = watershed(-depth, markers, mask=foreground).astype(np.int32)
    return labels


def _threshold(smooth: NDArray[np.float32], polarity: Polarity) -> NDArray[np.bool_]:
    if smooth.min() == smooth.max():
        return np.zeros(smooth.shape, bool)
    return beyond(smooth, otsu(smooth), polarity)
