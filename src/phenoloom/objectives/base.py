"""The interface of every model to pretraining and embedding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..augment.tiles import symmetries


@dataclass(frozen=True)
class Outcome:
    """The loss of one batch, with what is logged about it.

    Attributes:
        loss: Scalar that is minimised.
        features: Vectors (views, b, values) of the batch's items, on which a term between items can act; views are
            augmentations, crops or channels of the same item.
        parts: Terms of the loss by name, each the mean over the batch.
        codes: How often each code of a codebook was used (codes,); None without a codebook.
    """

    loss: Tensor
    features: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    codes: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """The position in a training.

    Attributes:
        number: Optimiser steps so far, counted over all epochs.
        per_epoch: Steps of one epoch.
        epochs: Epochs of the whole training.
    """

    number: int
    per_epoch: int
    epochs: int

    @property
    def epoch(self) -> int:
        """Return the epoch of the step, from 0."""
        return self.number // self.per_epoch

    @property
    def fraction(self) -> float:
        """Return the finished share of the training, in [0, 1)."""
        return self.number / (self.per_epoch * self.epochs)


class Objective(nn.Module, ABC):
    """A network and what is optimised; inputs are prepared batches (normalised tiles, or contours of scale 1)."""

    @property
    def makes_views(self) -> bool:
        """Return whether `forward` augments by itself, so that it must be given batches without augmentation."""
        return False

    @property
    def keeps_last(self) -> bool:
        """Return whether the last weights are the result, because losses of two epochs cannot be compared."""
        return False

    @property
    def pairs(self) -> str | None:
        """Return the kind of pairs (`training.pairs.KINDS`) of which `forward` needs the keys (b, 2), or None."""
        return None

    @property
    def averages_orientations(self) -> bool:
        """Return whether `embed` averages over the eight flips and right-angle rotations of a tile."""
        return False

    @abstractmethod
    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of a batch.

        Args:
            inputs: The prepared batch.
            generator: Source of all randomness of training, on the batch's device; None in evaluation, which is
                deterministic.
        """

    @abstractmethod
    def embed(self, inputs: Tensor, *, orientations: bool = True) -> Tensor:
        """Return deterministic vectors (b, latent), float32.

        Args:
            inputs: The prepared batch.
            orientations: Average over orientations if the model does; False: embed the inputs as they lie, which is
                eight times as fast.
        """

    def reconstruct(self, inputs: Tensor) -> Tensor | None:
        """Return the decoder's answer to a batch in the unit and shape of its inputs, or None without a decoder."""
        return None

    def decode(self, vectors: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return outlines (b, n, 2) of vectors (b, latent), or None where no way leads from a vector to an outline.

        The second tensor is the share (b,) of their distances that no outline in the plane has.
        """
        return None

    def draw(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return vectors (count, latent) drawn from the prior, on the generator's device, or None without a prior."""
        return None

    def before_step(self, step: Step) -> None:
        """Follow the schedules: called before the forward pass of each optimiser step."""

    def before_update(self, step: Step) -> None:
        """Change gradients: called after the backward pass, before they are clipped and applied."""

    def after_update(self, step: Step) -> None:
        """Follow the weights: called after the optimiser has changed them."""


class TileObjective(Objective, ABC):
    """An objective of tiles (b, c, y, x) whose embedding may be averaged over their orientations."""

    def __init__(self, any_orientation: bool) -> None:
        """Remember whether the orientation of a tile has no meaning (`augment.flip`)."""
        super().__init__()
        self.any_orientation = any_orientation

    @property
    def averages_orientations(self) -> bool:
        """Return whether orientation has no meaning."""
        return self.any_orientation

    def embed(self, inputs: Tensor, *, orientations: bool = True) -> Tensor:
        """Return vectors (b, latent), which are the means over the eight orientations where these have no meaning."""
        # One view after the other: eight at once would need eight times the memory.
        views = symmetries(inputs) if orientations and self.averages_orientations else [inputs]
        return torch.stack([self.vectors(view) for view in views]).mean(0)

    @abstractmethod
    def vectors(self, inputs: Tensor) -> Tensor:
        """Return the vectors (b, latent), float32, of tiles as they lie."""


class Wrapper(Objective, ABC):
    """An objective around another one, `base`, which keeps its schedules and properties."""

    def __init__(self, base: Objective) -> None:
        super().__init__()
        self.base = base

    @property
    def makes_views(self) -> bool:
        """Return whether the base augments by itself."""
        return self.base.makes_views

    @property
    def keeps_last(self) -> bool:
        """Return whether the last weights of the base are the result."""
        return self.base.keeps_last

    @property
    def averages_orientations(self) -> bool:
        """Return whether the base averages over orientations."""
        return self.base.averages_orientations

    def embed(self, inputs: Tensor, *, orientations: bool = True) -> Tensor:
        """Return the vectors of the base."""
        return self.base.embed(inputs, orientations=orientations)

    def reconstruct(self, inputs: Tensor) -> Tensor | None:
        """Return the reconstruction of the base."""
        return self.base.reconstruct(inputs)

    def before_step(self, step: Step) -> None:
        """Let the base follow its schedules."""
        self.base.before_step(step)

    def before_update(self, step: Step) -> None:
        """Let the base change its gradients."""
        self.base.before_update(step)

    def after_update(self, step: Step) -> None:
        """Let the base follow its weights."""
        self.base.after_update(step)


def fixed_generator(inputs: Tensor) -> torch.Generator:
    """Return the generator of an evaluation, which draws the same for every batch and epoch, on the inputs' device."""
    return torch.Generator(inputs.device).manual_seed(0)
