from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from phenoloom.nets.positions import interpolated, sincos
from phenoloom.nets.vit import SIZES, Size, ViT
from phenoloom.nets.vit_decoder import ViTDecoder, patchify, scatter_tokens, unpatchify

TINY = Size(width=24, depth=3, heads=3)

BLOCK_NAMES = [
    "norm1.weight",
    "norm1.bias",
    "attn.qkv.weight",
    "attn.qkv.bias",
    "attn.proj.weight",
    "attn.proj.bias",
    "norm2.weight",
    "norm2.bias",
    "mlp.fc1.weight",
    "mlp.fc1.bias",
    "mlp.fc2.weight",
    "mlp.fc2.bias",
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vit(**changes: object) -> ViT:
    torch.manual_seed(0)
    net = ViT(2, 32, 8, TINY, **changes)
    with torch.no_grad():  # so that every weight, bias and norm matters
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def plainly(net: ViT, images: torch.Tensor) -> torch.Tensor:
    """The equations of the paper, one head and one patch at a time, from the named weights alone."""
    w = {name: value.detach().double() for name, value in net.state_dict().items()}

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return (
            centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]
        )

    answers = []
    for image in images.double():
        kernel, p = w["patch_embed.proj.weight"], net.reduction
        rows = [
            kernel.flatten(1) @ image[:, y : y + p, x : x + p].flatten() + w["patch_embed.proj.bias"]
            for y in range(0, image.shape[1], p)
            for x in range(0, image.shape[2], p)
        ]
        tokens = torch.stack([w["cls_token"][0, 0], *rows]) + w["pos_embed"][0]
        for i in range(len(net.blocks)):
            name, d = f"blocks.{i}", tokens.shape[1] // 3
            mixed = norm(tokens, f"{name}.norm1") @ w[f"{name}.attn.qkv.weight"].T + w[f"{name}.attn.qkv.bias"]
            query, key, value = mixed.split(tokens.shape[1], 1)
            heads = []
            for h in range(3):
                part = slice(h * d, (h + 1) * d)
                scores = query[:, part] @ key[:, part].T / math.sqrt(d)
                heads.append(scores.exp() / scores.exp().sum(1, keepdim=True) @ value[:, part])
            attended = torch.cat(heads, 1)
            tokens = tokens + attended @ w[f"{name}.attn.proj.weight"].T + w[f"{name}.attn.proj.bias"]
            hidden = norm(tokens, f"{name}.norm2") @ w[f"{name}.mlp.fc1.weight"].T + w[f"{name}.mlp.fc1.bias"]
            hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
            tokens = tokens + hidden @ w[f"{name}.mlp.fc2.weight"].T + w[f"{name}.mlp.fc2.bias"]
        answers.append(norm(tokens, "norm"))
    return torch.stack(answers)


def test_the_names_of_the_parameters_are_those_of_dino_and_timm() -> None:
    expected = ["cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"]
    expected += [f"blocks.{i}.{name}" for i in range(3) for name in BLOCK_NAMES] + ["norm.weight", "norm.bias"]
    assert list(vit().state_dict()) == expected
    more = vit(registers=2, mask_token=True, layer_scale=1e-5).state_dict()
    extra = {"register_tokens", "mask_token"} | {f"blocks.{i}.ls{j}.gamma" for i in range(3) for j in (1, 2)}
    assert set(more) - set(expected) == extra
    assert more["mask_token"].shape == (1, 24)


@pytest.mark.parametrize(
    ("name", "patch", "image", "parameters"),
    # Table 1 of the paper's code and DINO's model zoo: backbones without a classifier.
    [
        ("tiny", 16, 224, 5_524_416),
        ("small", 16, 224, 21_665_664),
        ("base", 16, 224, 85_798_656),
        ("small", 8, 224, 21_670_272),
    ],
)
def test_the_published_sizes_have_the_published_numbers_of_parameters(
    name: str, patch: int, image: int, parameters: int
) -> None:
    with torch.device("meta"):
        net = ViT(3, image, patch, SIZES[name])
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_the_network_computes_the_equations_of_the_paper() -> None:
    net, images = vit(), torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        assert (net(images) - plainly(net, images)).abs().max() < 1e-5
        assert torch.equal(net.vector(images), net(images)[:, 0])


def test_patches_lie_in_the_map_where_they_lie_in_the_image() -> None:
    net = vit()
    images = torch.randn(1, 2, 32, 48)
    with torch.no_grad():
        maps = net.maps(images)
        assert maps.shape == (1, 24, 4, 6)
        assert torch.equal(maps[0, :, 2, 5], net(images)[0, 1 + 2 * 6 + 5])


def test_positions_at_another_size_are_those_of_the_reference() -> None:
    positions = torch.randn(1, 7 * 7, 5)
    for rows, columns in ((3, 3), (14, 9), (7, 4), (1, 2), (8, 8)):
        # dino/vision_transformer.py, interpolate_pos_encoding
        reference = F.interpolate(
            positions.reshape(1, 7, 7, 5).permute(0, 3, 1, 2),
            scale_factor=((rows + 0.1) / math.sqrt(49), (columns + 0.1) / math.sqrt(49)),
            mode="bicubic",
        )
        assert reference.shape[-2:] == (rows, columns)
        found = interpolated(positions, rows, columns)
        assert torch.allclose(found, reference.permute(0, 2, 3, 1).reshape(1, -1, 5), atol=1e-5)
    assert interpolated(positions, 7, 7) is positions


def test_interpolated_positions_can_be_trained() -> None:
    positions = torch.randn(1, 16, 4, requires_grad=True)
    interpolated(positions, 3, 5).sum().backward()
    assert (positions.grad.abs().sum(2) > 0).all()


def test_fixed_positions_are_the_sines_and_cosines_of_mae_and_are_not_trained() -> None:
    found = sincos(16, 3, 5)[0]
    for row in range(3):
        for column in range(5):
            angles = [place / 10000 ** (k / 4) for place in (column, row) for k in range(4)]
            first, second = np.array(angles[:4]), np.array(angles[4:])
            expected = np.concatenate([np.sin(first), np.cos(first), np.sin(second), np.cos(second)])
            assert np.allclose(found[row * 5 + column].numpy(), expected, atol=1e-6)
    net = ViT(1, 32, 8, TINY, fixed_positions=True)
    assert not net.pos_embed.requires_grad
    assert torch.equal(net.pos_embed[:, 1:], sincos(24, 4, 4))
    assert (net.pos_embed[:, 0] == 0).all()


def test_registers_are_seen_by_the_others_and_leave_no_place_of_their_own_in_the_map() -> None:
    net, images = vit(registers=3), torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        tokens = net(images)
        assert tokens.shape == (2, 1 + 3 + 16, 24)
        assert torch.equal(net.maps(images)[1, :, 0, 1], tokens[1, 4 + 1])
        before = net.vector(images)
        net.register_tokens.mul_(2)
        assert not torch.allclose(net.vector(images), before)


def test_hidden_patches_are_replaced_before_positions_are_added() -> None:
    net, images = vit(mask_token=True), torch.randn(2, 2, 32, 32)
    hidden = torch.rand(2, 16, generator=generator()) < 0.5
    with torch.no_grad():
        tokens = net.embed(images, hidden)
        plain = net.embed(images)
        assert torch.equal(tokens[~hidden], plain[~hidden])
        assert torch.allclose(tokens[hidden], (net.mask_token + net.pos_embed[0, 1:].expand(2, -1, -1))[hidden])


def test_stochastic_depth_follows_its_generator_and_keeps_the_mean() -> None:
    net, images = vit(drop_path=0.5), torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        plain = net(images, generator())
        assert torch.equal(plain, net(images))  # evaluation drops nothing
        net.train()
        first, again, other = (net(images, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        keep = net._keep(4000, generator())
    for i, rate in enumerate((0.0, 0.25, 0.5)):
        assert keep[i].unique().tolist() == ([1.0] if rate == 0 else [0.0, pytest.approx(1 / (1 - rate))])
        assert keep[i].mean() == pytest.approx(1, abs=0.04)


def test_a_dropped_block_changes_nothing_for_its_image() -> None:
    block, tokens = vit().blocks[0], torch.randn(2, 5, 24)
    keep = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(2, -1, -1, -1)
    with torch.no_grad():
        changed = block(tokens, keep)
        assert torch.equal(changed[0], tokens[0])
        assert torch.allclose(changed[1], block(tokens)[1], atol=1e-6)


def test_patches_hold_their_pixels_and_give_the_image_back() -> None:
    images = torch.randn(2, 3, 8, 12)
    patches = patchify(images, 4)
    assert patches.shape == (2, 6, 48)
    # The second row's first patch; its pixel (1, 2), channel by channel.
    assert torch.equal(patches[1, 3].view(4, 4, 3)[1, 2], images[1, :, 4 + 1, 2])
    assert torch.equal(unpatchify(patches, 4, 2), images)


def test_visible_tokens_come_back_in_place() -> None:
    order = torch.stack([torch.randperm(10, generator=generator(i)) for i in range(3)])
    tokens = torch.randn(3, 10, 4)
    seen = tokens.gather(1, order[:, :4, None].expand(-1, -1, 4))
    full = scatter_tokens(seen, order, torch.full((1, 1, 4), 7.0))
    for item in range(3):
        for place in range(10):
            visible = place in order[item, :4].tolist()
            assert torch.equal(full[item, place], tokens[item, place] if visible else torch.full((4,), 7.0))


def test_the_transformer_decoder_gives_back_the_size_of_the_image() -> None:
    assert ViTDecoder(6, 3, 4, 8, TINY)(torch.randn(2, 6, 4, 4)).shape == (2, 3, 32, 32)
