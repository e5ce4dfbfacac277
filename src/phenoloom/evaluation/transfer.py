"""Scores of one study's encoders and probes on another study, of which nothing is fitted.

For each fold of the source, probes are fitted on its train units as `classify` does it, and tested on all labelled
units of the target: on vectors of the same encoder, of tiles prepared with the statistics of the encoder's own. Every
fold has the same test units, so that the deviation over folds is that of the train sets alone.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..artifacts.manifest import file_digest
from ..artifacts.provenance import Provenance
from ..config.rule_settings import TransferSettings
from ..core.errors import PhenoloomError
from ..embedding.table import UnitVectors, average, read_embedding, seen_test_groups
from ..splits.duplicates import digests_of, with_copies
from ..splits.split import Split
from .cross_validation import PERMUTATIONS, Fold, Probes, Side, file_of_fold, refuse_other_roles
from .scores import Scores

Facts = dict[str, Any]
COLUMNS = ("id", "image_id", "plate", "well", "digest")


@dataclass(frozen=True)
class StudyTables:
    """What is read of a study; `embeddings` are one file `all.parquet`, or one file `fold-<k>.parquet` a fold of the
    source.
    """

    index: Path
    folds: Path
    embeddings: list[Path]


@dataclass(frozen=True)
class _Vectors:
    """The files of all folds, and the vectors where all folds have those of one file."""

    files: list[Path]
    shared: UnitVectors | None

    @classmethod
    def of(cls, settings: TransferSettings, tables: StudyTables) -> _Vectors:
        files = file_of_fold(settings.representation, tables.embeddings, settings.folds)
        return cls(files, _read(settings, files[0]) if len(set(files)) == 1 else None)

    def units(self, settings: TransferSettings, number: int) -> UnitVectors:
        return self.shared or _read(settings, self.files[number])


def transfer(settings: TransferSettings, source: StudyTables, target: StudyTables, output: Path, threads: int) -> None:
    """Score the representation of the source on the target and write a tidy table, whose folds are the source's.

    Classes that only one of them has, or that one has too few of for its folds, are left out on both sides, and so are
    groups of the target with an image that the source has too; both are counted in the metadata of the schema.
    """
    train = Split.read(source.folds, settings.classify.unit, settings.folds).tested()
    whole = Split.read(target.folds, settings.classify.unit)
    test = whole.tested()
    here, there = train.facts, test.facts
    shared = _shared_classes(settings, here, there)
    train, test = train.among(shared), test.among(shared)
    copied = _copied(test, whole, source, target)
    facts = {
        "source": settings.source,
        "copies": int(copied.sum()),
        "left_out": _left_out(here, there, shared),
        "unlabelled": there["unlabelled"],
        "groups_alike": _groups_alike(test.without(copied), train, here, there),
    }
    test = test.without(copied)
    facts["classes"] = {name: [train.support()[name], support] for name, support in test.support().items()}
    vectors = _Vectors.of(settings, source), _Vectors.of(settings, target)
    score = partial(_score_fold, settings, train, test, *vectors)
    with threadpool_limits(limits=1), ThreadPoolExecutor(max(threads, 1)) as pool:
        tables = list(pool.map(score, range(settings.folds)))
    digest = file_digest([source.folds, target.folds])
    Scores.write(
        tables, {"folds": digest, **Provenance.of(settings).record(), "permutations": PERMUTATIONS, **facts}, output
    )


def _score_fold(
    settings: TransferSettings, train: Split, test: Split, trained: _Vectors, tested: _Vectors, number: int
) -> Scores:
    here, there = (vectors.units(settings, number) for vectors in (trained, tested))
    refuse_other_roles(here, train, number, trained.files[number])
    _refuse_seen(there, tested.files[number])
    if here.parts != there.parts:
        raise PhenoloomError(
            f"{settings.representation} has {' + '.join(map(str, here.parts))} features in "
            f"{trained.files[number]} and {' + '.join(map(str, there.parts))} in {tested.files[number]}; "
            "declare it alike in both studies"
        )
    fitted, _ = Side.of(train, here, train.fold != number)
    scored, missing = Side.of(test, there, np.ones(len(test.units), bool))
    for side, study, split in ((fitted, settings.source, train), (scored, settings.study, test)):
        if not len(side.places):
            raise PhenoloomError(
                f"Fold {number}: none of the {len(split.units)} units of {study} has a vector of "
                f"{settings.representation}, or all of them are copies; rerun `embed`"
            )
    scores = Scores(settings.study, settings.representation, number)
    probes = Probes(settings.classify, settings.seed, train.classes, len(train.units))
    probes.score(scores, Fold(number, fitted, scored, missing, here.parts))
    return scores


def _read(settings: TransferSettings, path: Path) -> UnitVectors:
    return average(read_embedding(path, settings.representation), settings.classify.unit)


def _refuse_seen(units: UnitVectors, path: Path) -> None:
    if units.trained_on.any() or units.tested.any() or seen_test_groups(path):
        raise PhenoloomError(
            f"{path}: these vectors were made by an encoder that was trained for this study, expected those of the "
            "study that is tested; rerun `transfer_embed`"
        )


def _shared_classes(settings: TransferSettings, source: Facts, target: Facts) -> list[str]:
    if source["multi_label"] != target["multi_label"]:
        several = settings.source if source["multi_label"] else settings.study
        raise PhenoloomError(f"Only {several} has several labels a unit: the two studies are not comparable")
    shared = sorted(set(source["classes"]) & set(target["classes"]))
    if len(shared) < 2:
        raise PhenoloomError(
            f"Testing {settings.source} on {settings.study} needs two classes that both have: there are "
            f"{', '.join(source['classes'])} in {settings.source} and {', '.join(target['classes'])} in "
            f"{settings.study}; give classes one name (`source.classes`), or remove `transfer`"
        )
    return shared


def _left_out(source: Facts, target: Facts, shared: list[str]) -> dict[str, list[int]]:
    """Units of the source and of the target of each class that is not scored."""
    counts = [{**facts["classes"], **facts["dropped"]} for facts in (source, target)]
    names = sorted(set().union(*counts) - set(shared))
    return {name: [int(count.get(name, 0)) for count in counts] for name in names}


def _copied(test: Split, whole: Split, source: StudyTables, target: StudyTables) -> NDArray[np.bool_]:
    """Mask of the units of the target whose group holds an image that the source has too, in any of its folds."""
    rows = _rows(target)
    rows["unit_group"] = whole.groups_of(rows)
    groups = set(rows["unit_group"][with_copies(rows, digests_of(_rows(source)))])
    return np.asarray(pd.Series(test.groups).isin(groups), bool)


def _rows(tables: StudyTables) -> pd.DataFrame:
    there = pq.read_schema(tables.index).names
    rows: pd.DataFrame = pq.read_table(tables.index, columns=[name for name in COLUMNS if name in there]).to_pandas()
    return rows


def _groups_alike(test: Split, train: Split, source: Facts, target: Facts) -> int:
    """Groups of the target that are called like one of the source, where both name their groups themselves."""
    if source["group"] != "group" or target["group"] != "group":
        return 0
    return len(set(test.groups) & set(train.groups))
