from __future__ import annotations

from typing import Any

import torch

from phenoloom.augment.tiles import random_symmetry
from phenoloom.config.model import ImageModel
from phenoloom.objectives import build_objective
from phenoloom.objectives.vqvae import QuantisedAutoencoder


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vqvae(channels: int = 2, **changes: Any) -> QuantisedAutoencoder:
    objective = {"name": "vqvae", "codes": 32, "code_dim": 8} | changes.pop("objective", {})
    values = {"view": "tiles", "width": 8, "input_size": 32, "latent": 16, **changes}
    torch.manual_seed(0)
    built = build_objective(ImageModel(**values, objective=objective), channels)
    assert isinstance(built, QuantisedAutoencoder)
    return built


def test_the_embedding_has_exactly_the_size_asked_for_and_is_deterministic() -> None:
    model = vqvae(latent=24).eval()
    tiles = torch.randn(3, 2, 32, 64)
    with torch.no_grad():
        assert model.embed(tiles).shape == (3, 24)
        assert torch.equal(model.embed(tiles), model.embed(tiles))


def test_the_loss_is_reconstruction_plus_weighted_commitment() -> None:
    model = vqvae(objective={"commitment": 0.7}).eval()
    tiles = torch.randn(4, 2, 32, 32)
    with torch.no_grad():
        outcome = model(tiles)
        assert torch.allclose(outcome.parts["reconstruction"], (model.reconstruct(tiles) - tiles).square().mean())
    assert torch.allclose(outcome.loss, outcome.parts["reconstruction"] + 0.7 * outcome.parts["commitment"])
    assert outcome.codes.sum() == 4 * 1 * 2


def test_every_parameter_gets_a_gradient_and_every_latent_reaches_the_decoder() -> None:
    model = vqvae()
    model(torch.randn(4, 2, 32, 32), generator()).loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert (model.project.weight.grad.abs().sum((1, 2, 3)) > 0).all()


def test_training_is_a_function_of_its_generator() -> None:
    tiles = torch.randn(4, 2, 32, 32)
    first, second, other = (vqvae(objective={"codes": 4})(tiles, generator(seed)).loss.item() for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_a_small_vqvae_learns_32_tiles_by_heart() -> None:
    model = vqvae(width=16, input_size=64, latent=128, objective={"codes": 64, "code_dim": 16})
    model = model.to(memory_format=torch.channels_last)
    # Smooth random blobs: what a codebook of 64 can hold, unlike white noise.
    tiles = torch.nn.functional.interpolate(torch.randn(32, 2, 4, 4, generator=generator()), 64, mode="bicubic")
    tiles = ((tiles - tiles.mean()) / tiles.std()).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(40):
        loss = model(tiles, generator(step)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    outcome = model(tiles, generator())
    assert outcome.parts["reconstruction"] < 0.4
    assert (outcome.codes > 0).sum() > 16


def test_the_embedding_knows_a_tiles_orientation_only_where_orientation_means_something() -> None:
    tiles = torch.randn(16, 2, 32, 32)
    turned = random_symmetry(tiles, generator())
    with torch.no_grad():
        either, upright = vqvae().eval(), vqvae(augment={"flip": False}).eval()
        assert torch.allclose(either.embed(tiles), either.embed(turned), atol=1e-5)
        assert (upright.embed(tiles) - upright.embed(turned)).abs().max() > 1e-2
        # and tiles still differ
        assert either.embed(tiles).std(0).max() > 1e-2
