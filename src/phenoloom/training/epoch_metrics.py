"""Sums of losses over the batches of an epoch, over all processes, and the row of metrics that comes of them."""

from __future__ import annotations

import torch
from torch import Tensor

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
