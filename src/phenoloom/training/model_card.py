"""The card of a trained model: what is needed to load it, and what it was trained on."""

from __future__ import annotations

from pathlib import Path

from ..data.domain import domain_of
from ..models.checkpoint import Card, Statistics, StudyCard, Tuned
from ..models.preprocessing import preparation_of
from .dataset import StudyPart, TrainingSet
from .module import Pretraining
from .task import TrainingTask


def model_card(
    task: TrainingTask,
    data: TrainingSet,
    module: Pretraining,
    stores: tuple[Path, ...],
    tuned: Tuned | None,
) -> Card:
    """Return the card of a training that has ended.

    Args:
        task: The training.
        data: What it was trained on.
        module: The training after its last epoch.
        stores: Manifests of the study that vectors are made of, which state how its items were made.
        tuned: How a search has chosen settings.
    """
    normaliser = data.normaliser
    return Card(
        name=task.name,
        study=task.study,
        split=task.split,
        seed=task.seed,
        initial_seed=module.seed,
        **task.made_by.record(),
        model=task.model,
        supervision=domain_of(task.model).supervision,
        channels=data.channels,
        inputs=data.inputs.names,
        mean=list(normaliser.mean) if normaliser else None,
        std=list(normaliser.std) if normaliser else None,
        fold_statistics={k: Statistics.of(n) for k, n in data.fold_normalisers.items()} or None,
        points=data.points,
        studies=[_study_card(part) for part in data.studies] or None,
        precision=module.progress.precision,
        best_epoch=module.progress.best_epoch,
        validation_loss=module.progress.best_loss,
        epochs_run=module.progress.epoch,
        train_rows=len(data.train),
        train_groups=data.groups(data.train),
        validation_rows=len(data.validation),
        validation_groups=data.groups(data.validation),
        rows_without_shape=data.lost,
        preparation=preparation_of(stores),
        tuned=tuned,
    )


def _study_card(part: StudyPart) -> StudyCard:
    """Return what a card states about one of several studies that a model was trained on."""
    return StudyCard(
        study=part.name,
        share=round(part.share, 6),
        rows=len(part.table),
        train_rows=len(part.train),
        validation_rows=len(part.validation),
        channels=part.source.channels,
        pixel_size_um=part.source.pixel_size_um,
        statistics=Statistics.of(part.normaliser) if part.normaliser else None,
        taken_out=dict(part.taken_out),
    )
