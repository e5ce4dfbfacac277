"""Scores of one representation: probes fitted on the vectors of the train folds, scored on the test fold.

One job scores all folds of a representation: a fold takes seconds, less than starting Python and reading the vectors.
Folds run in threads, each with one thread for linear algebra, so the scores do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from .config.settings import ClassifySettings
from .errors import PhenoloomError
from .folds import read_folds
from .manifest import file_digest, provenance
from .probes import Part, ProbeName, ProbeSettings, Targets, probe, wants_reduction
from .scores import Scores, fold_scores, macro_scores
from .vectors import UnitVectors, average, read_embedding

PERMUTATIONS = 5
SHUFFLED = "logistic-shuffled"
WITH_SCALE: tuple[ProbeName, ...] = ("logistic", "forest")


@dataclass(frozen=True)
class Split:
    """Units that take part, sorted by id: arrays over units, and the names of the classes."""

    units: npt.NDArray[np.object_]
    groups: npt.NDArray[np.object_]
    fold: npt.NDArray[np.int64]
    targets: Targets
    classes: list[str]


@dataclass(frozen=True)
class FoldData:
    """Vectors and targets on both sides of one fold."""

    number: int
    train: npt.NDArray[np.intp]
    """Positions in the split of the train units with vectors."""
    test: npt.NDArray[np.intp]
    missing: int
    """Test units without vectors."""
    vectors: npt.NDArray[np.float32]
    """(units of the split, features); rows of units without vectors are never used."""
    parts: tuple[int, ...]
    """Features of each representation that the vectors are made of."""
    log_scale: npt.NDArray[np.float32] | None


def classify(settings: ClassifySettings, embeddings: list[Path], folds: Path, output: Path, threads: int) -> None:
    """Score the representation on every fold and write a tidy table.

    `embeddings` is one file `all.parquet`, or one file `fold-<k>.parquet` a fold. Besides the probes of the study
    there are, for representations of shapes, `<probe>+scale` (log-scale appended to the vector) and, as a check of the
    whole procedure, logistic regression on shuffled labels, which must be at chance.
    """
    split = read_split(folds, settings)
    files = _file_of_fold(settings, embeddings)
    shared = None
    if len(set(files)) == 1:
        shared = average(read_embedding(files[0], settings.representation), settings.classify.unit)
    score = partial(_score_fold, settings, split, files, shared)
    # Threads of the libraries would add up floats in another order, and a tie would fall the other way.
    with threadpool_limits(limits=1), ThreadPoolExecutor(max(threads, 1)) as pool:
        tables = list(pool.map(score, range(settings.folds)))
    facts = {"folds": file_digest([folds]), **provenance(settings), "permutations": PERMUTATIONS}
    Scores.write(tables, facts, output)


def read_split(path: Path, settings: ClassifySettings) -> Split:
    """Units with a fold; refuses a split made for other units or another number of folds."""
    frame, facts = read_folds(path)
    if facts["unit"] != settings.classify.unit or facts["count"] != settings.folds:
        raise PhenoloomError(
            f"{path} splits {facts['unit']}s into {facts['count']} folds, but the study asks for {settings.folds} "
            f"folds of {settings.classify.unit}s; rerun `folds`"
        )
    frame = frame[frame["fold"] >= 0]
    classes = sorted(facts["classes"])
    if facts["multi_label"]:
        targets = np.array([[name in set(label) for name in classes] for label in frame["label"]], bool)
    else:
        targets = frame["label"].map({name: code for code, name in enumerate(classes)}).to_numpy(np.int64)
    units, groups = frame["id"].to_numpy(object), frame["group"].to_numpy(object)
    return Split(units, groups, frame["fold"].to_numpy(np.int64), targets, classes)


def shuffled(targets: Targets, groups: npt.NDArray[np.object_], rng: np.random.Generator) -> Targets:
    """Targets dealt anew between groups where all units of a group share theirs, otherwise between units."""
    codes, names = pd.factorize(groups, sort=True)
    first = np.unique(codes, return_index=True)[1]
    of_groups = targets[first]
    if (of_groups[codes] == targets).all():
        dealt: Targets = of_groups[rng.permutation(len(names))][codes]
        return dealt
    return targets[rng.permutation(len(targets))]


def _file_of_fold(settings: ClassifySettings, embeddings: list[Path]) -> list[Path]:
    """The embeddings of each fold, in order."""
    by_split = {path.stem: path for path in embeddings}
    if set(by_split) == {"all"}:
        return [by_split["all"]] * settings.folds
    wanted = [f"fold-{fold}" for fold in range(settings.folds)]
    if set(by_split) != set(wanted):
        raise PhenoloomError(
            f"{settings.representation} must come as all.parquet or as {wanted[0]}.parquet ... {wanted[-1]}.parquet, "
            f"found {', '.join(sorted(by_split)) or 'no file'}"
        )
    return [by_split[name] for name in wanted]


def _score_fold(
    settings: ClassifySettings, split: Split, files: list[Path], shared: UnitVectors | None, number: int
) -> Scores:
    path = files[number]
    units = shared or average(read_embedding(path, settings.representation), settings.classify.unit)
    data = _fold_data(units, split, number, path)
    scores = Scores(settings.study, settings.representation, number)
    for name, values, parts in _inputs(settings, data):
        _score_probe(scores, name, values, _settings_of(settings, split, parts), settings, split, data)
    if settings.classify.shuffled_labels:
        _score_shuffled(scores, settings, split, data)
    return scores


def _fold_data(units: UnitVectors, split: Split, number: int, path: Path) -> FoldData:
    """Train and test side of one fold; refuses vectors of an encoder that was trained on a test unit."""
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
    test, train = np.flatnonzero(test_side & (place >= 0)), np.flatnonzero(~test_side & (place >= 0))
    if not len(test) or not len(train):
        raise PhenoloomError(
            f"{path}: fold {number} has {len(train)} train and {len(test)} test units with vectors, at least one of "
            f"each is needed; the vectors are of {len(units.units)} units such as {units.units[0]!r}, folds.parquet "
            f"has units such as {split.units[0]!r}"
        )
    scale = None if units.log_scale is None else units.log_scale[place]
    return FoldData(number, train, test, int(test_side.sum() - len(test)), units.vectors[place], units.parts, scale)


def _inputs(
    settings: ClassifySettings, data: FoldData
) -> Iterator[tuple[str, npt.NDArray[np.float32], tuple[int, ...]]]:
    """Names of the probes, what they look at, and the features of its parts."""
    for name in settings.classify.probes:
        yield name, data.vectors, data.parts
        if data.log_scale is not None and name in WITH_SCALE:
            yield f"{name}+scale", np.hstack([data.vectors, data.log_scale]), (*data.parts, 1)


def _settings_of(settings: ClassifySettings, split: Split, parts: tuple[int, ...]) -> ProbeSettings:
    return ProbeSettings(
        neighbours=settings.classify.neighbours,
        trees=settings.classify.forest_trees,
        seed=settings.seed,
        parts=tuple(Part(features, wants_reduction(len(split.units), features)) for features in parts),
    )


def _score_probe(
    scores: Scores,
    name: str,
    values: npt.NDArray[np.float32],
    fitted: ProbeSettings,
    settings: ClassifySettings,
    split: Split,
    data: FoldData,
) -> None:
    base: ProbeName = next(known for known in settings.classify.probes if known == name.removesuffix("+scale"))
    found = probe(base, values[data.train], split.targets[data.train], values[data.test], fitted)
    for row in fold_scores(split.targets[data.test], found, split.classes):
        scores.add(name, *row)
    support = len(data.test)
    scores.add(name, "units_train", len(data.train), support)
    scores.add(name, "units_test", support, support)
    scores.add(name, "units_missing", data.missing, support)
    scores.add(name, "groups_test", len(set(split.groups[data.test])), support)
    if base == "logistic":
        scores.add(name, "unconverged", found.unconverged, support)


def _score_shuffled(scores: Scores, settings: ClassifySettings, split: Split, data: FoldData) -> None:
    """Mean over permutations, the same ones in every fold and for every representation of the study."""
    fitted = _settings_of(settings, split, data.parts)
    drawn: dict[str, list[float]] = {}
    for permutation in range(PERMUTATIONS):
        targets = shuffled(split.targets, split.groups, np.random.default_rng([settings.seed, permutation]))
        found = probe("logistic", data.vectors[data.train], targets[data.train], data.vectors[data.test], fitted)
        for metric, value in macro_scores(targets[data.test], found, split.classes).items():
            drawn.setdefault(metric, []).append(value)
    for metric, values in drawn.items():
        scores.add(SHUFFLED, metric, float(np.mean(values)), len(data.test))
