"""The geometric part of augmentation: flips, rotations, crops and elastic deformation in one resampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config.model import Augment

KNOTS = 4
"""Random displacements of the elastic deformation along each axis; between them it is smooth."""
CELLS = 16
"""Cells along each side of the map of signal."""


def warp(
    tiles: Tensor, settings: Augment, scale: tuple[float, float], size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Return tiles resampled bilinearly to (b, c, *size), each by its own draw.

    A crop keeps the proportions of the tile, because those of a cell may be its phenotype. Pixels outside the tile are
    mirrored.

    Args:
        tiles: Tiles (b, c, y, x).
        settings: The augmentations.
        scale: Least and largest area of the crop, as a share of the tile's.
        size: Height and width of the result in px.
        generator: Source of the draws.
    """
    matrices = draw_matrices(len(tiles), settings, scale, generator)
    if settings.crop_tries > 1 and scale[0] < 1:
        matrices = move_to_signal(matrices, tiles, settings.crop_tries, generator)
    grid = F.affine_grid(matrices, [len(tiles), 1, *size], align_corners=False)
    if settings.elastic:
        grid = grid + displacement(len(tiles), size, settings.elastic, generator)
    warped = F.grid_sample(tiles, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return warped.contiguous(memory_format=torch.channels_last)


def draw_matrices(count: int, settings: Augment, scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Return random affine maps (count, 2, 3) from the result to the tile, both in [-1, 1] as (x, y).

    Args:
        count: Number of maps.
        settings: Whether tiles are flipped and rotated.
        scale: Least and largest area of the crop, as a share of the tile's.
        generator: Source of the draws.
    """
    device = generator.device
    draws = torch.rand((count, 4), generator=generator, device=device)
    side = (scale[0] + (scale[1] - scale[0]) * draws[:, 0]).sqrt()
    angle = 2 * math.pi * draws[:, 1] if settings.rotate else torch.zeros(count, device=device)
    cosine, sine = side * angle.cos(), side * angle.sin()
    linear = torch.stack([cosine, -sine, sine, cosine], 1).view(count, 2, 2)
    if settings.flip:
        mirrored = torch.rand((3, count), generator=generator, device=device) < 0.5
        signs = torch.where(mirrored[:2], -1.0, 1.0).T
        linear = linear * signs[:, None, :]
        linear = torch.where(mirrored[2, :, None, None], linear.flip(2), linear)
    # The crop lies anywhere inside the tile.
    centre = (1 - side)[:, None] * (2 * draws[:, 2:] - 1)
    return torch.cat([linear, centre[..., None]], 2)


def displacement(count: int, size: tuple[int, int], amount: float, generator: torch.Generator) -> Tensor:
    """Return smooth random displacements (count, *size, 2) of the pixels, in the coordinates of the grid.

    Args:
        count: Number of tiles.
        size: Height and width of the result in px.
        amount: Standard deviation at the knots, in sides of the tile.
        generator: Source of the draws.
    """
    knots = torch.randn((count, 2, KNOTS, KNOTS), generator=generator, device=generator.device)
    # A side is 2 long in the coordinates of the grid.
    smooth = F.interpolate(2 * amount * knots, size, mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def signal_map(tiles: Tensor) -> Tensor:
    """Return the mean distance of pixels from the tile's median, (b, 1, cells, cells), for tiles (b, c, y, x).

    Dark objects on a bright ground count as bright ones on a dark one; channels count alike, as they are normalised.
    """
    median = tiles.flatten(2).median(2).values[..., None, None]
    distance = (tiles - median).abs().mean(1, keepdim=True)
    return F.adaptive_avg_pool2d(distance, (min(CELLS, tiles.shape[2]), min(CELLS, tiles.shape[3])))


def move_to_signal(matrices: Tensor, tiles: Tensor, tries: int, generator: torch.Generator) -> Tensor:
    """Return maps (b, 2, 3) of crops with other centres, which favour the tile's signal.

    Each of `tries` random positions inside the tile is chosen with a probability proportional to the mean signal
    within the crop there.

    Args:
        matrices: Maps (b, 2, 3) of crops, as from `draw_matrices`.
        tiles: Tiles (b, c, y, x).
        tries: Positions to choose from.
        generator: Source of the draws.
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
