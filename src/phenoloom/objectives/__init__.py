"""Objectives: what a network is trained for, one idea a file; they know networks and settings, but no files."""

from __future__ import annotations

from .base import Objective, Outcome, Step
from .build import build_objective
from .shape_autoencoder import ShapeAE, ShapeVAE
from .vqvae import VQVAE

__all__ = ["VQVAE", "Objective", "Outcome", "ShapeAE", "ShapeVAE", "Step", "build_objective"]
