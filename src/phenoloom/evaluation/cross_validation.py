"""Probes that are fitted on one side of a fold and scored on the other; the sides may be of two studies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..config.study import Classify
from ..core.errors import PhenoloomError
from ..embedding.table import UnitVectors
from ..splits.split import Split, Targets
from .probes import Part, ProbeName, ProbeSettings, Vectors, probe, wants_reduction
from .scores import Scores, fold_scores, macro_scores

PERMUTATIONS = 5
SHUFFLED = "logistic-shuffled"
WITH_SCALE: tuple[ProbeName, ...] = ("logistic", "forest")


@dataclass(frozen=True)
class Side:
    """One side of a fold: units of a split by their positions in it, and their vectors."""

    split: Split
    places: npt.NDArray[np.intp]
    vectors: Vectors
    """(units, features)."""
    log_scale: npt.NDArray[np.float32] | None
    """(units, 1), for representations of shapes."""

    @classmethod
    def of(cls, split: Split, units: UnitVectors, wanted: npt.NDArray[np.bool_]) -> tuple[Side, int]:
        """The side of the `wanted` units of a split, and how many of them have no vector."""
        found = units.units.get_indexer(pd.Index(split.units))
        places = np.flatnonzero(wanted & (found >= 0))
        scale = None if units.log_scale is None else units.log_scale[found[places]]
        return cls(split, places, units.vectors[found[places]], scale), int(wanted.sum() - len(places))

    @property
    def targets(self) -> Targets:
        """What its units are."""
        return self.split.targets[self.places]


@dataclass(frozen=True)
class Fold:
    """Both sides of one fold."""

    number: int
    train: Side
    test: Side
    missing: int
    """Test units without vectors."""
    parts: tuple[int, ...]
    """Features of each representation that the vectors are made of."""


@dataclass(frozen=True)
class Probes:
    """What is fitted on every fold of one representation.

    `units` are those of the split that is trained on: they decide once for all folds whether there are too many
    features.
    """

    classify: Classify
    seed: int
    classes: list[str]
    units: int

    def score(self, scores: Scores, fold: Fold) -> None:
        """Add the scores of all probes on one fold, and those of the control with shuffled labels."""
        for name, train, test, parts in self._inputs(fold):
            self._score_probe(scores, name, train, test, self._settings(parts), fold)
        if self.classify.shuffled_labels:
            self._score_shuffled(scores, fold)

    def _inputs(self, fold: Fold) -> Iterator[tuple[str, Vectors, Vectors, tuple[int, ...]]]:
        """Names of the probes, what they look at on both sides, and the features of its parts."""
        train, test = fold.train, fold.test
        for name in self.classify.probes:
            yield name, train.vectors, test.vectors, fold.parts
            if train.log_scale is not None and test.log_scale is not None and name in WITH_SCALE:
                values = np.hstack([train.vectors, train.log_scale]), np.hstack([test.vectors, test.log_scale])
                yield f"{name}+scale", *values, (*fold.parts, 1)

    def _settings(self, parts: tuple[int, ...]) -> ProbeSettings:
        return ProbeSettings(
            neighbours=self.classify.neighbours,
            trees=self.classify.forest_trees,
            seed=self.seed,
            parts=tuple(Part(features, wants_reduction(self.units, features)) for features in parts),
        )

    def _score_probe(
        self, scores: Scores, name: str, train: Vectors, test: Vectors, fitted: ProbeSettings, fold: Fold
    ) -> None:
        base: ProbeName = next(known for known in self.classify.probes if known == name.removesuffix("+scale"))
        true = fold.test.targets
        found = probe(base, train, fold.train.targets, test, fitted)
        for row in fold_scores(true, found, self.classes):
            scores.add(name, *row)
        support = len(true)
        scores.add(name, "units_train", len(train), support)
        scores.add(name, "units_test", support, support)
        scores.add(name, "units_missing", fold.missing, support)
        scores.add(name, "groups_test", len(set(fold.test.split.groups[fold.test.places])), support)
        if base == "logistic":
            scores.add(name, "unconverged", found.unconverged, support)

    def _score_shuffled(self, scores: Scores, fold: Fold) -> None:
        """Mean over permutations, the same ones in every fold and for every representation."""
        fitted = self._settings(fold.parts)
        drawn: dict[str, list[float]] = {}
        for permutation in range(PERMUTATIONS):
            train, test = self._shuffled(fold, permutation)
            found = probe("logistic", fold.train.vectors, train, fold.test.vectors, fitted)
            for metric, value in macro_scores(test, found, self.classes).items():
                drawn.setdefault(metric, []).append(value)
        for metric, values in drawn.items():
            scores.add(SHUFFLED, metric, float(np.mean(values)), len(fold.test.places))

    def _shuffled(self, fold: Fold, permutation: int) -> tuple[Targets, Targets]:
        """Targets of both sides where those of the split that is trained on are dealt anew."""
        split = fold.train.split
        targets = shuffled(split.targets, split.groups, np.random.default_rng([self.seed, permutation]))
        test = targets[fold.test.places] if fold.test.split is split else fold.test.targets
        return targets[fold.train.places], test


def file_of_fold(representation: str, embeddings: Sequence[Path], folds: int) -> list[Path]:
    """The embeddings of each fold, in order: one file for all of them, or one each."""
    by_split = {path.stem: path for path in embeddings}
    if set(by_split) == {"all"}:
        return [by_split["all"]] * folds
    wanted = [f"fold-{fold}" for fold in range(folds)]
    if set(by_split) != set(wanted):
        raise PhenoloomError(
            f"{representation} must come as all.parquet or as {wanted[0]}.parquet ... {wanted[-1]}.parquet, "
            f"found {', '.join(sorted(by_split)) or 'no file'}"
        )
    return [by_split[name] for name in wanted]


def refuse_other_roles(units: UnitVectors, split: Split, number: int, path: Path) -> None:
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


def shuffled(targets: Targets, groups: npt.NDArray[np.object_], rng: np.random.Generator) -> Targets:
    """Targets dealt anew between groups where all units of a group share theirs, otherwise between units."""
    codes, names = pd.factorize(groups, sort=True)
    first = np.unique(codes, return_index=True)[1]
    of_groups = targets[first]
    if (of_groups[codes] == targets).all():
        dealt: Targets = of_groups[rng.permutation(len(names))][codes]
        return dealt
    return targets[rng.permutation(len(targets))]
