"""Distance matrices of tensors on any device; `shapes.distance_matrix` does the same with NumPy."""

from __future__ import annotations

import torch
from torch import Tensor


def distance_matrices_torch(contours: Tensor) -> Tensor:
    """Return distances (..., p, p) between the points of contours (..., p, 2), in their dtype, on their device.

    Differences of coordinates, never `torch.cdist`, which loses the digits of close points above 25 points.
    The gradient of a zero distance, where there is none, is zero.
    """
    return _matrices(*_coordinates(contours))


def planar_points(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return points in the plane by classical scaling (Torgerson 1952), as `shapes.distance_matrix.classical_mds`.

    Args:
        matrices: Any matrices (n, p, p); each is replaced by the mean of itself and its transpose.

    Returns:
        Points (n, p, 2) with the nearest distances, and the share (n,) of the spectrum outside the plane.
    """
    squared = ((matrices + matrices.transpose(1, 2)) / 2).square()
    rows = squared.mean(2, keepdim=True)
    gram = -0.5 * (squared - rows - rows.transpose(1, 2) + rows.mean(1, keepdim=True))
    values, vectors = torch.linalg.eigh(gram)
    points = vectors[:, :, -2:].flip(-1) * values[:, None, -2:].flip(-1).clamp(min=0).sqrt()
    total = values.abs().sum(1)
    return points, values[:, :-2].abs().sum(1) / total.clamp(min=torch.finfo(total.dtype).tiny)


def _coordinates(contours: Tensor) -> tuple[Tensor, ...]:
    # Apart from each other, x and y are read as vectors; interleaved they would be read one by one.
    return contours.movedim(-1, 0).contiguous().unbind(0)


def _matrices(x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x[..., :, None] - x[..., None, :], y[..., :, None] - y[..., None, :]
    if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
        return dx.mul_(dx).addcmul_(dy, dy).sqrt_()
    squared = dx * dx + dy * dy
    zero = squared == 0
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)
