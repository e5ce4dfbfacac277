"""Distance matrices of tensors, on any device; the twin of `distances.distance_matrices`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


def distance_matrices_torch(contours: Tensor) -> Tensor:
    """Distances (..., p, p) between the points of contours (..., p, 2), in their dtype, on their device.

    Differences of coordinates, never `torch.cdist`, whose products lose the digits of close points above 25 points.
    The gradient of a zero distance, where there is none, is zero.
    """
    x, y = contours.unbind(-1)
    return _matrices(x, y)


@cache
def compiled_distance_matrices() -> Callable[[Tensor], Tensor]:
    """`distance_matrices_torch` fused into one pass over memory; the first call compiles for seconds."""
    fused = torch.compile(_matrices, dynamic=True)

    def matrices(contours: Tensor) -> Tensor:
        # Apart from each other, x and y are read as vectors; interleaved they would be gathered one by one.
        x, y = contours.movedim(-1, 0).contiguous().unbind(0)
        result: Tensor = fused(x, y)
        return result

    return matrices


def _matrices(x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x[..., :, None] - x[..., None, :], y[..., :, None] - y[..., None, :]
    squared = dx * dx + dy * dy
    if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
        return squared.sqrt()
    zero = squared == 0
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)
