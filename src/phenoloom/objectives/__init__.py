"""Objectives: what a network is trained for, one idea a file; they know networks and settings, but no files."""

from __future__ import annotations

from .base import Objective, Outcome, Step
from .build import build_objective

__all__ = ["Objective", "Outcome", "Step", "build_objective"]
