from __future__ import annotations

import itertools

import torch

from phenoloom.augment import augment, random_symmetry, symmetries
from phenoloom.config.model import Augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def turns(tile: torch.Tensor) -> list[torch.Tensor]:
    return [f(tile.rot90(k, (-2, -1))) for k, f in itertools.product(range(4), (lambda t: t, lambda t: t.flip(-1)))]


def test_the_symmetries_are_the_eight_turns_and_flips() -> None:
    tile = torch.arange(9.0).view(1, 1, 3, 3)
    found = {tuple(turned.flatten().tolist()) for turned in symmetries(tile)}
    assert found == {tuple(turned.flatten().tolist()) for turned in turns(tile)}
    assert len(found) == 8


def test_without_any_augmentation_tiles_stay_as_they_are() -> None:
    tiles = torch.randn(4, 2, 8, 8)
    assert augment(tiles, Augment(flip=False), generator()) is tiles


def test_flips_draw_all_eight_symmetries_evenly_and_nothing_else() -> None:
    tile = torch.arange(9.0).view(1, 3, 3)
    drawn = random_symmetry(tile.expand(4000, 1, 3, 3), generator())
    counts = torch.stack([(drawn == turned).all((1, 2, 3)).sum() for turned in turns(tile)])
    assert counts.sum() == 4000
    assert (counts - 500).abs().max() < 100


def test_all_channels_of_a_tile_turn_together() -> None:
    tiles = torch.randn(16, 1, 5, 5).repeat(1, 3, 1, 1)
    turned = random_symmetry(tiles, generator())
    assert torch.equal(turned[:, 0], turned[:, 1])
    assert torch.equal(turned[:, 0], turned[:, 2])


def test_gain_and_offset_are_one_number_a_channel_with_the_stated_spread() -> None:
    ones = torch.ones(4000, 2, 2, 2)
    gained = augment(ones, Augment(flip=False, gain=0.2), generator())
    shifted = augment(ones, Augment(flip=False, offset=0.3), generator()) - 1
    for values, sd, mean in ((gained, 0.2, 1.0), (shifted, 0.3, 0.0)):
        assert torch.equal(values[..., 0, 0], values[..., 1, 1])
        assert not torch.equal(values[:, 0], values[:, 1])
        assert abs(values.std().item() - sd) < 0.01
        assert abs(values.mean().item() - mean) < 0.01


def test_noise_is_drawn_anew_for_each_pixel() -> None:
    noise = augment(torch.zeros(10, 1, 32, 32), Augment(flip=False, noise=0.5), generator())
    assert abs(noise.std().item() - 0.5) < 0.02
    assert len(noise.unique()) > 10_000


def test_the_generator_fixes_every_draw() -> None:
    tiles, settings = torch.randn(8, 2, 6, 6), Augment(gain=0.1, offset=0.1, noise=0.1)
    assert torch.equal(augment(tiles, settings, generator(5)), augment(tiles, settings, generator(5)))
    assert not torch.equal(augment(tiles, settings, generator(5)), augment(tiles, settings, generator(6)))
