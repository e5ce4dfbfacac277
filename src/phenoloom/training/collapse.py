"""Trainings that fail: vectors that no longer differ, and values that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ..config.training import Collapse, Training
from ..core.errors import TrainingFailedError
from ..nets import collective as distributed
from .epoch_metrics import Metrics


def under_floors(row: Metrics, floors: Collapse) -> list[str]:
    """Return the figures of an epoch that lie under their floor, in words; empty if all lie above."""
    figures = [
        ("effective rank", row["effective_rank"], "least_rank", floors.least_rank),
        ("spread", row["embedding_spread"], "least_spread", floors.least_spread),
    ]
    nats = information(row)
    if nats is not None:
        figures.append(("information of the codes in nats", nats, "least_information", floors.least_information))
    return [
        f"{name} {value:.3g} (training.collapse.{key} {floor:g})"
        for name, value, key, floor in figures
        if value < floor
    ]


def information(row: Metrics) -> float | None:
    """Return the information in nats that codes or a teacher's outputs have about a tile, or None without either.

    Of a codebook it is the entropy of its use; of a teacher the mutual information of tile and output, the entropy of
    the mean output less the mean entropy.
    """
    if "train_teacher_information" in row:
        return row["train_teacher_information"]
    return math.log(row["perplexity"]) if "perplexity" in row else None


def collapse_error(name: str, row: Metrics, under: list[str], epochs: int, kept: str) -> TrainingFailedError:
    """Return the error of a training that has collapsed.

    Args:
        name: Name of the training.
        row: Metrics of the last epoch.
        under: Its figures under a floor (`under_floors`).
        epochs: Epochs in a row under a floor.
        kept: Where a rerun begins, in words.
    """
    return TrainingFailedError(
        f"{name}: the embedding has collapsed: after {epochs} epochs under a floor, epoch {row['epoch']:.0f} has "
        f"{' and '.join(under)}; {kept}. Lower training.learning_rate or training.weight_decay, or raise a term that "
        "keeps vectors apart (objective.koleo, contrast; for the outputs of a DINO teacher objective.head_batch_norm); "
        "lower the floors if such vectors are right for this study"
    )


def all_finite(values: Iterable[Tensor]) -> bool:
    """Return whether every value in every process is finite."""
    return not distributed.any_of(not all(bool(torch.isfinite(value).all()) for value in values))


def non_finite_error(name: str, epoch: int, training: Training, kept: str) -> TrainingFailedError:
    """Return the error of a training with a loss that is not finite; `kept` says where a rerun begins."""
    return TrainingFailedError(
        f"{name}: the loss is not finite in epoch {epoch}; lower training.learning_rate (now "
        f"{training.learning_rate:g}) or raise training.warmup_epochs; {kept}"
    )
