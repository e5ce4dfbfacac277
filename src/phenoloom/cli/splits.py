"""The command that splits a study."""

from __future__ import annotations

import argparse

from .command import path, rule


@rule(path("--index"), path("--folds"))
def folds(a: argparse.Namespace) -> None:
    """Split the study's groups into folds."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import FoldsSettings
    from ..splits.design import SplitDesign
    from ..splits.folds import make_folds

    settings = FoldsSettings.parse(a.settings)
    design = SplitDesign(settings.unit, settings.folds, settings.seed)
    make_folds(design, a.index, a.folds, a.output, Provenance.of(settings))
