"""Batch normalisation over the rows of all processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .collective import active, sum_in_place
from .torch_private import BatchNorm


class SynchronisedBatchNorm(BatchNorm):
    """Batch norm whose mean and variance in training are those of the rows of all processes.

    As `torch.nn.SyncBatchNorm` (which needs CUDA), with the variance from deviations rather than from squares, and with
    the names of an ordinary batch norm in its state.
    """

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def _check_input_dim(self, input: Tensor) -> None:
        return

    def forward(self, inputs: Tensor) -> Tensor:
        """Return normalised inputs (b, channels, ...); the processes may have different numbers of rows."""
        if not self.training or not active():
            return F.batch_norm(
                inputs,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                self.training,
                self.momentum,
                self.eps,
            )
        with torch.autocast(inputs.device.type, enabled=False):
            return self._normalise(inputs.float()).to(inputs.dtype)

    def _normalise(self, inputs: Tensor) -> Tensor:
        axes = [0, *range(2, inputs.ndim)]
        shape = (1, -1, *[1] * (inputs.ndim - 2))
        own = torch.full((1,), inputs.numel() / inputs.shape[1], device=inputs.device)
        sums = _sum_with_gradient(torch.cat([inputs.sum(axes), own]))
        count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        deviations = inputs - mean.view(shape)
        variance = _sum_with_gradient(deviations.square().sum(axes)) / count
        self._follow(mean.detach(), (variance * count / (count - 1)).detach())
        scale = (variance + self.eps).rsqrt() * self.weight
        return deviations * scale.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _SumOverProcesses(torch.autograd.Function):
    """A sum whose gradient goes back to every process that added to it."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return sum_in_place(value.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return sum_in_place(gradient.clone())


def _sum_with_gradient(value: Tensor) -> Tensor:
    summed: Tensor = _SumOverProcesses.apply(value)  # type: ignore[no-untyped-call] # torch's own
    return summed


def synchronise_batch_norms(module: nn.Module) -> None:
    """Replace each batch norm inside a module by a synchronised one that shares its parameters and buffers."""
    for name, child in module.named_children():
        if isinstance(child, BatchNorm):
            norm = SynchronisedBatchNorm(child.num_features, child.eps, child.momentum)
            norm.weight, norm.bias = child.weight, child.bias
            for buffer, value in child.named_buffers():
                setattr(norm, buffer, value)
            norm.train(child.training)
            setattr(module, name, norm)
        else:
            synchronise_batch_norms(child)
