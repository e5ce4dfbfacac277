"""A moving average of the weights (Polyak and Juditsky 1992), which often embeds better than the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ..nets.torch_private import BatchNorm, foreach_lerp_


class WeightAverage:
    """Averages of a network's trained parameters and of the statistics of its batch norms.

    Statistics belong to the weights that they were measured with, and are averaged alike; every other buffer (a
    codebook, a counter) is what it is in the network.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        """Begin with the weights of `net`; `decay` in [0, 1) is the share of the average that each update keeps."""
        self.decay = decay
        self._live = _averaged(net)
        self._averages = [value.detach().clone() for value in self._live]

    @torch.no_grad()
    def follow(self, updates: int) -> None:
        """Move towards the weights after update number `updates`, from 0.

        The decay is min(decay, (1 + n) / (10 + n)), so that the initial weights are soon forgotten.
        """
        decay = min(self.decay, (1 + updates) / (10 + updates))
        foreach_lerp_(self._averages, self._live, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the averages within the context."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    def state(self) -> list[Tensor]:
        """Return the averages."""
        return self._averages

    @torch.no_grad()
    def load_state(self, averages: list[Tensor]) -> None:
        """Put back averages that `state` returned."""
        for own, other in zip(self._averages, averages, strict=True):
            own.copy_(other)

    @torch.no_grad()
    def exchange(self) -> None:
        """Exchange the weights of the network and their averages; a second call puts both back."""
        # By copies: optimiser, processes and compiled code hold on to the tensors themselves.
        for live, average in zip(self._live, self._averages, strict=True):
            kept = live.clone()
            live.copy_(average)
            average.copy_(kept)


class ValidatedAverage(pl.Callback):  # type: ignore[misc] # Lightning is not typed
    """A callback that validates a training with the averages of its weights, which are kept, not with the weights."""

    def __init__(self, average: WeightAverage) -> None:
        self._average = average

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the network the averages."""
        self._average.exchange()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the network the weights that are trained."""
        self._average.exchange()


def _averaged(net: nn.Module) -> list[Tensor]:
    weights: list[Tensor] = [p for p in net.parameters() if p.requires_grad]
    norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
    return weights + [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]
