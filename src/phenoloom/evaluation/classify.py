"""Scores of one representation: probes fitted on the vectors of the train folds, scored on the test fold.

One job scores all folds of a representation: a fold takes seconds, less than starting Python and reading the vectors.
Folds run in threads, each with one thread for linear algebra, so the scores do not depend on the number of threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from ..artifacts.manifest import file_digest
from ..artifacts.provenance import Provenance
from ..config.rule_settings import ClassifySettings
from ..core.errors import PhenoloomError
from ..embedding.table import UnitVectors, average, read_embedding
from ..splits.split import Split
from .cross_validation import PERMUTATIONS, Fold, Probes, Side, file_of_fold, refuse_other_roles
from .scores import Scores


def classify(settings: ClassifySettings, embeddings: list[Path], folds: Path, output: Path, threads: int) -> None:
    """Score the representation on every fold and write a tidy table.

    `embeddings` is one file `all.parquet`, or one file `fold-<k>.parquet` a fold. Besides the probes of the study
    there are, for representations of shapes, `<probe>+scale` (log-scale appended to the vector) and, as a check of the
    whole procedure, logistic regression on shuffled labels, which must be at chance.
    """
    split = Split.read(folds, settings.classify.unit, settings.folds).tested()
    files = file_of_fold(settings.representation, embeddings, settings.folds)
    shared = None
    if len(set(files)) == 1:
        shared = average(read_embedding(files[0], settings.representation), settings.classify.unit)
    score = partial(_score_fold, settings, split, files, shared)
    # Threads of the libraries would add up floats in another order, and a tie would fall the other way.
    with threadpool_limits(limits=1), ThreadPoolExecutor(max(threads, 1)) as pool:
        tables = list(pool.map(score, range(settings.folds)))
    facts = {"folds": file_digest([folds]), **Provenance.of(settings).record(), "permutations": PERMUTATIONS}
    Scores.write(tables, facts, output)


def _score_fold(
    settings: ClassifySettings, split: Split, files: list[Path], shared: UnitVectors | None, number: int
) -> Scores:
    path = files[number]
    units = shared or average(read_embedding(path, settings.representation), settings.classify.unit)
    scores = Scores(settings.study, settings.representation, number)
    probes = Probes(settings.classify, settings.seed, split.classes, len(split.units))
    probes.score(scores, _fold(units, split, number, path))
    return scores


def _fold(units: UnitVectors, split: Split, number: int, path: Path) -> Fold:
    """Train and test side of one fold; refuses vectors of an encoder that was trained on a test unit."""
    refuse_other_roles(units, split, number, path)
    test, missing = Side.of(split, units, split.fold == number)
    train, _ = Side.of(split, units, split.fold != number)
    if not len(test.places) or not len(train.places):
        raise PhenoloomError(
            f"{path}: fold {number} has {len(train.places)} train and {len(test.places)} test units with vectors, at "
            f"least one of each is needed; the vectors are of {len(units.units)} units such as {units.units[0]!r}, "
            f"folds.parquet has units such as {split.units[0]!r}"
        )
    return Fold(number, train, test, missing, units.parts)
