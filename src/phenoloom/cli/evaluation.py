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
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import ClassifySettings
    from ..evaluation.classify import classify
    from ..evaluation.cross_validation import Evaluation

    settings = ClassifySettings.parse(a.settings)
    evaluation = Evaluation(settings.representation, settings.classify, settings.folds, settings.seed)
    classify(evaluation, a.embeddings, a.folds, a.output, Provenance.of(settings), a.threads)


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
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import TransferSettings
    from ..evaluation.cross_validation import Evaluation
    from ..evaluation.transfer import StudyTables, transfer

    settings = TransferSettings.parse(a.settings)
    evaluation = Evaluation(settings.representation, settings.classify, settings.folds, settings.seed)
    source = StudyTables(settings.source, a.source_index, a.source_folds, a.source_embeddings)
    target = StudyTables(settings.study, a.index, a.folds, a.embeddings)
    transfer(evaluation, source, target, a.output, Provenance.of(settings), a.threads)


@rule(
    path("--index"),
    path("--folds"),
    THREADS,
)
def audit(a: argparse.Namespace) -> None:
    """Score what could explain the labels besides the phenotype: positions, plates and fields."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import AuditSettings
    from ..evaluation.audit import audit
    from ..evaluation.cross_validation import Evaluation

    settings = AuditSettings.parse(a.settings)
    evaluation = Evaluation("", settings.classify, settings.folds, settings.seed)
    audit(evaluation, a.index, a.folds, a.output, Provenance.of(settings), a.threads)


@rule(
    path("--comparisons"),
    path("--audit"),
    paths("--scores"),
)
def compare(a: argparse.Namespace) -> None:
    """Put all representations' scores side by side."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import CompareSettings
    from ..evaluation.compare import Compared, compare

    settings = CompareSettings.parse(a.settings)
    compared = Compared(settings.representations, settings.families)
    compare(compared, a.scores, a.audit, a.output, a.comparisons, Provenance.of(settings))
