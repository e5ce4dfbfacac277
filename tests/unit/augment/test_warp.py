from __future__ import annotations

import pytest
import torch

from phenoloom.augment.tiles import augment
from phenoloom.augment.warp import draw_matrices, move_to_signal, signal_map, warp
from phenoloom.config.model import Augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bright_corner(count: int, size: int = 64, *, sign: float = 1.0) -> torch.Tensor:
    """Tiles whose signal lies in the corner of small y and large x alone."""
    tiles = torch.zeros(count, 2, size, size)
    tiles[:, :, : size // 4, -size // 4 :] = sign
    return tiles


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["bright", "dark"])
def test_a_map_of_signal_counts_distance_from_the_median(sign: float) -> None:
    found = signal_map(bright_corner(1, sign=sign))
    expected = torch.zeros(1, 1, 16, 16)
    expected[:, :, :4, -4:] = 1
    assert torch.equal(found, expected)


def test_crops_come_to_what_there_is_to_see_and_stay_inside_the_tile() -> None:
    settings = Augment(flip=True, crop=0.1)
    tiles, scale = bright_corner(512), (0.1, 0.1)
    matrices = draw_matrices(len(tiles), settings, scale, generator())
    moved = move_to_signal(matrices, tiles, 16, generator(1))
    assert torch.equal(moved[..., :2], matrices[..., :2])
    assert moved[..., 2].abs().max() <= 1 - 0.1**0.5 + 1e-6
    # Places are (x, y); by chance a third of the crops would touch the corner.
    x, y = moved[..., 2].T
    assert ((x > 0) & (y < 0)).float().mean() > 0.9
    x, y = matrices[..., 2].T
    assert ((x > 0) & (y < 0)).float().mean() < 0.35


def test_the_chance_of_a_place_is_its_share_of_the_signal() -> None:
    # Two halves, one with three times the signal: of two places, one in each, the richer wins three times in four.
    tiles = torch.zeros(1, 1, 32, 32)
    tiles[..., :16], tiles[..., 16:] = -1.0, 3.0
    tiles = tiles.expand(4000, -1, -1, -1)
    found = signal_map(tiles)[0, 0]
    # The median is one of the two levels, so that its half has none.
    assert set(found.unique().tolist()) == {0.0, 4.0}
    matrices = torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.1, 0.0]]).expand(4000, -1, -1)
    right = (move_to_signal(matrices, tiles, 2, generator())[:, 0, 2] > 0).float().mean()
    # Of two random places at least one lies right in three cases of four.
    assert right == pytest.approx(0.75, abs=0.04)


def test_an_empty_tile_is_cropped_anywhere() -> None:
    matrices = draw_matrices(2000, Augment(crop=0.1), (0.1, 0.1), generator())
    moved = move_to_signal(matrices, torch.zeros(2000, 1, 32, 32), 4, generator(1))
    assert torch.isfinite(moved).all()
    assert moved[..., 2].mean(0).abs().max() < 0.05


def test_one_try_is_a_plain_crop_and_draws_follow_the_generator() -> None:
    tiles = torch.randn(4, 2, 32, 32)
    plain, one = Augment(crop=0.3), Augment(crop=0.3, crop_tries=1)
    assert torch.equal(augment(tiles, plain, generator(3)), augment(tiles, one, generator(3)))
    several = Augment(crop=0.3, crop_tries=4)
    first = warp(tiles, several, (0.3, 1.0), (32, 32), generator(3))
    assert torch.equal(first, warp(tiles, several, (0.3, 1.0), (32, 32), generator(3)))
    assert not torch.equal(first, warp(tiles, plain, (0.3, 1.0), (32, 32), generator(3)))
