"""Compare an optimiser's step on a ViT with the same step written plainly, and measure what training options cost.

Plain LAMB is the algorithm as a loop over tensors. Gradient checkpointing is measured by what the forward pass keeps
for the backward pass and by the time of both. Runs alternate; the results are medians of processor seconds; ratios
above 1 mean that phenoloom is cheaper.

Usage: python benchmarks/bench_optimizers.py [--quick]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from phenoloom.nets.vit import Size, ViT
from phenoloom.training.compile import recompute_blocks
from phenoloom.training.ema import WeightAverage
from phenoloom.training.optim import LAMB, decay_groups

Run = Callable[[], object]


class PlainLAMB(torch.optim.Optimizer):
    """One tensor after the other, with the norms read by the processor."""

    def __init__(self, groups: list[dict[str, object]]) -> None:
        super().__init__(groups, {"lr": 1e-3})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter."""
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["step"] += 1
                state["m"].mul_(0.9).add_(p.grad, alpha=0.1)
                state["v"].mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
                m, v = state["m"] / (1 - 0.9 ** state["step"]), state["v"] / (1 - 0.999 ** state["step"])
                update = m / (v.sqrt() + 1e-6)
                trust = 1.0
                if group["weight_decay"]:
                    update = update + group["weight_decay"] * p
                    w, r = p.norm().item(), update.norm().item()
                    trust = w / r if w > 0 and r > 0 else 1.0
                p.add_(update, alpha=-group["lr"] * trust)


def medians(runs: Mapping[str, Run], repeats: int) -> dict[str, float]:
    """CPU seconds of each, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def with_gradients(net: nn.Module) -> nn.Module:
    """A copy whose parameters have gradients."""
    own = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(0)
    for p in own.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
    return own


def kept(net: nn.Module, images: Tensor) -> int:
    """Bytes that the forward pass keeps, weights left out."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(images)
    return sum(held.values())


def main() -> None:
    """Print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller network and fewer repeats")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = ViT(3, 64, 8, Size(192, 3 if quick else 12, 3))
    nets = {name: with_gradients(net) for name in ("lamb", "plain", "adamw", "ema")}
    lamb, plain = LAMB(decay_groups(nets["lamb"], 0.05)), PlainLAMB(decay_groups(nets["plain"], 0.05))
    adamw = torch.optim.AdamW(decay_groups(nets["adamw"], 0.05), fused=True)
    average = WeightAverage(nets["ema"], 0.999)
    steps = {"lamb": lamb.step, "plain": plain.step, "adamw": adamw.step, "ema": lambda: average.follow(10**6)}
    found = medians(steps, 5 if quick else 30)
    for own, other in zip(nets["lamb"].parameters(), nets["plain"].parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4)
    print(f"LAMB (ours) against a loop over tensors: {found['plain'] / found['lamb']:.2f}")
    print(f"LAMB (ours) against torch's fused AdamW, which does less: {found['adamw'] / found['lamb']:.2f}")

    images = torch.randn(4 if quick else 16, 3, 64, 64)
    again = copy.deepcopy(net)
    recompute_blocks(again)
    passes = {
        name: lambda own=own: own(images).square().mean().backward()
        for name, own in {"stored": net, "again": again}.items()
    }
    times = medians(passes, 3 if quick else 10)
    print(f"gradient checkpointing: keeps {kept(again, images) / kept(net, images):.2f} of what is kept without")
    print(f"gradient checkpointing: takes {times['again'] / times['stored']:.2f} of the time without (4/3 expected)")
    print(f"weight average: {found['ema'] / times['stored']:.3f} of the time of a forward and backward pass")


if __name__ == "__main__":
    main()
