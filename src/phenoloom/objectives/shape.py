"""The objective of a model of contours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..config.model import ShapeModel
from .base import Objective
from .shape_autoencoder import ShapeAE, ShapeVAE
from .shape_contrast import ShapeContrast
from .shape_mae import ShapeMAE
from .shape_vqvae import ShapeVQVAE

LOSSES: Mapping[str, Callable[[ShapeModel, int], Objective]] = {
    "ae": ShapeAE,
    "vae": ShapeVAE,
    "vqvae": ShapeVQVAE,
    "mae": ShapeMAE,
    "contrast": ShapeContrast,
}


def build_shape_objective(model: ShapeModel, points: int) -> Objective:
    """The network of a model file for contours of `points` points."""
    return LOSSES[model.objective.name](model, points)
