"""Tiles and trainings for the tests of objectives."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from phenoloom.objectives import Objective


def generator(seed: int = 0) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def blobs(count: int, size: int = 32) -> torch.Tensor:
    tiles = F.interpolate(torch.randn(count, 2, 3, 3, generator=generator()), size, mode="bicubic")
    return ((tiles - tiles.mean()) / tiles.std()).contiguous(memory_format=torch.channels_last)


def trained(model: Objective, tiles: torch.Tensor, steps: int, rate: float = 3e-3) -> tuple[float, float]:
    """Loss of the first and of the last step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    losses = []
    for step in range(steps):
        loss = model(tiles, generator(step)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]
