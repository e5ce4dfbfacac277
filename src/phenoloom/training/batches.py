"""What a training reads: rows, loaders, and how a batch becomes inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..augment.contours import augment_contours
from ..augment.tiles import augment
from ..config.model import ImageModel, ShapeModel
from ..data.loader import Loader, Rows, cut, shuffled
from ..data.mixed_source import MixedSource
from ..nets.cyclic_form import about_centroid
from .dataset import Material
from .monitors import Sample
from .pairs import with_partners

Prepare = Callable[[Tensor, torch.Generator | None, Rows], Tensor]
"""A batch, what to augment it by, and its rows."""


class Sampler(Protocol):
    """An order of rows other than each once: `length` rows in epoch number `epoch`, fixed by `seed` for ever."""

    @property
    def length(self) -> int:
        """Rows of an epoch."""

    def epoch(self, seed: int, epoch: int) -> Rows:
        """The rows of an epoch."""


@dataclass(frozen=True)
class TrainingData:
    """Loaders and the rows that they read, and how a batch becomes inputs (augmented if a generator is given).

    Samplers, where there are any, say which rows an epoch takes, and in which order.
    """

    train: Loader
    validation: Loader
    train_rows: Rows
    validation_rows: Rows
    sample: Sample
    prepare: Prepare
    keys: NDArray[np.int64] | None = None
    train_sampler: Sampler | None = None
    validation_sampler: Sampler | None = None

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch."""
        length = self.train_sampler.length if self.train_sampler else len(self.train_rows)
        return -(-length // batch_size)

    def order(self, batch_size: int, seed: int, epoch: int) -> list[Rows]:
        """Batches of one epoch; where the objective pulls pairs together, partners share a batch."""
        sampler = self.train_sampler
        if self.keys is not None:
            rows = sampler.epoch(seed, epoch) if sampler else self.train_rows
            return cut(with_partners(rows, self.keys, seed, epoch), batch_size)
        if sampler:
            return cut(sampler.epoch(seed, epoch), batch_size)
        return shuffled(self.train_rows, batch_size, seed, epoch)

    def validation_order(self, batch_size: int) -> list[Rows]:
        """Batches of validation, the same in every epoch."""
        held = self.validation_sampler.epoch(0, 0) if self.validation_sampler else self.validation_rows
        return cut(held if self.keys is None else with_partners(held, self.keys, 0, 0), batch_size)

    def keys_of(self, rows: Rows, device: torch.device) -> Tensor | None:
        """The keys of rows that the objective's `forward` takes beside the batch, if it does."""
        return None if self.keys is None else torch.from_numpy(self.keys[rows]).to(device)


def cut_parts(inputs: Tensor, keys: Tensor | None, count: int, least: int) -> list[tuple[Tensor, ...]]:
    """Inputs, with their keys, in `count` parts, or fewer where `least` items do not make two a part.

    `least` is the smallest share of the batch in any process: all must cut alike, because layers talk to each other.
    """
    count = min(count, max(least // 2, 1))
    cuts = [torch.tensor_split(values, count) for values in (inputs, keys) if values is not None]
    return list(zip(*cuts, strict=True))


Model = ImageModel | ShapeModel


def preparation(model: Model, material: Material, makes_views: bool) -> Prepare:
    """The preparation of a material's batches; objectives that draw views of their own augment by themselves."""
    if isinstance(material.view, MixedSource):
        return _of_several(model, material, material.view, makes_views)

    def prepare(batch: Tensor, generator: torch.Generator | None, rows: Rows) -> Tensor:
        inputs = batch if material.normaliser is None else material.normaliser(batch)
        inputs = inputs if makes_views or generator is None else augmented(model, inputs, generator)
        return inputs if material.placement is None else material.placement(inputs)

    return prepare


def augmented(model: Model, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Tiles or contours as the model wants them in training.

    Channels are augmented before they are put in their places: an input that has none stays what `fill` says.
    """
    if isinstance(model, ImageModel):
        return augment(inputs, model.augment, generator)
    contours = augment_contours(inputs, model.augment, generator)
    # In the frame in which contours are embedded: that of the augmented is the mean of their points.
    return about_centroid(contours) if model.augment.any else contours


def _of_several(model: Model, material: Material, view: MixedSource, makes_views: bool) -> Prepare:
    def prepare(batch: Tensor, generator: torch.Generator | None, rows: Rows) -> Tensor:
        studies = view.study_of(rows)
        whole: Tensor | None = None
        for number in np.unique(studies):
            places = np.flatnonzero(studies == number)
            at = torch.from_numpy(places).to(batch.device)
            intake = material.intakes[number]
            inputs = intake.inputs(batch[at], rows[places], generator)
            inputs = inputs if makes_views or generator is None else augmented(model, inputs, generator)
            inputs = inputs if intake.placement is None else intake.placement(inputs)
            if whole is None:
                # Channels last, as every batch of images is.
                layout = torch.channels_last if inputs.ndim == 4 else torch.contiguous_format
                shape = (len(rows), *inputs.shape[1:])
                whole = torch.empty(shape, dtype=inputs.dtype, device=inputs.device, memory_format=layout)
            whole.index_copy_(0, at, inputs)
        assert whole is not None
        return whole

    return prepare
