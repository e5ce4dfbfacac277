"""Camera integers to normalised floats of the size a model takes, in batches on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .errors import PhenoloomError


@dataclass(frozen=True)
class Normaliser:
    """Per-channel z-score in the unit of the camera, then bilinear resizing with antialiasing to `size` px."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int

    def __call__(self, tiles: Tensor) -> Tensor:
        """Tiles (b, c, y, x) of any integer or float dtype to float32 (b, c, size, size), channels last in memory."""
        mean = torch.tensor(self.mean, device=tiles.device).view(1, -1, 1, 1)
        scale = 1 / torch.tensor(self.std, device=tiles.device).view(1, -1, 1, 1)
        # `to` is the one operation that torch has for every unsigned dtype of a camera.
        values = tiles.to(torch.float32, memory_format=torch.channels_last).sub_(mean).mul_(scale)
        if values.shape[-2:] == (self.size, self.size):
            return values
        # A larger tile is averaged, not sampled: otherwise fine texture turns into aliased noise.
        values = F.interpolate(values, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return values.contiguous(memory_format=torch.channels_last)


def fit_normaliser(channel_mean: np.ndarray, channel_std: np.ndarray, size: int) -> Normaliser:
    """Pool the tiles' own statistics, both (n, c), into the mean and standard deviation over all their pixels."""
    mean, std = np.asarray(channel_mean, np.float64), np.asarray(channel_std, np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(std).all()):
        raise PhenoloomError("Some tiles have no finite channel statistics in the index; rerun the step `convert`")
    pooled = mean.mean(axis=0)
    spread = np.sqrt((std**2 + (mean - pooled) ** 2).mean(axis=0))
    # An empty channel stays zero everywhere instead of becoming NaN.
    spread[spread == 0] = 1.0
    return Normaliser(tuple(pooled.tolist()), tuple(spread.tolist()), size)
