"""Objectives: what a network is trained for, one idea a file; they know networks and settings, but no files."""

from __future__ import annotations

from ..config.model import ImageModel, ShapeModel
from .base import Objective, Outcome
from .shape_ae import ShapeAE
from .vqvae import VQVAE

__all__ = ["VQVAE", "Objective", "Outcome", "ShapeAE", "build_objective"]


def build_objective(model: ImageModel | ShapeModel, size: int) -> Objective:
    """The network of a model file; `size` is the number of channels of a tile, or of points of a contour."""
    if isinstance(model, ShapeModel):
        return ShapeAE(model, size)
    return VQVAE(model, size)
