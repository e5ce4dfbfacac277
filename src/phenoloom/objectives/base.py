"""What pretraining and embedding ask of every model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Outcome:
    """Loss of one batch: `parts` are its terms (means over the batch), `codes` how often each code was used."""

    loss: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    codes: Tensor | None = None


class Objective(nn.Module, ABC):
    """A network and what is optimised; inputs are prepared batches (normalised tiles, or contours of scale 1)."""

    @abstractmethod
    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Loss of a batch; all randomness of training comes from `generator`, which lies on the batch's device."""

    @abstractmethod
    def embed(self, inputs: Tensor) -> Tensor:
        """Deterministic vectors (b, latent)."""

    @abstractmethod
    def reconstruct(self, inputs: Tensor) -> Tensor:
        """The decoder's answer to a batch, in the unit and shape of its inputs."""
