from __future__ import annotations

from typing import Any

import pytest
import torch

from phenoloom.augment import random_symmetry
from phenoloom.config.model import ImageModel, ShapeModel
from phenoloom.nets.cyclic import cyclic_form
from phenoloom.objectives import VQVAE, ShapeAE, build_objective
from phenoloom.objectives.shape_ae import align, index_invariant_loss


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vqvae(channels: int = 2, **changes: Any) -> VQVAE:
    objective = {"name": "vqvae", "codes": 32, "code_dim": 8} | changes.pop("objective", {})
    values = {"view": "tiles", "width": 8, "input_size": 32, "latent": 16, **changes}
    torch.manual_seed(0)
    built = build_objective(ImageModel(**values, objective=objective), channels)
    assert isinstance(built, VQVAE)
    return built


def shape_ae(points: int = 16, noise: float = 0.0, latent: int = 8) -> ShapeAE:
    torch.manual_seed(0)
    model = ShapeModel(view="shapes", width=8, latent=latent, objective={"name": "ae", "noise": noise})
    built = build_objective(model, points)
    assert isinstance(built, ShapeAE)
    return built


def brute_force(decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the matrices of two contours, least over all starts and both directions."""
    matrix = torch.cdist(decoded, decoded, compute_mode="donot_use_mm_for_euclid_dist")
    candidates = []
    for points in (target, target.flip(1)):
        other = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        candidates += [(matrix - other.roll((s, s), (1, 2))).square().mean((1, 2)) for s in range(target.shape[1])]
    return torch.stack(candidates).amin(0)


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


@pytest.mark.parametrize("points", [8, 9, 64])
def test_the_loss_by_fft_equals_trying_every_start_with_its_gradient(points: int) -> None:
    decoded = torch.randn(3, points, 2, dtype=torch.float64, generator=generator(1)).requires_grad_()
    target = torch.randn(3, points, 2, dtype=torch.float64, generator=generator(2))
    fast = index_invariant_loss(cyclic_form(decoded), cyclic_form(target))
    (gradient,) = torch.autograd.grad(fast.sum(), decoded)
    slow = brute_force(decoded, target)
    (expected,) = torch.autograd.grad(slow.sum(), decoded)
    assert torch.allclose(fast, slow, rtol=1e-6)
    assert torch.allclose(gradient, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("points", [12, 13])
def test_a_rolled_or_reversed_copy_has_no_loss(points: int) -> None:
    target = torch.randn(4, points, 2, generator=generator(3))
    for copy in (target.roll(5, 1), target.flip(1), target.flip(1).roll(-2, 1)):
        form, wanted = cyclic_form(copy), cyclic_form(target)
        assert index_invariant_loss(form, wanted).max() < 1e-12
        assert torch.allclose(align(form, wanted), form, atol=1e-5)


def test_noise_reaches_the_encoder_in_training_only() -> None:
    model, contour = shape_ae(noise=0.5), torch.randn(6, 16, 2)
    assert model(contour, generator(1)).loss != model(contour, generator(2)).loss
    model.eval()
    assert model(contour, generator(1)).loss == model(contour).loss


def test_a_shape_autoencoder_learns_lobes_whatever_start_and_direction() -> None:
    angle = torch.arange(32) * 2 * torch.pi / 32
    lobes = torch.tensor([2.0, 3, 4, 5]).repeat(4)[:, None]
    radius = 1 + 0.4 * (lobes * angle + torch.rand(16, 1, generator=generator()) * 6).cos()
    contour = radius[..., None] * torch.stack([angle.cos(), angle.sin()], -1)
    contour[::2] = contour[::2].flip(1)
    model = shape_ae(32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = model(contour).loss.item()
    for step in range(120):
        loss = model(contour, generator(step)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * first
    assert model.reconstruct(contour).shape == (16, 32, 2)
