"""Measure the peak memory of a training step with 16 channels against one with 4.

`channels.mode: separate` in groups is compared with all channels at once. A step is everything that training does: the
camera's integers to normalised and augmented inputs, forward and backward pass. The peak covers all tensors, measured
by the profiler on a CPU and by the allocator on a GPU; weights and their gradients count, as they do in training. `at
once` computes all channels in one pass (`at_once: 16`), as folding channels into the batch does; `blocks again` is
`training.gradient_checkpointing`. The smaller the batch, the more weights and the sum of their gradients weigh.

Usage: python benchmarks/bench_channels.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from phenoloom.config.model import ImageModel
from phenoloom.data.channels import Normaliser
from phenoloom.data.domain import domain_of
from phenoloom.models.checkpoint import initial_objective
from phenoloom.objectives import Step
from phenoloom.training.compile import recompute_blocks

FEW, MANY, LIMIT = 4, 16, 1.2

FAMILIES: dict[str, dict[str, Any]] = {
    "ae-resnet18": {"encoder": "resnet18", "objective": {"name": "ae", "pool": 2}, "latent": 256},
    "vqvae-resnet18": {"encoder": "resnet18", "objective": {"name": "vqvae"}, "latent": 512},
    "mae-vit-small": {
        "encoder": "vit-small",
        "patch": 8,
        "latent": 384,
        "objective": {"name": "mae", "mask_ratio": 0.6, "decoder_width": 256, "decoder_depth": 4},
    },
    "dino-vit-small": {
        "encoder": "vit-small",
        "patch": 8,
        "latent": 384,
        "objective": {"name": "dino", "local_crops": 6, "local_size": 32, "local_scale": [0.1, 0.4]},
        "augment": {"rotate": True, "blur": 0.7, "noise": 0.05},
    },
}

QUICK = ("ae-resnet18",)


def peak(work: Callable[[], object], device: torch.device) -> int:
    """Most bytes that tensors held at a time while `work` ran, beyond what they held before."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    changes = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in changes))


def measure(
    name: str, channels: int, at_once: int, batch: int, size: int, device: torch.device, *, blocks: bool = False
) -> tuple[int, float]:
    """Peak bytes and seconds of a step; `blocks`: with `training.gradient_checkpointing`."""
    how = {"mode": "separate", "at_once": at_once}
    model = ImageModel(view="tiles", input_size=size, channels=how, **FAMILIES[name])
    names = [f"channel {i}" for i in range(channels)]
    objective = initial_objective(model, channels, 0, names).train().to(device)
    if blocks:
        recompute_blocks(objective)
    normaliser = Normaliser((1000.0,) * channels, (300.0,) * channels, size)
    generator = torch.Generator().manual_seed(0)
    tiles = torch.randint(0, 4000, (batch, channels, size, size), generator=generator).to(torch.uint16).to(device)

    def prepared() -> Tensor:
        inputs = normaliser(tiles)
        return (
            inputs
            if objective.makes_views
            else domain_of(model).augment(inputs, torch.Generator(device).manual_seed(0))
        )

    def step() -> None:
        objective.before_step(Step(0, 10, 10))
        objective(prepared(), torch.Generator(device).manual_seed(0)).loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    held = sum(value.nbytes for value in objective.state_dict().values()) + tiles.nbytes
    step()
    objective.zero_grad()
    started = time.perf_counter()
    step()
    seconds = time.perf_counter() - started
    # Each step begins without gradients, as in training.
    objective.zero_grad()
    return peak(step, device) + held, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small tiles, one family")
    parser.add_argument("--only", choices=FAMILIES, help="one family")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch, size = (2, 32) if arguments.quick else (32, 64)
    names = QUICK if arguments.quick else tuple(FAMILIES)
    for name in (arguments.only,) if arguments.only else names:
        few, _ = measure(name, FEW, FEW, batch, size, device)
        print(f"{name}, {batch} tiles of {size} x {size} uint16 on {device.type}; {FEW} channels: {few / 1e6:.0f} MB")
        for way, at_once, blocks in (
            ("ours", FEW, False),
            ("ours, blocks again", FEW, True),
            ("all at once", MANY, False),
        ):
            many, seconds = measure(name, MANY, at_once, batch, size, device, blocks=blocks)
            verdict = f"{many / few:5.2f} x  {'within' if many <= LIMIT * few else 'above'} {LIMIT}"
            print(f"  {MANY} channels, {way:<18} {many / 1e6:7.0f} MB  {verdict}  {seconds:6.2f} s")


if __name__ == "__main__":
    main()
