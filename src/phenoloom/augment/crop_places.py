"""Where a crop is taken from: of several random places, one by chance in proportion to what there is to see."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = 16
"""Cells along each side of the map of what there is to see."""


def signal_map(tiles: Tensor) -> Tensor:
    """What there is to see in tiles (b, c, y, x): (b, 1, cells, cells), the mean distance from the tile's median.

    Dark objects on a bright ground count as bright ones on a dark one; channels count alike, as they are normalised.
    """
    median = tiles.flatten(2).median(2).values[..., None, None]
    distance = (tiles - median).abs().mean(1, keepdim=True)
    return F.adaptive_avg_pool2d(distance, (min(CELLS, tiles.shape[2]), min(CELLS, tiles.shape[3])))


def move_to_signal(matrices: Tensor, tiles: Tensor, tries: int, generator: torch.Generator) -> Tensor:
    """Maps (b, 2, 3) of crops (`warp.draw_matrices`) with other centres: each of `tries` random places inside the tile
    is taken with a probability proportional to the mean signal within the crop there.
    """
    count = len(tiles)
    side = torch.linalg.det(matrices[:, :, :2]).abs().sqrt()
    places = torch.rand((count, tries, 2), generator=generator, device=generator.device)
    centres = (1 - side)[:, None, None] * (2 * places - 1)
    candidates = matrices[:, None].expand(-1, tries, -1, -1).clone()
    candidates[..., 2] = centres
    grid = F.affine_grid(candidates.flatten(0, 1), [count * tries, 1, 8, 8], align_corners=False)
    seen = signal_map(tiles).repeat_interleave(tries, 0)
    signal = F.grid_sample(seen, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    chances = signal.mean((1, 2, 3)).view(count, tries).double()
    # A tile without any signal has no better place.
    chances = torch.where(chances.sum(1, keepdim=True) > 0, chances, torch.ones_like(chances))
    draw = torch.rand((count, 1), generator=generator, device=generator.device).double()
    chosen = (chances.cumsum(1) < draw * chances.sum(1, keepdim=True)).sum(1).clamp(max=tries - 1)
    moved = matrices.clone()
    moved[..., 2] = centres[torch.arange(count, device=tiles.device), chosen]
    return moved
