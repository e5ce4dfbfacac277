"""Probes that are fitted on the train units of each fold and scored on its test units, or on another study.

A fold takes seconds, less than starting Python and reading the vectors, so one job scores all folds of a
representation. Folds run in threads, each with one thread for linear algebra, so the scores do not depend on the number
of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..config.study import Classify
from ..core.errors import PhenoloomError
from ..splits.split import Split, Targets
from .probes import FeatureBlock, FeatureMatrix, Prediction, ProbeName, ProbeSettings, probe, wants_reduction
from .scores import WITH_TILE, Score, fold_scores, macro_scores
from .unit_vectors import FoldVectors, UnitVectors

PERMUTATIONS = 5
SHUFFLED = "logistic-shuffled"
WITH_SCALE: tuple[ProbeName, ...] = ("logistic", "forest")


@dataclass(frozen=True)
class Evaluation:
    """A representation to score, and the settings of its probes.

    Attributes:
        representation: Name of the representation.
        classify: Section `classify` of the study: units, probes and their settings.
        folds: Number of folds.
        seed: Seed of the random forests and of the shuffled labels.
    """

    representation: str
    classify: Classify
    folds: int
    seed: int


@dataclass(frozen=True)
class LabelledStudy:
    """A study, the units of it that take part, and their vectors.

    Attributes:
        name: Name of the study.
        split: The units that are trained on or tested, with their labels and folds.
        vectors: Vectors of its units for each fold.
    """

    name: str
    split: Split
    vectors: FoldVectors


@dataclass(frozen=True)
class Side:
    """The train or the test side of a fold.

    Attributes:
        split: The split that its units are from.
        places: Positions of its units in the split.
        vectors: Their vectors (units, features).
        log_scale: Logarithms of their outlines' sizes (units, 1); None where there is no outline.
        parts: Number of features of each representation that the vectors are made of.
        missing: Number of units of this side that have no vector.
    """

    split: Split
    places: NDArray[np.intp]
    vectors: FeatureMatrix
    log_scale: NDArray[np.float32] | None
    parts: tuple[int, ...]
    missing: int

    @classmethod
    def of(cls, split: Split, units: UnitVectors, wanted: NDArray[np.bool_]) -> Side:
        """Return the side of the `wanted` units of a split (units,) that have a vector."""
        found = units.units.get_indexer(pd.Index(split.units))
        places = np.flatnonzero(wanted & (found >= 0))
        scale = None if units.log_scale is None else units.log_scale[found[places]]
        missing = int(wanted.sum() - len(places))
        return cls(split, places, units.vectors[found[places]], scale, units.parts, missing)

    @property
    def targets(self) -> Targets:
        """Labels of its units, as numbers."""
        return self.split.targets[self.places]

    def with_features(self, more: FeatureMatrix) -> Side:
        """Return the same side with more features (units, more) as one more part."""
        return replace(self, vectors=np.hstack([self.vectors, more]), parts=(*self.parts, more.shape[1]))


def cross_validate(
    evaluation: Evaluation, source: LabelledStudy, target: LabelledStudy | None, threads: int
) -> list[list[Score]]:
    """Return the scores of a representation on every fold.

    Args:
        evaluation: What is scored, and how.
        source: Study of the train units, which in each fold are the units of all other folds.
        target: Another study, of which every fold tests all units; None: a fold tests its own units.
        threads: Number of folds that are scored at once.

    Raises:
        PhenoloomError: A side of a fold is empty, the encoder of the source was trained on test units or not on its
            train units, that of the target was trained for the target, or the two have vectors of different lengths.
    """
    score = partial(_score_fold, evaluation, source, target)
    # Threads of the libraries would add up floats in another order, and a tie would fall the other way.
    with threadpool_limits(limits=1), ThreadPoolExecutor(max(threads, 1)) as pool:
        return list(pool.map(score, range(evaluation.folds)))


def _score_fold(
    evaluation: Evaluation, source: LabelledStudy, target: LabelledStudy | None, number: int
) -> list[Score]:
    split, units = source.split, source.vectors.of_fold(number)
    _refuse_other_roles(units, split, number, source.vectors.files[number])
    train = Side.of(split, units, split.fold != number)
    _refuse_empty(train, units, source, number)
    if target is None:
        test = Side.of(split, units, split.fold == number)
        _refuse_empty(test, units, source, number)
    else:
        tested = target.vectors.of_fold(number)
        _refuse_trained_here(tested, target.vectors.files[number])
        _refuse_other_length(units, source.vectors.files[number], tested, target.vectors.files[number])
        test = Side.of(target.split, tested, np.ones(len(target.split.units), bool))
        _refuse_empty(test, tested, target, number)
    return _score_sides(evaluation, train, test)


def _score_sides(evaluation: Evaluation, train: Side, test: Side) -> list[Score]:
    """Scores of all probes on one fold, and those of the control with shuffled labels."""
    scores: list[Score] = []
    for name in evaluation.classify.probes:
        scores += _score_probe(evaluation, name, name, train, test)
        if name in WITH_SCALE and train.log_scale is not None and test.log_scale is not None:
            sides = train.with_features(train.log_scale), test.with_features(test.log_scale)
            scores += _score_probe(evaluation, name, f"{name}+scale", *sides)
    if evaluation.classify.shuffled_labels:
        scores += _score_shuffled(evaluation, train, test)
    return scores


def _score_probe(evaluation: Evaluation, name: ProbeName, title: str, train: Side, test: Side) -> list[Score]:
    true = test.targets
    found = probe(name, train.vectors, train.targets, test.vectors, _settings(evaluation, train))
    support = len(true)
    scores = [
        *fold_scores(title, true, found, train.split.classes),
        *_with_tile(title, test, found),
        Score(title, "units_train", len(train.places), support),
        Score(title, "units_test", support, support),
        Score(title, "units_missing", test.missing, support),
        Score(title, "groups_test", len(set(test.split.groups[test.places])), support),
    ]
    if name == "logistic":
        scores.append(Score(title, "unconverged", found.unconverged, support))
    return scores


def _with_tile(title: str, test: Side, found: Prediction) -> Iterator[Score]:
    """Yield the scores of the test units with a tile, where some of the study have none.

    Only outlines are known of objects that are larger than a tile, so other representations are compared without them.
    """
    if test.split.tiled is None:
        return
    common = test.split.tiled[test.places]
    if common.any():
        scores = None if found.scores is None else found.scores[common]
        predicted = replace(found, labels=found.labels[common], scores=scores)
        for metric, value in macro_scores(test.targets[common], predicted, test.split.classes).items():
            yield Score(title, f"{metric}{WITH_TILE}", value, int(common.sum()))


def _settings(evaluation: Evaluation, train: Side) -> ProbeSettings:
    # The units of the whole split decide, so that all folds reduce the same features.
    units, section = len(train.split.units), evaluation.classify
    blocks = tuple(FeatureBlock(features, wants_reduction(units, features)) for features in train.parts)
    return ProbeSettings(section.neighbours, section.forest_trees, evaluation.seed, blocks)


def _score_shuffled(evaluation: Evaluation, train: Side, test: Side) -> list[Score]:
    """Means over permutations, the same ones in every fold and for every representation."""
    settings = _settings(evaluation, train)
    drawn: dict[str, list[float]] = {}
    for permutation in range(PERMUTATIONS):
        generator = np.random.default_rng([evaluation.seed, permutation])
        targets = shuffled(train.split.targets, train.split.groups, generator)
        true = targets[test.places] if test.split is train.split else test.targets
        found = probe("logistic", train.vectors, targets[train.places], test.vectors, settings)
        for metric, value in macro_scores(true, found, train.split.classes).items():
            drawn.setdefault(metric, []).append(value)
    return [Score(SHUFFLED, metric, float(np.mean(values)), len(test.places)) for metric, values in drawn.items()]


def shuffled(targets: Targets, groups: NDArray[np.object_], generator: np.random.Generator) -> Targets:
    """Return targets that are dealt anew between groups where all units of a group share theirs, else between units.

    Args:
        targets: Labels of the units.
        groups: Group of each unit (units,).
        generator: Source of the permutation.
    """
    codes, names = pd.factorize(groups, sort=True)
    first = np.unique(codes, return_index=True)[1]
    of_groups = targets[first]
    if (of_groups[codes] == targets).all():
        dealt: Targets = of_groups[generator.permutation(len(names))][codes]
        return dealt
    return targets[generator.permutation(len(targets))]


def _refuse_empty(side: Side, units: UnitVectors, study: LabelledStudy, number: int) -> None:
    if len(side.places):
        return
    names = study.split.units
    if not len(names):
        raise PhenoloomError(
            f"No unit of {study.name} is left to score: all that have a class of both studies lie in groups with an "
            "image that the other study has too; remove the other study from `transfer`"
        )
    if units.units.isin(names).any():
        name, tiled = study.vectors.representation, study.split.tiled
        large = tiled is not None and not units.units.isin(names[~tiled]).any()
        why = "are larger than a tile (a larger `tiles.size` keeps them)"
        if not large:
            why = (
                "were left out, and the manifests count why (`shapes.border: keep` and a smaller `shapes.min_points` "
                "keep more outlines)"
            )
        raise PhenoloomError(
            f"{study.vectors.files[number]}: no train or no test unit of fold {number} has a vector, though other "
            f"units have: the objects of {name} in this fold {why}. Keep them, lower `folds.count`, or remove the "
            f"representation {name}"
        )
    first = repr(units.units[0]) if len(units.units) else "none"
    raise PhenoloomError(
        f"{study.vectors.files[number]}: no train or no test unit of fold {number} has a vector; the vectors are "
        f"those of {len(units.units)} units such as {first}, folds.parquet has units such as {names[0]!r}; "
        f"rerun `embed` for {study.name}"
    )


def _refuse_other_roles(units: UnitVectors, split: Split, number: int, path: Path) -> None:
    """Refuse vectors of an encoder that was trained on a test unit of the fold, or not on a train unit."""
    place = units.units.get_indexer(pd.Index(split.units))
    test_side = split.fold == number
    seen = (place >= 0) & test_side & units.trained_on[place]
    unseen = (place >= 0) & ~test_side & units.tested[place]
    if seen.any() or unseen.any():
        unit = split.units[seen | unseen][0]
        raise PhenoloomError(
            f"{path}: unit {unit!r} is {'test' if seen.any() else 'train'} in fold {number} of folds.parquet, but its "
            f"vectors were made as {'train' if seen.any() else 'test'}: encoder and folds do not belong together; "
            "rerun `pretrain` and `embed`"
        )


def _refuse_trained_here(units: UnitVectors, path: Path) -> None:
    if units.trained_on.any() or units.tested.any() or units.seen_test_groups:
        raise PhenoloomError(
            f"{path}: these vectors were made by an encoder that was trained for this study, expected those of the "
            "study that is tested; rerun `transfer_embed`"
        )


def _refuse_other_length(units: UnitVectors, path: Path, others: UnitVectors, other: Path) -> None:
    if units.parts != others.parts:
        raise PhenoloomError(
            f"{path} has vectors of {' + '.join(map(str, units.parts))} features and {other} of "
            f"{' + '.join(map(str, others.parts))}; declare the representation alike in both studies"
        )
