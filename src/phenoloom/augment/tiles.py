"""Augmentations of normalised tiles in batches on the device; they do not mix channels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config.model import Augment
from ..nets.precision import in_float32
from .warp import warp


@in_float32
def augment(tiles: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    """Return augmented tiles.

    Args:
        tiles: Tiles (b, c, y, x) in units of the channels' standard deviations.
        settings: The augmentations.
        generator: Source of the draws, on the device of the tiles.
    """
    if settings.rotate or settings.elastic or settings.crop < 1:
        # Flips are part of the one resampling then.
        tiles = warp(tiles, settings, (settings.crop, 1.0), _size(tiles), generator)
    elif settings.flip:
        tiles = random_symmetry(tiles, generator)
    return change_intensity(tiles, settings, generator)


@in_float32
def crops(
    tiles: Tensor, settings: Augment, scale: tuple[float, float], size: int, count: int, generator: torch.Generator
) -> Tensor:
    """Return augmented crops of each tile: (count * b, c, size, size), all first crops first.

    Args:
        tiles: Tiles (b, c, y, x).
        settings: The augmentations.
        scale: Least and largest area of a crop, as a share of the tile.
        size: Height and width of a crop in px.
        count: Crops of each tile.
        generator: Source of the draws.
    """
    views = [warp(tiles, settings, scale, (size, size), generator) for _ in range(count)]
    return change_intensity(torch.cat(views), settings, generator)


def change_intensity(tiles: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    """Apply gain, offset, blur, noise and dropped channels, in this order: optics come before the camera's noise."""
    shape = (*tiles.shape[:2], 1, 1)
    if settings.gain:
        tiles = tiles * (1 + settings.gain * _normal(shape, generator)).clamp_(min=0)
    if settings.offset:
        tiles = tiles + settings.offset * _normal(shape, generator)
    if settings.blur:
        tiles = random_blur(tiles, settings.blur, generator)
    if settings.noise:
        tiles = tiles + settings.noise * _normal(tuple(tiles.shape), generator)
    if settings.drop_channel:
        tiles = drop_channels(tiles, settings.drop_channel, generator)
    return tiles


def random_symmetry(tiles: Tensor, generator: torch.Generator) -> Tensor:
    """Return each square tile under one of the eight flips and right-angle rotations, drawn evenly."""
    draws = torch.rand((3, len(tiles), 1, 1, 1), generator=generator, device=tiles.device) < 0.5
    tiles = torch.where(draws[0], tiles.flip(-1), tiles)
    tiles = torch.where(draws[1], tiles.flip(-2), tiles)
    return torch.where(draws[2], tiles.transpose(-1, -2), tiles)


def symmetries(tiles: Tensor) -> Iterator[Tensor]:
    """Yield square tiles (b, c, y, x) under each of the eight flips and right-angle rotations."""
    for turned in (tiles, tiles.transpose(-1, -2)):
        yield from (turned, turned.flip(-1), turned.flip(-2), turned.flip((-2, -1)))


def random_blur(tiles: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Blur each tile (b, c, y, x) by a Gaussian of a sigma drawn evenly from [0, `largest`] px; edges are mirrored."""
    b, c, y, x = tiles.shape
    sigma = largest * torch.rand((b, 1), generator=generator, device=generator.device)
    reach = min(math.ceil(3 * largest), y - 1, x - 1)
    place = torch.arange(-reach, reach + 1, device=tiles.device)
    # At sigma 0 only the middle of the kernel is left.
    kernels = (-0.5 * (place / sigma.clamp(min=1e-3)) ** 2).exp()
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(c, 0)
    # One group a plane: each has a kernel of its own.
    planes = F.pad(tiles.reshape(1, b * c, y, x), (reach, reach, reach, reach), mode="reflect")
    planes = F.conv2d(planes, kernels[:, None, :, None], groups=b * c)
    planes = F.conv2d(planes, kernels[:, None, None, :], groups=b * c)
    return planes.view(b, c, y, x).contiguous(memory_format=torch.channels_last)


def drop_channels(tiles: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Set channels of tiles (b, c, y, x) to zero, their mean, with `probability` each; a random one always stays."""
    b, c = tiles.shape[:2]
    keep = torch.rand((b, c), generator=generator, device=generator.device) >= probability
    spared = torch.randint(c, (b, 1), generator=generator, device=generator.device)
    keep = keep.scatter(1, spared, torch.ones_like(spared, dtype=torch.bool))
    return tiles * keep[..., None, None]


def _size(tiles: Tensor) -> tuple[int, int]:
    return tiles.shape[2], tiles.shape[3]


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
