"""Compare a training step of each family of models with the same network written plainly.

Plain is the loop that a user would write with the modules of published code: float32, contiguous memory, attention and
masking written out, default convolutions, AdamW of PyTorch without fusion. phenoloom uses channels last, fused
attention and optimiser, and bfloat16 where the processor computes it natively (as `training.precision: auto` does).
Both start from the same weights; before the measurement, their losses in float32 on the same batch are compared. Runs
alternate; the results are medians of wall and processor seconds.

Usage: python benchmarks/bench_step.py [--quick]
"""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from phenoloom.augment.tiles import crops
from phenoloom.config.model import ImageModel
from phenoloom.models.checkpoint import initial_objective
from phenoloom.nets.vit import Attention, Block
from phenoloom.objectives import Objective, Step
from phenoloom.objectives.autoencoder import Autoencoder
from phenoloom.objectives.dino import SelfDistillation
from phenoloom.objectives.mae import MaskedAutoencoder
from phenoloom.objectives.vqvae import QuantisedAutoencoder

Batch = Callable[[int], float]
CHANNELS, SIZE, CLIP = 3, 64, 3.0

FAMILIES: dict[str, dict[str, Any]] = {
    "ae-resnet18": {"encoder": "resnet18", "objective": {"name": "ae", "pool": 2}},
    "vqvae-resnet18": {"encoder": "resnet18", "objective": {"name": "vqvae"}},
    "mae-vit-small": {
        "encoder": "vit-small",
        "patch": 8,
        "objective": {"name": "mae", "mask_ratio": 0.6, "decoder_width": 256, "decoder_depth": 4},
    },
    "dino-vit-small": {
        "encoder": "vit-small",
        "patch": 8,
        "objective": {"name": "dino", "local_crops": 6, "local_size": 32, "local_scale": [0.1, 0.4]},
    },
}


def ours(objective: Objective, tiles: Tensor, bf16: bool) -> Batch:
    """One step as training does it."""
    tiles = tiles.contiguous(memory_format=torch.channels_last)
    parameters = [p for p in objective.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def run(number: int) -> float:
        place = Step(number, 100, 10)
        objective.before_step(place)
        with torch.autocast(tiles.device.type, torch.bfloat16) if bf16 else nullcontext():
            loss = objective(tiles, torch.Generator(tiles.device).manual_seed(number)).loss
        optimizer.zero_grad()
        loss.backward()
        objective.before_update(place)
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        objective.after_update(place)
        return loss.item()

    return run


def plain(objective: Objective, tiles: Tensor) -> Batch:
    """The same step written out."""
    net = spelt_out(copy.deepcopy(objective).to(memory_format=torch.contiguous_format))
    loss_of = PLAIN_LOSSES[type(objective)]
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=False, foreach=False)

    def run(number: int) -> float:
        loss = loss_of(net, tiles, torch.Generator(tiles.device).manual_seed(number))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        if isinstance(net, SelfDistillation):
            with torch.no_grad():
                for own, other in zip(net.teacher.parameters(), net.student.parameters(), strict=True):
                    own.mul_(0.996).add_(other, alpha=1 - 0.996)
        return loss.item()

    return run


class PlainAttention(nn.Module):
    """Scores, softmax and mixture one after the other, as in the published code of DINO and MAE."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads, self.qkv, self.proj = attention.heads, attention.qkv, attention.proj

    def forward(self, x: Tensor) -> Tensor:
        """Mixed tokens."""
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = ((q @ k.transpose(-2, -1)) / math.sqrt(c // self.heads)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))  # type: ignore[no-any-return]


def spelt_out(net: Objective) -> Objective:
    """Replace the fused attention of every block."""
    for module in net.modules():
        if isinstance(module, Block):
            module.attn = PlainAttention(module.attn)
    return net


def plain_ae(net: Any, tiles: Tensor, generator: torch.Generator) -> Tensor:
    pooled = F.adaptive_avg_pool2d(net.encoder(tiles), net.spread.pool)
    maps = net.spread.linear(net.squeeze.linear(pooled.flatten(1))).view_as(pooled)
    return F.mse_loss(net.decoder(F.interpolate(maps, net.spread.size)), tiles)


def plain_vqvae(net: QuantisedAutoencoder, tiles: Tensor, generator: torch.Generator) -> Tensor:
    """The loop of the first implementations: all distances, one-hot codes, moving averages."""
    latents = net.project(net.encoder(tiles))
    b, c, y, x = latents.shape
    tokens = latents.permute(0, 2, 3, 1).contiguous().view(-1, net.code_dim)
    book = net.quantizer
    with torch.no_grad():
        if bool((book.idle >= book.revive_after).all()):
            book.codebook.copy_(tokens[torch.randint(len(tokens), (len(book.codebook),), generator=generator)])
            book.sums.copy_(book.codebook)
            book.idle.zero_()
        distances = tokens.square().sum(1, keepdim=True) - 2 * tokens @ book.codebook.T + book.codebook.square().sum(1)
        hits = F.one_hot(distances.argmin(1), len(book.codebook)).float()
        codes = hits @ book.codebook
        book.sizes.mul_(book.decay).add_(hits.sum(0), alpha=1 - book.decay)
        book.sums.mul_(book.decay).add_(hits.T @ tokens, alpha=1 - book.decay)
        book.codebook.copy_(book.sums / book.sizes.clamp(min=1e-5)[:, None])
    commitment = F.mse_loss(tokens, codes)
    straight = (tokens + (codes - tokens).detach()).view(b, y, x, c).permute(0, 3, 1, 2).contiguous()
    return F.mse_loss(net.decoder(straight), tiles) + net.commitment * commitment


def plain_mae(net: MaskedAutoencoder, tiles: Tensor, generator: torch.Generator) -> Tensor:
    """Shuffle, restore and weigh by the mask, as in the published code."""
    p = net.encoder.reduction
    b, c, h, w = tiles.shape
    target = torch.einsum("nchpwq->nhwpqc", tiles.reshape(b, c, h // p, p, w // p, p)).reshape(b, -1, p * p * c)
    target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6) ** 0.5
    length = target.shape[1]
    keep = int(length * (1 - net.mask_ratio))
    shuffle = torch.rand(b, length, generator=generator, device=tiles.device).argsort(1)
    restore = shuffle.argsort(1)
    x = net.encoder.patch_embed(tiles) + net.encoder.pos_embed[:, 1:]
    x = x.gather(1, shuffle[:, :keep, None].repeat(1, 1, x.shape[2]))
    x = torch.cat([(net.encoder.cls_token + net.encoder.pos_embed[:, :1]).expand(b, -1, -1), x], 1)
    for block in net.encoder.blocks:
        x = block(x)
    x = net.decoder.embed(net.encoder.norm(x))
    full = torch.cat([x[:, 1:], net.mask_token.repeat(b, length - keep, 1)], 1)
    full = full.gather(1, restore[..., None].repeat(1, 1, x.shape[2]))
    x = torch.cat([x[:, :1], full + net.decoder.positions], 1)
    for block in net.decoder.blocks:
        x = block(x)
    predicted = net.decoder.pred(net.decoder.norm(x))[:, 1:]
    mask = torch.ones(b, length, device=tiles.device)
    mask[:, :keep] = 0
    mask = mask.gather(1, restore)
    return (((predicted - target) ** 2).mean(-1) * mask).sum() / mask.sum()


def plain_dino(net: SelfDistillation, tiles: Tensor, generator: torch.Generator) -> Tensor:
    """Crops by the same augmentation, then the published double loop over them."""
    settings = net.settings
    tiles = tiles.contiguous(memory_format=torch.channels_last)
    wide = crops(tiles, net.augment, settings.global_scale, net.size, 2, generator)
    close = crops(tiles, net.augment, settings.local_scale, settings.local_size, settings.local_crops, generator)
    wide, close = wide.contiguous(), close.contiguous()
    with torch.no_grad():
        outputs = net.teacher.head(net.teacher.vectors(wide))
    vectors = torch.cat([net.student.vectors(wide), net.student.vectors(close)])
    student = (net.student.head(vectors) / settings.student_temperature).chunk(2 + settings.local_crops)
    teacher = F.softmax((outputs - net.centre.value) / settings.first_teacher_temperature, -1).chunk(2)
    total, terms = torch.zeros(()), 0
    for i, q in enumerate(teacher):
        for j, v in enumerate(student):
            if i != j:
                total = total + torch.sum(-q * F.log_softmax(v, -1), -1).mean()
                terms += 1
    with torch.no_grad():
        net.centre.value.mul_(0.9).add_(outputs.mean(0), alpha=0.1)
    return total / terms


PLAIN_LOSSES: dict[type[Objective], Callable[..., Tensor]] = {
    Autoencoder: plain_ae,
    QuantisedAutoencoder: plain_vqvae,
    MaskedAutoencoder: plain_mae,
    SelfDistillation: plain_dino,
}


def timed(run: Batch, number: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run(number)
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(name: str, batch: int, rounds: int, bf16: bool) -> None:
    latent = 384 if "vit" in name else 512
    model = ImageModel(view="tiles", input_size=SIZE, latent=latent, **FAMILIES[name])
    objective = initial_objective(model, CHANNELS, 0).train()
    tiles = torch.randn(batch, CHANNELS, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    check = ours(copy.deepcopy(objective), tiles, False)(0), plain(objective, tiles)(0)
    if not math.isclose(*check, rel_tol=1e-3):
        raise SystemExit(f"{name}: the two ways do not compute the same loss: {check}")
    ways = {"plain": plain(objective, tiles), "ours": ours(objective, tiles, False)}
    if bf16:
        ways["ours, bf16"] = ours(copy.deepcopy(objective), tiles, True)
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, run in ways.items():
            measured = timed(run, number)
            if number:
                seconds[way].append(measured)
    middle = {way: [statistics.median(values) for values in zip(*runs, strict=True)] for way, runs in seconds.items()}
    print(f"{name}, {batch} tiles of {CHANNELS} x {SIZE} x {SIZE}, loss {check[0]:.5f} both ways")
    for way, (wall, cpu) in middle.items():
        ratio = middle["plain"][0] / wall, middle["plain"][1] / cpu
        print(f"  {way:<12} {wall:8.3f} s wall {cpu:8.3f} s CPU   {ratio[0]:5.2f} x wall {ratio[1]:5.2f} x CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small batches, few rounds")
    parser.add_argument("--only", choices=FAMILIES, help="one family")
    arguments = parser.parse_args()
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    print(f"{torch.get_num_threads()} threads; bf16 is {'' if native else 'not '}native")
    for name in [arguments.only] if arguments.only else FAMILIES:
        compare(name, 8 if arguments.quick else 32, 3 if arguments.quick else 9, bool(native))


if __name__ == "__main__":
    main()
