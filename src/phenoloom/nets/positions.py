"""Positions of patches: sines and cosines, and learned ones at the size of another image."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


def sincos(width: int, rows: int, columns: int) -> Tensor:
    """Return the fixed positions of MAE (He et al. 2022), row by row: (1, rows * columns, width).

    The first half of the values encodes the column, the second the row: sines, then cosines, of the coordinate times
    frequencies from 1 down to 1 / 10000.

    Args:
        width: Values of a position, a multiple of 4.
        rows: Patches along y.
        columns: Patches along x.
    """
    frequency = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64), torch.arange(columns, dtype=torch.float64), indexing="ij"
    )
    angles = [place.reshape(-1, 1) * frequency for place in (column, row)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], 1).float()[None]


def interpolated(positions: Tensor, rows: int, columns: int) -> Tensor:
    """Return positions (1, grid * grid, width) at another size: (1, rows * columns, width).

    The bicubic interpolation of DINO, which scales by (rows + 0.1) / grid and not by rows / grid, so that features
    equal the published ones. It is a product with two small matrices: the same arithmetic, but its backward pass is
    deterministic on CUDA, which that of bicubic resizing is not.

    Args:
        positions: Learned positions of a square grid, row by row.
        rows: Patches along y.
        columns: Patches along x.
    """
    count, width = positions.shape[1:]
    grid = round(count**0.5)
    if rows == columns == grid:
        return positions
    down, across = (_bicubic(grid, size).to(positions) for size in (rows, columns))
    square = positions.view(grid, grid, width)
    return torch.einsum("ri,cj,ijd->rcd", down, across, square).reshape(1, rows * columns, width)


@lru_cache(maxsize=64)
def _bicubic(grid: int, size: int) -> Tensor:
    """Return the matrix (size, grid) of the interpolation along one axis."""
    with torch.inference_mode(False), torch.no_grad():
        impulses = torch.eye(grid, device="cpu").view(grid, 1, grid, 1)
        scale = ((size + 0.1) / grid, 1.0)
        return F.interpolate(impulses, scale_factor=scale, mode="bicubic")[:, 0, :, 0].T.contiguous()
