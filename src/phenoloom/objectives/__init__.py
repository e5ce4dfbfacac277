"""Objectives: what a network is trained for, one idea a file; they know networks and settings, but no files."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.model import ImageModel, ShapeModel
from .base import Objective, Outcome, Step
from .build import build_image_objective
from .shape import build_shape_objective
from .shape_autoencoder import ShapeAE, ShapeVAE
from .vqvae import VQVAE

__all__ = ["VQVAE", "Objective", "Outcome", "ShapeAE", "ShapeVAE", "Step", "build_objective"]


def build_objective(model: ImageModel | ShapeModel, size: int, channels: Sequence[str] | None = None) -> Objective:
    """The network of a model file; `size` is the number of channels of a tile, or of points of a contour.

    `channels` are the names of the tile's channels, which a model that maps them by name needs.
    """
    if isinstance(model, ShapeModel):
        return build_shape_objective(model, size)
    return build_image_objective(model, size, channels)
