"""The card of a trained model: everything needed to load it, and what it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..artifacts.provenance import Provenance
from ..config.model import ImageModel
from ..config.rule_settings import PretrainSettings
from ..core.errors import PhenoloomError
from ..data.sources import ContourSource, TileSource
from ..models.checkpoint import Card, Statistics, StudyCard, Tuned
from ..models.preprocessing import preparation_of
from .dataset import Material, StudyPart
from .module import Pretraining


def _points(material: Material) -> int | None:
    """Points of a contour, in a material of contours."""
    views = [material.view, *(part.view for part in material.studies)]
    found = {view.item[0] for view in views if isinstance(view, ContourSource)}
    if len(found) > 1:
        raise PhenoloomError(
            f"One model takes contours of one number of points, and the studies have {sorted(found)}; set "
            "`shapes.points` alike"
        )
    return found.pop() if found else None


def _card(
    settings: PretrainSettings, material: Material, module: Pretraining, stores: Sequence[Path], tuned: Tuned | None
) -> Card:
    normaliser = material.normaliser
    return Card(
        name=settings.model_name,
        study=settings.study,
        split=settings.split,
        seed=settings.seed,
        initial_seed=module.seed,
        **Provenance.of(settings).record(),
        model=settings.model,
        supervision=settings.model.supervision if isinstance(settings.model, ImageModel) else "none",
        channels=material.channels,
        inputs=material.inputs,
        mean=list(normaliser.mean) if normaliser else None,
        std=list(normaliser.std) if normaliser else None,
        fold_statistics={k: Statistics.of(n) for k, n in material.fold_normalisers.items()} or None,
        points=_points(material),
        studies=[_study_card(part) for part in material.studies] or None,
        precision=module.progress.precision or None,
        best_epoch=module.progress.best_epoch,
        validation_loss=module.progress.best_loss,
        epochs_run=module.progress.epoch,
        train_rows=len(material.train),
        train_groups=material.groups(material.train),
        validation_rows=len(material.validation),
        validation_groups=material.groups(material.validation),
        rows_without_shape=material.without_shape,
        preparation=preparation_of(stores),
        tuned=tuned,
    )


def _study_card(part: StudyPart) -> StudyCard:
    """What a model's card says of one of several studies that it was trained on."""
    tiles = part.view if isinstance(part.view, TileSource) else None
    return StudyCard(
        study=part.name,
        share=round(part.share, 6),
        rows=part.rows,
        train_rows=len(part.train),
        validation_rows=len(part.validation),
        channels=tiles.channels if tiles else None,
        pixel_size_um=tiles.pixel_size_um if tiles else None,
        statistics=Statistics.of(part.normaliser) if part.normaliser else None,
        taken_out=dict(part.taken_out),
    )
