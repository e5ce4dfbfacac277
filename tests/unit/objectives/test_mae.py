from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.objectives import blobs, trained

from phenoloom.augment.tiles import random_symmetry
from phenoloom.config.model import ImageModel
from phenoloom.nets.positions import sincos
from phenoloom.objectives import build_objective
from phenoloom.objectives.mae import MaskedAutoencoder, visible_patches


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mae(channels: int = 2, objective: dict[str, Any] | None = None, **changes: Any) -> MaskedAutoencoder:
    torch.manual_seed(0)
    settings = {"name": "mae", "mask_ratio": 0.6, "decoder_width": 32, "decoder_depth": 2, **(objective or {})}
    values = {
        "view": "tiles",
        "encoder": "vit-tiny",
        "width": 32,
        "depth": 2,
        "patch": 4,
        "input_size": 32,
        "latent": 32,
    }
    model = build_objective(ImageModel(**{**values, **changes}, objective=settings), channels)
    assert isinstance(model, MaskedAutoencoder)
    return model


def reference(model: MaskedAutoencoder, images: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and predictions by the steps of the published code (shuffle, restore, weight by the mask), in float64."""
    p = model.encoder.reduction
    b, c, h, w = images.shape
    patches = torch.einsum("nchpwq->nhwpqc", images.reshape(b, c, h // p, p, w // p, p)).reshape(b, -1, p * p * c)
    length = patches.shape[1]
    keep = int(length * (1 - model.mask_ratio))
    shuffle = noise.argsort(1)
    restore = shuffle.argsort(1)
    tokens = model.encoder.patch_embed(images) + model.encoder.pos_embed[:, 1:]
    tokens = tokens.gather(1, shuffle[:, :keep, None].repeat(1, 1, tokens.shape[2]))
    first = (model.encoder.cls_token + model.encoder.pos_embed[:, :1]).expand(b, -1, -1)
    tokens = torch.cat([first, tokens], 1)
    for block in model.encoder.blocks:
        tokens = block(tokens)
    tokens = model.decoder.embed(model.encoder.norm(tokens))
    mask_tokens = model.mask_token.repeat(b, length - keep, 1)
    full = torch.cat([tokens[:, 1:], mask_tokens], 1)
    full = full.gather(1, restore[..., None].repeat(1, 1, full.shape[2]))
    full = torch.cat([tokens[:, :1], full], 1)
    full = full + torch.cat([torch.zeros(1, 1, 32), sincos(32, h // p, w // p)], 1).double()
    for block in model.decoder.blocks:
        full = block(full)
    predicted = model.decoder.pred(model.decoder.norm(full))[:, 1:]
    mask = torch.ones(b, length, dtype=images.dtype)
    mask[:, :keep] = 0
    mask = mask.gather(1, restore)
    target = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6) ** 0.5
    loss = ((predicted - target) ** 2).mean(-1)
    return (loss * mask).sum() / mask.sum(), predicted


def test_loss_and_gradient_are_those_of_the_published_steps() -> None:
    model, images = mae().double().eval(), torch.randn(3, 2, 32, 32, dtype=torch.float64)
    with torch.no_grad():  # initial weights are so small that attention hardly matters
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        model.encoder.pos_embed[:, 0] = 0
    noise = torch.rand(3, 64, generator=generator(5))
    expected, _ = reference(model, images, noise)
    wanted = torch.autograd.grad(expected, model.encoder.blocks[0].attn.qkv.weight)[0]
    loss = model(images, generator(5)).loss
    found = torch.autograd.grad(loss, model.encoder.blocks[0].attn.qkv.weight)[0]
    # The answer of the decoder is float32, as the loss always is.
    assert torch.allclose(loss, expected, rtol=1e-5)
    assert torch.allclose(found, wanted, atol=1e-5 * wanted.abs().max())
    assert wanted.abs().max() > 1e-4


@pytest.mark.parametrize(
    ("patches", "ratio", "seen"), [(196, 0.75, 49), (64, 0.6, 25), (4, 0.9, 1), (4, 0.1, 3), (2, 0.5, 1)]
)
def test_the_mask_hides_exactly_the_stated_share(patches: int, ratio: float, seen: int) -> None:
    assert visible_patches(patches, ratio) == seen


def test_the_encoder_sees_nothing_of_hidden_patches_and_the_loss_nothing_of_visible_ones() -> None:
    model, images = mae(objective={"normalise_patches": False}).eval(), torch.randn(2, 2, 32, 32)
    order, visible = model._draw(images, generator(3))
    assert visible == 25
    assert all(sorted(row.tolist()) == list(range(64)) for row in order)
    hidden = torch.zeros(2, 64).scatter(1, order[:, visible:], 1.0).view(2, 1, 8, 8)
    hidden = hidden.repeat_interleave(4, 2).repeat_interleave(4, 3).bool().expand_as(images)
    with torch.no_grad():
        tokens = model._encode(images, order[:, :visible], None)
        soiled = torch.where(hidden, 9.0, images)
        assert torch.equal(model._encode(soiled, order[:, :visible], None), tokens)
        assert tokens.shape == (2, 26, 32)
        # Visible pixels that no error is counted for: the loss of hidden ones alone, by the reconstruction.
        model._draw = lambda *_: (order, visible)
        shown = model.reconstruct(images)
        assert torch.equal(shown[~hidden], images[~hidden])
        assert torch.allclose(model(images).loss, (shown - images)[hidden].square().mean(), rtol=1e-5)


def test_the_raw_error_is_in_the_unit_of_the_pixels() -> None:
    model, images = mae().eval(), 3 * torch.randn(2, 2, 32, 32) + 1
    with torch.no_grad():
        outcome, shown = model(images), model.reconstruct(images)
        _, visible = model._draw(images, None)
    share = 1 - visible / 64
    assert torch.allclose(outcome.parts["reconstruction"] * share, (shown - images).square().mean(), rtol=1e-4)
    assert outcome.parts["reconstruction"] > 4 * outcome.loss


def test_tokens_of_the_embedding_are_not_shuffled() -> None:
    model, images = mae(latent=20, augment={"flip": False}).eval(), torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        every = torch.arange(64).expand(2, -1)
        assert torch.allclose(
            model._encode(images, every, None)[:, 1:], model.project(model.encoder(images)[:, 1:]), atol=1e-6
        )
        assert model.embed(images).shape == (2, 20)
        assert torch.allclose(model.embed(images), model._encode(images, every, None)[:, 1:].mean(1), atol=1e-6)


def test_masks_follow_the_generator_and_stay_the_same_in_evaluation() -> None:
    model, images = mae(), torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        first, again, other = (model(images, generator(seed)).loss for seed in (1, 1, 2))
        assert first == again
        assert first != other
        assert model(images).loss == model(images).loss


def test_every_trainable_parameter_gets_a_gradient() -> None:
    model = mae(latent=20, registers=2)
    model(torch.randn(4, 2, 32, 32), generator()).loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad)
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["encoder.pos_embed"]


def test_a_small_mae_learns_64_tiles_by_heart() -> None:
    model = mae(input_size=16, objective={"mask_ratio": 0.5, "normalise_patches": False})
    first, last = trained(model, blobs(64, 16), 200, 5e-3)
    assert last < 0.65 * first


def test_the_embedding_is_invariant_where_orientation_means_nothing() -> None:
    model, tiles = mae().eval(), torch.randn(8, 2, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model.embed(tiles), model.embed(random_symmetry(tiles, generator())), atol=1e-5)
