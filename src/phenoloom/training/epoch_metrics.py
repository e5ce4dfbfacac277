"""The metrics of an epoch over all processes: means of losses, and throughput."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ..data.loader import Loader
from ..nets import collective as distributed
from ..nets.quantizer import perplexity
from ..objectives import Outcome

Metrics = dict[str, float]
"""Row of `metrics.csv`: name of a figure -> its value in an epoch."""
Speed = dict[str, float]
"""Row of `throughput.csv`."""
Sums = dict[str, Tensor]
"""Sums over the items of an epoch so far, by `<stage>_<name>`, float64."""


def add_outcome(sums: Sums, stage: str, outcome: Outcome, count: int) -> None:
    """Add the outcome of a batch to the sums of an epoch.

    Args:
        sums: The sums, which change.
        stage: `train` or `val`.
        outcome: Means over the batch.
        count: Items of the batch.
    """
    values = {"loss": outcome.loss, **outcome.parts}
    added = {f"{stage}_{name}": value.detach().double() * count for name, value in values.items()}
    added[f"{stage}_count"] = torch.tensor(count, dtype=torch.float64, device=outcome.loss.device)
    if outcome.codes is not None:
        added[f"{stage}_codes"] = outcome.codes.detach().double()
    for name, value in added.items():
        sums[name] = sums[name] + value if name in sums else value


def means(sums: Sums) -> Metrics:
    """Return the means over items of the losses and their parts, over all processes.

    Of a codebook, also the perplexity of its use in validation, and the number of codes used.
    """
    sums = distributed.sum_dicts(sums)
    row: Metrics = {}
    for stage in ("train", "val"):
        count = float(sums[f"{stage}_count"])
        for name, value in sums.items():
            if name.startswith(f"{stage}_") and value.ndim == 0 and not name.endswith("_count"):
                row[name] = float(value) / count
    if "val_codes" in sums:
        row["perplexity"] = perplexity(sums["val_codes"])
        row["codes_in_use"] = int((sums["val_codes"] > 0).sum())
    return row


class Throughput(pl.Callback):  # type: ignore[misc] # Lightning is not typed
    """A callback that measures the steps of one epoch, without validation."""

    def __init__(self, loader: Loader) -> None:
        """Measure from now on the steps that read from `loader`."""
        self._loader = loader
        self.start()

    def start(self) -> None:
        """Begin an epoch."""
        self._began, self._waited, self._items = time.monotonic(), self._loader.waited, 0
        self._seconds = 0.0

    def count(self, items: int) -> None:
        """Count a step of so many items, which is over."""
        self._items += items
        self._seconds = time.monotonic() - self._began

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin an epoch."""
        self.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Tensor, batch_idx: int
    ) -> None:
        """Count a step."""
        self.count(len(batch))

    def read(self) -> Speed:
        """Return the throughput of all processes.

        `items_per_second` counts items; `waited_for_data` is the share of the time in which processes waited for data.
        The device computes on while its process waits, so the share is an upper bound of the device's waiting.
        """
        own = (self._items, self._seconds, self._loader.waited - self._waited)
        everyone = distributed.gather_objects(own) if distributed.active() else [own]
        items, seconds, waited = (sum(values) for values in zip(*everyone, strict=True))
        seconds = max(seconds, 1e-9)
        return {"items_per_second": items * len(everyone) / seconds, "waited_for_data": min(waited / seconds, 1.0)}
