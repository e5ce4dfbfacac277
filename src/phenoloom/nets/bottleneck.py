"""From a feature map of any size to a vector of any size, and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Squeeze(nn.Module):
    """Maps (b, features, size, size) -> vectors (b, outputs): adaptive average pooling to `pool`, then one layer."""

    windows: Tensor

    def __init__(self, features: int, size: int, pool: int, outputs: int) -> None:
        super().__init__()
        pool = min(pool, size)
        self.linear = nn.Linear(features * pool**2, outputs)
        self.register_buffer("windows", pooling_matrix(size, pool), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return vectors (b, outputs)."""
        # As a product, because the backward pass of adaptive pooling is not deterministic on CUDA.
        windows = self.windows.to(maps.dtype)
        pooled = torch.einsum("py,qx,bfyx->bfpq", windows, windows, maps)
        vectors: Tensor = self.linear(pooled.flatten(1))
        return vectors


class Spread(nn.Module):
    """Vectors (b, inputs) -> maps (b, features, size, size): one layer to `pool`, then nearest-neighbour upsampling."""

    def __init__(self, inputs: int, features: int, size: int, pool: int) -> None:
        super().__init__()
        self.pool, self.size = min(pool, size), size
        self.linear = nn.Linear(inputs, features * self.pool**2)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return maps (b, features, size, size)."""
        maps = self.linear(vectors).view(len(vectors), -1, self.pool, self.pool)
        return F.interpolate(maps, (self.size, self.size), mode="nearest") if self.pool != self.size else maps


def pooling_matrix(size: int, pool: int) -> Tensor:
    """Return the matrix (pool, size) that averages along one axis in the windows of torch's `AdaptiveAvgPool`."""
    matrix = torch.zeros(pool, size)
    for i in range(pool):
        start, end = i * size // pool, -(-(i + 1) * size // pool)
        matrix[i, start:end] = 1 / (end - start)
    return matrix
