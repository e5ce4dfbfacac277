"""Networks and losses beside an independent implementation: transformers, with the same weights and random numbers."""

from __future__ import annotations

import os

# Before the import: no test asks a network for anything.
os.environ["HF_HUB_OFFLINE"] = "1"

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.models.dinov2.configuration_dinov2 import Dinov2Config
from transformers.models.dinov2.modeling_dinov2 import Dinov2Model
from transformers.models.vit.configuration_vit import ViTConfig
from transformers.models.vit.modeling_vit import ViTModel
from transformers.models.vit_mae.configuration_vit_mae import ViTMAEConfig
from transformers.models.vit_mae.modeling_vit_mae import ViTMAEForPreTraining

from phenoloom.config.model import ImageModel
from phenoloom.nets.vit import EPSILON, Size, ViT
from phenoloom.objectives import build_objective
from phenoloom.objectives.dino_loss import Centre, cross_entropies, sharpened
from phenoloom.objectives.mae import MaskedAutoencoder

SIZE = Size(width=32, depth=3, heads=4)
COMMON = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 32, "patch_size": 8,
    "num_channels": 2, "layer_norm_eps": EPSILON, "hidden_act": "gelu", "attn_implementation": "eager",
}  # fmt: skip
RENAMED = {
    r"^embeddings\.cls_token": "cls_token",
    r"^embeddings\.position_embeddings": "pos_embed",
    r"^embeddings\.patch_embeddings\.projection": "patch_embed.proj",
    r"^(?:encoder\.)?layers?\.(\d+)\.": r"blocks.\1.",
    r"\.(?:attention\.attention|attention|attn)\.(?:o_proj|out_proj|output\.dense)": ".attn.proj",
    r"\.attention\.output\.dense": ".attn.proj",
    r"\.layernorm_before|\.layer_norm1|\.norm1": ".norm1",
    r"\.layernorm_after|\.layer_norm2|\.norm2": ".norm2",
    r"\.intermediate\.dense": ".mlp.fc1",
    r"(blocks\.\d+)\.output\.dense": r"\1.mlp.fc2",
    r"\.layer_scale(\d)\.lambda1": r".ls\1.gamma",
    r"^layernorm": "norm",
}
QKV = re.compile(r"\.(?:attention\.attention|attention|attn)\.(q|k|v|query|key|value)(?:_proj)?\.(weight|bias)$")


def stirred(net: nn.Module) -> nn.Module:
    """Every weight, bias, norm, token and position matters."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def ours(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their weights under our names; queries, keys and values are one matrix here."""
    state: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in theirs.items():
        if name.endswith("mask_token") or name.startswith("pooler"):
            continue
        if found := QKV.search(name):
            start = name[: found.start()]
            for pattern, renamed in RENAMED.items():
                start = re.sub(pattern, renamed, start + ".").removesuffix(".")
            parts.setdefault(f"{start}.attn.qkv.{found[2]}", {})[found[1][0]] = value
            continue
        for pattern, renamed in RENAMED.items():
            name = re.sub(pattern, renamed, name)
        state[name] = value
    return state | {name: torch.cat([part[key] for key in "qkv"]) for name, part in parts.items()}


def images(size: int | tuple[int, int] = 32) -> Tensor:
    rows, columns = (size, size) if isinstance(size, int) else size
    return torch.randn(3, 2, rows, columns, generator=torch.Generator().manual_seed(1))


def test_our_vit_is_that_of_transformers() -> None:
    theirs = stirred(ViTModel(ViTConfig(**COMMON, intermediate_size=128, qkv_bias=True), add_pooling_layer=False))
    net = ViT(2, 32, 8, SIZE).eval()
    net.load_state_dict(ours(theirs.state_dict()), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(net(images()), theirs(images()).last_hidden_state, rtol=1e-5, atol=1e-5)


def dinov2() -> tuple[ViT, nn.Module]:
    config = Dinov2Config(**COMMON, mlp_ratio=4, layerscale_value=0.5)
    theirs = stirred(Dinov2Model(config))
    net = ViT(2, 32, 8, SIZE, layer_scale=0.5).eval()
    net.load_state_dict(ours(theirs.state_dict()), strict=True)
    return net, theirs


def test_our_vit_with_layer_scale_is_dinov2() -> None:
    net, theirs = dinov2()
    with torch.no_grad():
        torch.testing.assert_close(net(images()), theirs(images()).last_hidden_state, rtol=1e-5, atol=1e-5)


def mae(ratio: float, normalise: bool) -> tuple[MaskedAutoencoder, nn.Module]:
    config = ViTMAEConfig(
        **COMMON, intermediate_size=128, qkv_bias=True, decoder_hidden_size=64, decoder_num_hidden_layers=2,
        decoder_num_attention_heads=2, decoder_intermediate_size=256, mask_ratio=ratio, norm_pix_loss=normalise,
    )  # fmt: skip
    theirs = stirred(ViTMAEForPreTraining(config))
    model = ImageModel(
        view="tiles", encoder="vit-tiny", width=32, depth=3, patch=8, input_size=32, latent=32,
        objective={"name": "mae", "mask_ratio": ratio, "normalise_patches": normalise, "decoder_width": 64,
                   "decoder_depth": 2},
    )  # fmt: skip
    objective = build_objective(model, 2).eval()
    assert isinstance(objective, MaskedAutoencoder)
    for block in objective.encoder.blocks:
        block.attn.heads = COMMON["num_attention_heads"]
    for block in objective.decoder.blocks:
        block.attn.heads = 2
    state = theirs.state_dict()
    encoder = {name.removeprefix("vit."): value for name, value in state.items() if name.startswith("vit.")}
    objective.encoder.load_state_dict(ours(encoder), strict=True)
    decoder = {name.removeprefix("decoder."): value for name, value in state.items() if name.startswith("decoder.")}
    positions = decoder.pop("decoder_pos_embed")
    objective.mask_token.data.copy_(decoder.pop("mask_token"))
    plain = {name: value for name, value in decoder.items() if not name.startswith("decoder_layers.")}
    layers = {name.removeprefix("decoder_"): value for name, value in decoder.items() if name not in plain}
    names = {"decoder_embed": "embed", "decoder_norm": "norm", "decoder_pred": "pred"}
    renamed = {f"{names[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": value for name, value in plain.items()}
    objective.decoder.load_state_dict({**ours(layers), **renamed}, strict=True)
    # Theirs were stirred too, though nobody trains them; the class token has one of zero here.
    theirs.decoder.decoder_pos_embed.data[:, 1:] = objective.decoder.positions
    theirs.decoder.decoder_pos_embed.data[:, :1] = 0
    assert positions.shape[1] == objective.decoder.positions.shape[-2] + 1
    return objective, theirs


@pytest.mark.parametrize(("ratio", "normalise"), [(0.75, True), (0.5, False)])
def test_our_masked_autoencoder_has_the_loss_and_gradient_of_transformers(
    ratio: float, normalise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, theirs = mae(ratio, normalise)
    noise = torch.rand(3, 16, generator=torch.Generator().manual_seed(2))
    expected = theirs(images(), noise=noise).loss
    monkeypatch.setattr(torch, "rand", lambda *_, **__: noise)
    outcome = objective(images(), torch.Generator())
    torch.testing.assert_close(outcome.loss, expected, rtol=1e-5, atol=1e-6)
    outcome.loss.backward()
    expected.backward()
    torch.testing.assert_close(
        objective.encoder.patch_embed.proj.weight.grad,
        theirs.vit.embeddings.patch_embeddings.projection.weight.grad,
        rtol=1e-4,
        atol=1e-6,
    )
    torch.testing.assert_close(objective.mask_token.grad, theirs.decoder.mask_token.grad, rtol=1e-4, atol=1e-6)


def test_the_embedding_of_a_masked_autoencoder_is_that_of_its_encoder_without_a_mask() -> None:
    objective, theirs = mae(0.75, True)
    objective.any_orientation = False
    order = torch.arange(16.0).expand(3, -1)
    theirs.vit.config.mask_ratio = theirs.vit.embeddings.config.mask_ratio = 0.0
    with torch.no_grad():
        tokens = theirs.vit(images(), noise=order).last_hidden_state
        torch.testing.assert_close(objective.embed(images()), tokens[:, 1:].mean(1), rtol=1e-5, atol=1e-5)


def test_the_loss_of_self_distillation_is_the_formula_written_out_in_numpy() -> None:
    generator = np.random.default_rng(0)
    views, b, k, tau_s, tau_t, momentum = 5, 4, 7, 0.1, 0.04, 0.9
    student, teacher = generator.normal(size=(views, b, k)), generator.normal(size=(2, b, k))
    centre = generator.normal(size=k)
    total, pairs = 0.0, 0
    for g in range(2):
        for v in range(views):
            if v == g:
                continue
            for i in range(b):
                t, s = (teacher[g, i] - centre) / tau_t, student[v, i] / tau_s
                p = np.exp(t - t.max()) / np.exp(t - t.max()).sum()
                total -= (p * (s - s.max() - np.log(np.exp(s - s.max()).sum()))).sum() / b
            pairs += 1
    targets = sharpened(torch.from_numpy(teacher), torch.from_numpy(centre), tau_t)
    loss = cross_entropies(targets, torch.from_numpy(student) / tau_s)
    assert float(loss) == pytest.approx(total / pairs, rel=1e-10)
    moving = Centre(k, momentum).double()
    moving.value.copy_(torch.from_numpy(centre))
    moving.follow(torch.from_numpy(teacher.reshape(-1, k)))
    expected = momentum * centre + (1 - momentum) * teacher.mean((0, 1))
    np.testing.assert_allclose(moving.value.numpy(), expected, rtol=1e-12)
