"""Scores of one representation: probes fitted on the vectors of the train folds, scored on the test fold."""

from __future__ import annotations

from pathlib import Path

from ..artifacts.manifest import file_digest
from ..artifacts.provenance import Provenance
from ..splits.split import Split
from .cross_validation import PERMUTATIONS, Evaluation, LabelledStudy, cross_validate
from .scores import write_scores
from .unit_vectors import FoldVectors


def classify(
    evaluation: Evaluation, tables: list[Path], folds: Path, output: Path, made_by: Provenance, threads: int
) -> None:
    """Score a representation on every fold and write a tidy table.

    Besides the probes of the study there are, for representations of shapes, `<probe>+scale` (log-scale appended to the
    vector) and, as a check of the whole procedure, logistic regression on shuffled labels, which must be at chance. A
    study with labels that cannot be scored has a table without rows, which states why.

    Args:
        evaluation: What is scored, and how.
        tables: Embedding tables of the representation: one `all.parquet`, or one `fold-<k>.parquet` a fold.
        folds: `folds.parquet` of the study.
        output: The table of scores.
        made_by: Provenance of the table.
        threads: Number of folds that are scored at once.
    """
    unit = evaluation.classify.unit
    split = Split.read(folds, unit, evaluation.folds)
    facts = {"folds": file_digest([folds]), **made_by.record(), "permutations": PERMUTATIONS}
    if split.unscored:
        write_scores(output, made_by.study, {}, facts | {"unscored": split.unscored})
        return
    vectors = FoldVectors.of(evaluation.representation, unit, tables, evaluation.folds)
    scores = cross_validate(evaluation, LabelledStudy(made_by.study, split.tested(), vectors), None, threads)
    write_scores(output, made_by.study, {evaluation.representation: scores}, facts)
