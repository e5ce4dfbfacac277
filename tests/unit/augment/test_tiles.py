from __future__ import annotations

import itertools

import pytest
import torch

from phenoloom.augment.tiles import augment, crops, drop_channels, random_blur, random_symmetry, symmetries
from phenoloom.augment.warp import displacement, warp
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


GEOMETRY = {"rotate": True, "crop": 0.5, "elastic": 0.05}
INTENSITY = {"gain": 0.1, "offset": 0.1, "blur": 1.0, "noise": 0.1, "drop_channel": 0.3}


@pytest.mark.parametrize(("key", "value"), [*GEOMETRY.items(), *INTENSITY.items()])
def test_each_augmentation_changes_tiles_follows_its_generator_and_can_be_switched_off(key: str, value: object) -> None:
    tiles = torch.randn(6, 3, 16, 16)
    settings = Augment(flip=False, **{key: value})
    first, again, other = (augment(tiles, settings, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == tiles.shape
    assert not torch.equal(first, tiles)


def test_the_one_resampling_draws_the_same_eight_symmetries() -> None:
    tile = torch.randn(1, 2, 6, 6)
    warped = warp(tile.expand(800, -1, -1, -1), Augment(), (1.0, 1.0), (6, 6), generator())
    counts = torch.stack(
        [torch.isclose(warped, turned, atol=1e-5).all(3).all(2).all(1).sum() for turned in turns(tile)]
    )
    assert counts.sum() == 800
    assert (counts - 100).abs().max() < 40


def test_a_free_rotation_turns_about_the_middle_by_any_angle() -> None:
    y, x = torch.meshgrid(torch.arange(33) - 16.0, torch.arange(33) - 16.0, indexing="ij")
    disc = torch.exp(-(y.square() + x.square()) / 40)
    line = torch.exp(-(y - 0.0).square() / 4) * (x > 0) * disc
    tiles = torch.stack([disc, line])[None].expand(64, -1, -1, -1)
    turned = augment(tiles, Augment(flip=False, rotate=True), generator())
    # Corners hold what was mirrored.
    turned = turned * (y.square() + x.square() <= 16**2)
    # A disc stays a disc; the line's centre of mass goes round evenly.
    assert (turned[:, 0] - disc).abs().max() < 0.02
    angle = torch.atan2((turned[:, 1] * y).sum((1, 2)), (turned[:, 1] * x).sum((1, 2)))
    assert torch.histc(angle, 4, -torch.pi, torch.pi).min() > 6
    assert abs(turned[:, 1].sum((1, 2)).mean() / line.sum() - 1) < 0.05


def test_a_crop_has_the_area_asked_for_lies_inside_and_keeps_proportions() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    tiles = torch.stack([y, x])[None].expand(200, -1, -1, -1)
    cropped = warp(tiles, Augment(flip=False), (0.25, 0.36), (32, 32), generator())
    # Pixel pitch of the result in pixels of the tile: side * 64 / 32.
    pitch_y = (cropped[:, 0, -1, 0] - cropped[:, 0, 0, 0]) / 31
    pitch_x = (cropped[:, 1, 0, -1] - cropped[:, 1, 0, 0]) / 31
    assert torch.allclose(pitch_y, pitch_x, atol=1e-3)
    side = pitch_y / 2
    assert side.min() >= 0.5 - 1e-3
    assert side.max() <= 0.6 + 1e-3
    assert side.std() > 0.02
    start = cropped[:, :, 0, 0] - (pitch_y[:, None] - 1) / 2
    assert start.min() >= -0.51
    assert (start + 64 * side[:, None]).max() <= 64
    # anywhere inside, not only in the middle
    assert start.std(0).min() > 5


def test_channels_are_warped_together() -> None:
    tiles = torch.randn(8, 1, 16, 16).repeat(1, 3, 1, 1)
    warped = augment(tiles, Augment(**GEOMETRY), generator())
    assert torch.equal(warped[:, 0], warped[:, 2])


def test_an_elastic_deformation_is_smooth_and_as_strong_as_stated() -> None:
    field = displacement(2000, (33, 33), 0.03, generator())
    # Knots lie in the corners; grids are two sides long.
    assert field[:, 0, 0].std() == pytest.approx(2 * 0.03, rel=0.05)
    assert (field[:, 1:] - field[:, :-1]).abs().max() < 0.05


def test_blur_is_a_gaussian_of_at_most_the_stated_sigma() -> None:
    point = torch.zeros(300, 2, 31, 31)
    point[:, :, 15, 15] = 1
    blurred = random_blur(point, 2.0, generator())
    assert torch.allclose(blurred.sum((2, 3)), torch.ones(300, 2), atol=1e-5)
    assert torch.equal(blurred[:, 0], blurred[:, 1])
    place = torch.arange(31) - 15.0
    spread = (blurred[:, 0].sum(1) * place.square()).sum(1).sqrt()
    assert spread.max() <= 2.0
    assert spread.mean() == pytest.approx(1.0, abs=0.1)
    widest = int(spread.argmax())
    gauss = torch.exp(-(place.square()) / (2 * spread[widest] ** 2))
    assert torch.allclose(blurred[widest, 0].sum(0), gauss / gauss.sum(), atol=5e-3)


def test_channels_are_dropped_with_the_stated_probability_and_one_always_stays() -> None:
    tiles = torch.ones(4000, 3, 2, 2)
    kept = drop_channels(tiles, 0.4, generator())[:, :, 0, 0]
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert kept.sum(1).min() == 1
    # A channel is spared in a third of the tiles, else dropped with 0.4.
    assert (kept == 0).float().mean() == pytest.approx(0.4 * 2 / 3, abs=0.02)
    assert torch.equal(drop_channels(tiles[:, :1], 0.9, generator()), tiles[:, :1])


def test_crops_come_view_by_view_in_the_size_asked_for() -> None:
    level = torch.arange(4.0).view(4, 1, 1, 1).expand(-1, 2, 16, 16)
    views = crops(level, Augment(), (0.1, 0.4), 8, 3, generator())
    assert views.shape == (12, 2, 8, 8)
    assert torch.allclose(views[:, 0, 0, 0], torch.arange(4.0).repeat(3), atol=1e-5)
    textured = crops(torch.randn(4, 2, 16, 16), Augment(), (0.1, 0.4), 8, 3, generator())
    assert not torch.allclose(textured[:4], textured[4:8])
