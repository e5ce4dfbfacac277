from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.objectives import blobs, trained
from torch.distributions import Normal, kl_divergence

from phenoloom.augment.tiles import random_symmetry
from phenoloom.config.model import ImageModel
from phenoloom.objectives import build_objective
from phenoloom.objectives.autoencoder import Autoencoder, VariationalAutoencoder, normal_divergence

RESNET = {"encoder": "resnet18", "width": 8}
VIT = {"encoder": "vit-tiny", "width": 32, "depth": 2, "patch": 8}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(name: str, channels: int = 2, objective: dict[str, Any] | None = None, **changes: Any) -> Any:
    torch.manual_seed(0)
    values = {"view": "tiles", "input_size": 32, "latent": 12, **RESNET, **changes}
    return build_objective(ImageModel(**values, objective={"name": name, **(objective or {})}), channels)


@pytest.mark.parametrize("encoder", [RESNET, {**RESNET, "encoder": "resnet50", "width": 4}, VIT], ids=str)
@pytest.mark.parametrize("name", ["ae", "vae"])
def test_every_encoder_has_an_embedding_of_the_size_asked_for_and_a_decoder(name: str, encoder: dict[str, Any]) -> None:
    model, tiles = built(name, 3, latent=13, **encoder).eval(), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert model.embed(tiles).shape == (2, 13)
        assert model.reconstruct(tiles).shape == tiles.shape


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = built(name)
    model(torch.randn(4, 2, 32, 32), generator()).loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_loss_of_an_autoencoder_is_the_squared_error() -> None:
    model, tiles = built("ae").eval(), torch.randn(4, 2, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model(tiles).loss, (model.reconstruct(tiles) - tiles).square().mean())


def test_the_divergence_is_that_of_two_normals() -> None:
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(normal_divergence(mean, log_variance), expected, atol=1e-5)
    assert (normal_divergence(torch.zeros(1, 3), torch.zeros(1, 3)) == 0).all()


def test_the_loss_of_a_vae_is_the_evidence_bound_up_to_its_factor() -> None:
    tiles = torch.randn(4, 2, 32, 32)
    for beta in (1.0, 4.0):
        model = built("vae", objective={"beta": beta}).eval()
        with torch.no_grad():
            outcome = model(tiles)
            decoded = model.reconstruct(tiles)
            # -log p(x|z) of a Gaussian of variance 1, without its constant, + beta KL, in nats a tile
            bound = (decoded - tiles).square().sum((1, 2, 3)).mean() / 2 + beta * outcome.parts["divergence"]
        assert torch.allclose(outcome.loss, bound * 2 / tiles[0].numel(), rtol=1e-5)


def test_training_draws_from_the_posterior_and_evaluation_takes_its_mean() -> None:
    model, tiles = built("vae").eval(), torch.randn(4, 2, 32, 32)
    with torch.no_grad():
        drawn, again, other = (model(tiles, generator(seed)).loss for seed in (1, 1, 2))
        assert drawn == again
        assert drawn != other
        assert model(tiles).loss == model(tiles).loss
        mean, log_variance = model._posterior(tiles)
        assert torch.equal(model.vectors(tiles), mean)
        # the noise has the posterior's spread
        model.decoder, model.spread = torch.nn.Identity(), torch.nn.Identity()
        model._decode = lambda vectors: vectors[..., None, None].expand(-1, -1, 2, 2)
        tall = tiles[:1].expand(2000, -1, -1, -1)
        model._posterior = lambda _: (mean[:1].expand(2000, -1), log_variance[:1].expand(2000, -1) + 1)
        seen: list[torch.Tensor] = []
        model._decode = lambda vectors: (seen.append(vectors), tall)[1]
        model(tall, generator())
    assert torch.allclose(seen[0].std(0), ((log_variance[0] + 1) / 2).exp(), rtol=0.1)


@pytest.mark.parametrize(("kind", "name"), [(Autoencoder, "ae"), (VariationalAutoencoder, "vae")])
def test_a_small_autoencoder_learns_64_tiles_by_heart(kind: type[Autoencoder], name: str) -> None:
    model = built(name, latent=48, objective={"beta": 0.1} if name == "vae" else None)
    assert type(model) is kind
    first, last = trained(model, blobs(64), 60)
    assert last < 0.35 * first


def test_a_vit_autoencoder_learns_64_tiles_by_heart() -> None:
    first, last = trained(built("ae", latent=48, **VIT), blobs(64), 80)
    assert last < 0.35 * first


def test_the_embedding_forgets_orientation_only_where_it_means_nothing() -> None:
    tiles = torch.randn(8, 2, 32, 32)
    turned = random_symmetry(tiles, generator())
    with torch.no_grad():
        either, upright = built("ae").eval(), built("ae", augment={"flip": False}).eval()
        assert torch.allclose(either.embed(tiles), either.embed(turned), atol=1e-5)
        assert (upright.embed(tiles) - upright.embed(turned)).abs().max() > 1e-2
