"""The batches of a training: their rows in each epoch, and how they become inputs of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.channels import draw_channels
from ..data.domain import Domain
from ..data.loader import Loader, Rows, cut, shuffled
from ..data.mixed_source import MixedSource
from .dataset import TrainingSet
from .monitors import ProbeSample
from .pairs import with_partners

Prepare = Callable[[Tensor, torch.Generator | None, Rows], Tensor]
"""Returns the inputs of a batch, given the batch, the generator of augmentations (None: none), and its rows."""


class Sampler(Protocol):
    """An order of rows other than each once, which the seed and the epoch fix for ever."""

    @property
    def length(self) -> int:
        """Return the number of rows of an epoch."""

    def epoch(self, seed: int, epoch: int) -> Rows:
        """Return the rows of an epoch."""


@dataclass(frozen=True)
class TrainingData:
    """The loaders of a training, the rows that they read, and how a batch becomes inputs.

    Attributes:
        train: Loader of the items to train on.
        validation: Loader of the items held out.
        train_rows: Rows of the former.
        validation_rows: Rows of the latter.
        sample: Rows that the monitors measure.
        prepare: Makes inputs of a batch.
        keys: Keys (rows, 2) of the pairs that the objective pulls together; None without pairs.
        train_sampler: Order of training; None: each row once an epoch.
        validation_sampler: Order of validation; None: each row once.
    """

    train: Loader
    validation: Loader
    train_rows: Rows
    validation_rows: Rows
    sample: ProbeSample
    prepare: Prepare
    keys: NDArray[np.int64] | None = None
    train_sampler: Sampler | None = None
    validation_sampler: Sampler | None = None

    def steps(self, batch_size: int) -> int:
        """Return the number of batches of an epoch."""
        length = self.train_sampler.length if self.train_sampler else len(self.train_rows)
        return -(-length // batch_size)

    def order(self, batch_size: int, seed: int, epoch: int) -> list[Rows]:
        """Return the batches of one epoch; where the objective pulls pairs together, partners share a batch."""
        sampler = self.train_sampler
        if self.keys is not None:
            rows = sampler.epoch(seed, epoch) if sampler else self.train_rows
            return cut(with_partners(rows, self.keys, seed, epoch), batch_size)
        if sampler:
            return cut(sampler.epoch(seed, epoch), batch_size)
        return shuffled(self.train_rows, batch_size, seed, epoch)

    def validation_order(self, batch_size: int) -> list[Rows]:
        """Return the batches of validation, the same in every epoch."""
        held = self.validation_sampler.epoch(0, 0) if self.validation_sampler else self.validation_rows
        return cut(held if self.keys is None else with_partners(held, self.keys, 0, 0), batch_size)

    def keys_of(self, rows: Rows, device: torch.device) -> Tensor | None:
        """Return the keys of rows, which the objective's `forward` takes beside the batch; None without pairs."""
        return None if self.keys is None else torch.from_numpy(self.keys[rows]).to(device)


def cut_parts(inputs: Tensor, keys: Tensor | None, count: int, least: int) -> list[tuple[Tensor, ...]]:
    """Return inputs, with their keys, in parts that are computed one after the other.

    Args:
        inputs: Inputs (b, ...).
        keys: Keys (b, 2), or None.
        count: Number of parts; there are fewer where `least` items do not make two a part.
        least: Smallest share of the batch in any process: all must cut alike, because layers exchange sums.
    """
    count = min(count, max(least // 2, 1))
    cuts = [torch.tensor_split(values, count) for values in (inputs, keys) if values is not None]
    return list(zip(*cuts, strict=True))


def preparation(domain: Domain, study: str, data: TrainingSet, makes_views: bool) -> Prepare:
    """Return the preparation of the batches of a training set.

    Args:
        domain: Kind of items.
        study: The study, where the training set is of one.
        data: The training set.
        makes_views: Whether the objective augments by itself, so that batches are only normalised.
    """
    if isinstance(data.source, MixedSource):
        return _of_several(domain, data, data.source, makes_views)
    placement = data.inputs.placements.get(study)

    def prepare(batch: Tensor, generator: torch.Generator | None, rows: Rows) -> Tensor:
        inputs = domain.prepare(batch, data.normaliser, None)
        inputs = inputs if makes_views or generator is None else domain.augment(inputs, generator)
        return inputs if placement is None else placement(inputs)

    return prepare


def _of_several(domain: Domain, data: TrainingSet, source: MixedSource, makes_views: bool) -> Prepare:
    def prepare(batch: Tensor, generator: torch.Generator | None, rows: Rows) -> Tensor:
        numbers = source.source_of(rows)
        whole = torch.empty(0)
        for number in np.unique(numbers):
            part, places = data.studies[number], np.flatnonzero(numbers == number)
            at = torch.from_numpy(places).to(batch.device)
            inputs = domain.prepare(source.items(number, batch[at]), part.normaliser, None)
            if data.inputs.drawn is not None:
                inputs = draw_channels(inputs, data.inputs.drawn, rows[places], generator)
            inputs = inputs if makes_views or generator is None else domain.augment(inputs, generator)
            placement = data.inputs.placements.get(part.name)
            inputs = inputs if placement is None else placement(inputs)
            if not len(whole):
                # Channels last, as every batch of images is.
                layout = torch.channels_last if inputs.ndim == 4 else torch.contiguous_format
                shape = (len(rows), *inputs.shape[1:])
                whole = torch.empty(shape, dtype=inputs.dtype, device=inputs.device, memory_format=layout)
            whole.index_copy_(0, at, inputs)
        return whole

    return prepare
