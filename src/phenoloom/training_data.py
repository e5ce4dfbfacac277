"""What a training reads: rows, loaders, and how a batch becomes inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .data import Loader, Rows, cut, shuffled
from .monitors import Sample
from .pairs import with_partners

Prepare = Callable[[Tensor, torch.Generator | None], Tensor]


@dataclass(frozen=True)
class TrainingData:
    """Loaders and the rows that they read, and how a batch becomes inputs (augmented if a generator is given)."""

    train: Loader
    validation: Loader
    train_rows: Rows
    validation_rows: Rows
    sample: Sample
    prepare: Prepare
    keys: NDArray[np.int64] | None = None

    def order(self, rows: Rows, batch_size: int, seed: int, epoch: int) -> list[Rows]:
        """Batches of one pass; where the objective pulls pairs together, partners share a batch."""
        if self.keys is None:
            return shuffled(rows, batch_size, seed, epoch)
        return cut(with_partners(rows, self.keys, seed, epoch), batch_size)

    def validation_order(self, batch_size: int) -> list[Rows]:
        """Batches of the validation rows, the same in every epoch."""
        held = self.validation_rows
        return cut(held, batch_size) if self.keys is None else self.order(held, batch_size, 0, 0)

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
