"""Commands that score representations."""

from __future__ import annotations

import argparse

from .command import THREADS, path, paths, rule


@rule(
    path("--folds"),
    paths("--embeddings"),
    THREADS,
)
def classify(a: argparse.Namespace) -> None:
    """Score one representation with probes on every fold."""
    from ..config.rule_settings import ClassifySettings
    from ..evaluation.classify import classify

    classify(ClassifySettings.parse(a.settings), a.embeddings, a.folds, a.output, a.threads)


@rule(
    path("--index"),
    path("--folds"),
    path("--source-index"),
    path("--source-folds"),
    paths("--embeddings"),
    paths("--source-embeddings"),
    THREADS,
)
def transfer(a: argparse.Namespace) -> None:
    """Score another study's encoder and probes on this one."""
    from ..config.rule_settings import TransferSettings
    from ..evaluation.transfer import StudyTables, transfer

    source = StudyTables(a.source_index, a.source_folds, a.source_embeddings)
    target = StudyTables(a.index, a.folds, a.embeddings)
    transfer(TransferSettings.parse(a.settings), source, target, a.output, a.threads)


@rule(
    path("--comparisons"),
    paths("--scores"),
)
def compare(a: argparse.Namespace) -> None:
    """Put all representations' scores side by side."""
    from ..config.rule_settings import CompareSettings
    from ..evaluation.compare import compare

    compare(CompareSettings.parse(a.settings), a.scores, a.output, a.comparisons)
