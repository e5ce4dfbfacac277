"""What pretraining and embedding ask of every model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Outcome:
    """Loss of one batch: `parts` are its terms (means over the batch), `codes` how often each code was used.

    `features` (views, b, values) are vectors of the batch's items that a term between items can pull on; views are
    augmentations, crops or channels of the same item.
    """

    loss: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    codes: Tensor | None = None
    features: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """Where training is: `number` counts optimiser steps from 0 over all epochs."""

    number: int
    per_epoch: int
    epochs: int

    @property
    def epoch(self) -> int:
        """Epoch of the step, from 0."""
        return self.number // self.per_epoch

    @property
    def fraction(self) -> float:
        """Share of the training that lies behind, in [0, 1)."""
        return self.number / (self.per_epoch * self.epochs)


class Objective(nn.Module, ABC):
    """A network and what is optimised; inputs are prepared batches (normalised tiles, or contours of scale 1)."""

    @property
    def makes_views(self) -> bool:
        """Whether `forward` augments by itself, so that it must be given batches without augmentation."""
        return False

    @property
    def keeps_last(self) -> bool:
        """Whether the last weights are the result: where the validation loss of two epochs cannot be compared."""
        return False

    @property
    def pairs(self) -> str | None:
        """What tells which items belong together (`pairs.KINDS`); `forward` then also takes their keys (b, 2)."""
        return None

    @abstractmethod
    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Loss of a batch; all randomness of training comes from `generator`, which lies on the batch's device."""

    @abstractmethod
    def embed(self, inputs: Tensor) -> Tensor:
        """Deterministic vectors (b, latent)."""

    def embed_once(self, inputs: Tensor) -> Tensor:
        """Vectors (b, latent) of inputs as they lie, where `embed` averages over orientations: enough for monitors."""
        return self.embed(inputs)

    def reconstruct(self, inputs: Tensor) -> Tensor | None:
        """The decoder's answer to a batch, in the unit and shape of its inputs; none: there is no decoder."""
        return None

    def decode(self, vectors: Tensor) -> tuple[Tensor, Tensor] | None:
        """Outlines (b, n, 2) of vectors (b, latent) and the share (b,) of their distances that no outline in the plane
        has; none: there is no way from a vector back to an outline.
        """
        return None

    def before_step(self, step: Step) -> None:
        """Follow the schedules: called before the forward pass of each optimiser step."""

    def before_update(self, step: Step) -> None:
        """Change gradients: called after the backward pass, before they are clipped and applied."""

    def after_update(self, step: Step) -> None:
        """Follow the weights: called after the optimiser has changed them."""


class Wrapper(Objective, ABC):
    """An objective around another one, `base`, whose schedules and answers it passes on."""

    def __init__(self, base: Objective) -> None:
        super().__init__()
        self.base = base

    @property
    def makes_views(self) -> bool:
        """As the base does."""
        return self.base.makes_views

    @property
    def keeps_last(self) -> bool:
        """As the base does."""
        return self.base.keeps_last

    def embed(self, inputs: Tensor) -> Tensor:
        """As the base does."""
        return self.base.embed(inputs)

    def embed_once(self, inputs: Tensor) -> Tensor:
        """As the base does."""
        return self.base.embed_once(inputs)

    def reconstruct(self, inputs: Tensor) -> Tensor | None:
        """As the base does."""
        return self.base.reconstruct(inputs)

    def before_step(self, step: Step) -> None:
        """As the base does."""
        self.base.before_step(step)

    def before_update(self, step: Step) -> None:
        """As the base does."""
        self.base.before_update(step)

    def after_update(self, step: Step) -> None:
        """As the base does."""
        self.base.after_update(step)


def fixed_generator(inputs: Tensor) -> torch.Generator:
    """The draws of an evaluation, the same for every batch and epoch."""
    return torch.Generator(inputs.device).manual_seed(0)
