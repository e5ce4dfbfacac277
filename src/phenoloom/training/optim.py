"""Optimisers, the parameters that decay, and the schedules of rate and decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..config.training import Training
from ..nets.torch_private import (
    foreach_add_,
    foreach_addcmul_,
    foreach_lerp_,
    foreach_mul_,
    foreach_norm,
    foreach_reciprocal_,
    foreach_sqrt,
)

Tensors = list[Tensor] | tuple[Tensor, ...]
UNDECAYED = frozenset({"cls_token", "pos_embed", "register_tokens", "mask_token"})
"""Vectors of a ViT that are stored with more axes than one (as in DINO and timm)."""


def build_optimizer(net: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Return the optimiser of a training; its first group of parameters is the one that decays.

    Decay is decoupled from the gradient in AdamW and LAMB; in SGD it is added to it, as is usual.
    """
    groups, rate = decay_groups(net, training.weight_decay), training.peak_learning_rate
    if training.optimizer == "lamb":
        return LAMB(groups, rate, training.betas)
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=training.momentum)
    return torch.optim.AdamW(groups, lr=rate, betas=training.betas, fused=True)


def decay_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups of parameters: matrices and kernels with decay; biases, norms and other vectors without."""
    decayed: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            vector = parameter.ndim < 2 or name.rpartition(".")[2] in UNDECAYED
            (rest if vector else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


class LAMB(torch.optim.Optimizer):
    """Layer-wise adaptive moments (You et al. 2020, algorithm 2, with phi the identity).

    Adam's bias-corrected step plus the decay, r = m / (sqrt(v) + eps) + weight_decay * w, is scaled by |w| / |r| for
    each tensor, so that a step moves every layer by the same share of its norm. As in the authors' code, tensors that
    do not decay keep Adam's step, and the factor is 1 where either norm is 0.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            # A device is quickest with all tensors in each operation, a processor with each of them in its cache.
            together = [parameters] if parameters and parameters[0].is_cuda else [[p] for p in parameters]
            for some in together:
                self._step(some, group)
        return loss

    def _step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        (beta1, beta2), decay = group["betas"], group["weight_decay"]
        gradients = [p.grad for p in parameters if p.grad is not None]
        states = [self._state(p) for p in parameters]
        for state in states:
            state["step"] += 1
        means, squares = ([state[name] for state in states] for name in ("mean", "square"))
        foreach_lerp_(means, gradients, 1 - beta1)
        foreach_mul_(squares, beta2)
        foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        # The bias corrections are numbers, and are taken out of the root.
        roots = [math.sqrt(1 - beta2 ** state["step"]) for state in states]
        updates = foreach_sqrt(squares)
        foreach_add_(updates, [root * group["eps"] for root in roots])
        foreach_reciprocal_(updates)
        foreach_mul_(updates, means)
        foreach_mul_(updates, [root / (1 - beta1 ** s["step"]) for root, s in zip(roots, states, strict=True)])
        if decay:
            foreach_add_(updates, parameters, alpha=decay)
            foreach_mul_(updates, _trust(parameters, updates))
        foreach_add_(parameters, updates, alpha=-group["lr"])

    def _state(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        return state


def _trust(weights: Tensors, updates: Tensors) -> list[Tensor]:
    """Return |w| / |r| of each tensor; they stay on the device, so that no step waits for them."""
    pairs = zip(foreach_norm(weights), foreach_norm(updates), strict=True)
    return [torch.where((w > 0) & (r > 0), w / r, torch.ones_like(w)) for w, r in pairs]


def cosine(step: float, steps: float, first: float, last: float) -> float:
    """Return the value at `step` of half a cosine from `first` at step 0 to `last` at step `steps`."""
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2


@dataclass(frozen=True)
class Schedules:
    """The schedules of a training; steps count from 0 over all epochs.

    Attributes:
        training: The section of the model.
        per_epoch: Steps of an epoch.
    """

    training: Training
    per_epoch: int

    def learning_rate(self, step: int) -> float:
        """Return the rate of a step: linear warm-up, then half a cosine (Loshchilov and Hutter 2017)."""
        training = self.training
        warmup = min(training.warmup_epochs, training.epochs // 2) * self.per_epoch
        if step < warmup:
            return training.peak_learning_rate * (step + 1) / warmup
        total = training.epochs * self.per_epoch
        return cosine(step - warmup, total - warmup, training.peak_learning_rate, training.last_learning_rate)

    def weight_decay(self, step: int) -> float:
        """Return the decay of a step: half a cosine over all steps (Caron et al. 2021), or always the same."""
        first, last = self.training.weight_decay, self.training.final_weight_decay
        return first if last is None else cosine(step, self.training.epochs * self.per_epoch, first, last)
