"""Augmentations of normalised tiles, in batches on the device; none of them changes hue or mixes channels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .config.model import Augment


def augment(tiles: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    """Augment tiles (b, c, y, x) in units of the channels' standard deviations; `generator` lies on their device."""
    if settings.flip:
        tiles = random_symmetry(tiles, generator)
    shape = (*tiles.shape[:2], 1, 1)
    if settings.gain:
        tiles = tiles * (1 + settings.gain * _normal(shape, generator)).clamp_(min=0)
    if settings.offset:
        tiles = tiles + settings.offset * _normal(shape, generator)
    if settings.noise:
        tiles = tiles + settings.noise * _normal(tuple(tiles.shape), generator)
    return tiles


def random_symmetry(tiles: Tensor, generator: torch.Generator) -> Tensor:
    """Each square tile under one of the eight flips and right-angle rotations, drawn evenly."""
    draws = torch.rand((3, len(tiles), 1, 1, 1), generator=generator, device=tiles.device) < 0.5
    tiles = torch.where(draws[0], tiles.flip(-1), tiles)
    tiles = torch.where(draws[1], tiles.flip(-2), tiles)
    return torch.where(draws[2], tiles.transpose(-1, -2), tiles)


def symmetries(tiles: Tensor) -> Iterator[Tensor]:
    """Square tiles (b, c, y, x) under each of the eight flips and right-angle rotations."""
    for turned in (tiles, tiles.transpose(-1, -2)):
        yield from (turned, turned.flip(-1), turned.flip(-2), turned.flip((-2, -1)))


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
