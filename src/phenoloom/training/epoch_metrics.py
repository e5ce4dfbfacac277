"""Sums of losses over the batches of an epoch, over all processes, and the row of metrics that comes of them."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from ..data.loader import Loader
from ..nets import collective as distributed
from ..nets.quantizer import perplexity
from ..objectives import Outcome

Metrics = dict[str, float]
Sums = dict[str, Tensor]


def add(sums: Sums, stage: str, outcome: Outcome, count: int) -> None:
    """Add the outcome of a batch of `count` items; `stage` is `train` or `val`."""
    values = {"loss": outcome.loss, **outcome.parts}
    added = {f"{stage}_{name}": value.detach().double() * count for name, value in values.items()}
    added[f"{stage}_count"] = torch.tensor(count, dtype=torch.float64, device=outcome.loss.device)
    if outcome.codes is not None:
        added[f"{stage}_codes"] = outcome.codes.detach().double()
    for name, value in added.items():
        sums[name] = sums[name] + value if name in sums else value


def closed(sums: Sums) -> Metrics:
    """Means over items of the losses and their parts; of a codebook, how many codes validation used."""
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


Speed = dict[str, float]


class Clock:
    """Measures the steps of one epoch, validation left out."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self.start()

    def start(self) -> None:
        """Begin a pass."""
        self._began, self._waited, self._items = time.monotonic(), self._loader.waited, 0
        self._seconds = 0.0

    def count(self, items: int) -> None:
        """A step of so many items is over."""
        self._items += items
        self._seconds = time.monotonic() - self._began

    def read(self) -> Speed:
        """`items_per_second` of all processes, and `waited_for_data`, the share of the time that they waited for data.

        A process that waits keeps a GPU from nothing while that still has work, so the share is the most that the
        device can have waited.
        """
        own = (self._items, self._seconds, self._loader.waited - self._waited)
        everyone = distributed.gather_objects(own) if distributed.active() else [own]
        items, seconds, waited = (sum(values) for values in zip(*everyone, strict=True))
        seconds = max(seconds, 1e-9)
        return {"items_per_second": items * len(everyone) / seconds, "waited_for_data": min(waited / seconds, 1.0)}
