"""The command that splits a study."""

from __future__ import annotations

import argparse

from .command import path, rule


@rule(path("--index"), path("--folds"))
def folds(a: argparse.Namespace) -> None:
    """Split the study's groups into folds."""
    from ..config.rule_settings import FoldsSettings
    from ..splits.folds import make_folds

    make_folds(FoldsSettings.parse(a.settings), a.index, a.folds, a.output)
