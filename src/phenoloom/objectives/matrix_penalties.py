"""How far a decoded matrix is from one of distances; every penalty of a true distance matrix is zero.

Four terms, (b,) each: the diagonal, symmetry, sign and the triangle inequality. The published version of the first sums
over the whole matrix of the first item; that of the last has the wrong sign and takes three unrelated entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def diagonal(matrices: Tensor) -> Tensor:
    """Return the mean square of the diagonals of (b, n, n)."""
    return matrices.diagonal(dim1=1, dim2=2).square().mean(1)


def symmetry(matrices: Tensor) -> Tensor:
    """Return the mean squared difference of (b, n, n) and its transpose."""
    return (matrices - matrices.transpose(1, 2)).square().mean((1, 2))


def negativity(matrices: Tensor) -> Tensor:
    """Return the mean square of the negative entries' size, over all entries of (b, n, n)."""
    return matrices.clamp(max=0).square().mean((1, 2))


def triangle(matrices: Tensor) -> Tensor:
    """Return the mean square, over pairs of (b, n, n), of the excess of d(i, j) over its shortest detour by a point k.

    Zero exactly where all n^3 triangle inequalities hold. The detour is searched without gradients, one k after the
    other, so that memory stays O(n^2); the gradient is that of the minimum.
    """
    through = _shortest_detours(matrices.detach())
    n = matrices.shape[1]
    rows = torch.arange(n, device=matrices.device)
    first = matrices.gather(2, through)
    second = matrices.transpose(1, 2).gather(2, through.transpose(1, 2)).transpose(1, 2)
    excess = (matrices - first - second).clamp(min=0)
    return excess[:, rows[:, None] != rows].square().mean(1)


@torch.no_grad()
def _shortest_detours(matrices: Tensor) -> Tensor:
    """Return the index k (b, n, n) with the least d(i, k) + d(k, j), other than i and j."""
    n = matrices.shape[1]
    shortest = torch.full_like(matrices, torch.inf)
    through = torch.zeros_like(matrices, dtype=torch.int64)
    for k in range(n):
        detour = matrices[:, :, k, None] + matrices[:, None, k]
        detour[:, k], detour[:, :, k] = torch.inf, torch.inf
        shorter = detour < shortest
        shortest = torch.where(shorter, detour, shortest)
        through.masked_fill_(shorter, k)
    return through


PENALTIES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "diagonal": diagonal,
    "symmetry": symmetry,
    "negativity": negativity,
    "triangle": triangle,
}
"""By their keys in a model file."""
