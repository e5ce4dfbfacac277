"""When a training has come to nothing: vectors that no longer differ, and numbers that are none."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from . import distributed
from .config.training import Collapse, Training
from .errors import PhenoloomError
from .tally import Metrics


def collapsed(row: Metrics, floors: Collapse) -> bool:
    """Whether an epoch's figures lie under a floor."""
    return row["effective_rank"] < floors.least_rank or row["embedding_spread"] < floors.least_spread


def collapse_error(name: str, row: Metrics, epochs: int, floors: Collapse, kept: str) -> PhenoloomError:
    """What a training that collapsed `epochs` epochs ago ends with; `kept` says where its last good state is."""
    return PhenoloomError(
        f"{name}: the embedding has collapsed: after {epochs} epochs under a floor its effective rank is "
        f"{row['effective_rank']:.3g} (training.collapse.least_rank {floors.least_rank:g}) and its spread "
        f"{row['embedding_spread']:.3g} (training.collapse.least_spread {floors.least_spread:g}) in epoch "
        f"{row['epoch']:.0f}; {kept}. Lower training.learning_rate or training.weight_decay, or raise a term that "
        "keeps vectors apart (objective.koleo, contrast); lower the floors if such vectors are right for this study"
    )


def all_finite(values: Iterable[Tensor]) -> bool:
    """Whether every number in every process is finite."""
    return not distributed.any_of(not all(bool(torch.isfinite(value).all()) for value in values))


def non_finite_error(name: str, epoch: int, training: Training, kept: str) -> PhenoloomError:
    """What a training with a loss that is not finite ends with."""
    return PhenoloomError(
        f"{name}: the loss is not finite in epoch {epoch}; lower training.learning_rate (now "
        f"{training.learning_rate:g}) or raise training.warmup_epochs; {kept}"
    )
