"""Scores of one study's encoders and probes on another study, to which nothing is fitted.

For each fold of the source, probes are fitted on its train units as in `classify`, and tested on all labelled units of
the target: on vectors of the same encoder, from tiles that were normalised by the statistics of the source. Every fold
has the same test units, so the deviation over folds is that of the train sets alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..artifacts.manifest import file_digest
from ..artifacts.parquet import read_result, read_result_schema
from ..artifacts.provenance import Provenance
from ..core.errors import PhenoloomError
from ..splits.duplicates import digests_of, with_copies
from ..splits.split import Split
from .cross_validation import PERMUTATIONS, Evaluation, LabelledStudy, cross_validate
from .scores import write_scores
from .unit_vectors import FoldVectors

COLUMNS = ("id", "image_id", "plate", "well", "digest")


@dataclass(frozen=True)
class StudyTables:
    """The tables of a study that are read.

    Attributes:
        name: Name of the study.
        index: Its `index.parquet`.
        folds: Its `folds.parquet`.
        embeddings: Vectors of its rows: one file `all.parquet`, or one file `fold-<k>.parquet` a fold of the source.
    """

    name: str
    index: Path
    folds: Path
    embeddings: list[Path]

    def labelled(self, split: Split, evaluation: Evaluation) -> LabelledStudy:
        """Return the units of a split with their vectors."""
        unit, folds = evaluation.classify.unit, evaluation.folds
        return LabelledStudy(self.name, split, FoldVectors.of(evaluation.representation, unit, self.embeddings, folds))

    def rows(self) -> pd.DataFrame:
        """Return the rows of the index, with the columns of `COLUMNS` that it has."""
        there = read_result_schema(self.index).names
        wanted = [name for name in COLUMNS if name in there]
        rows: pd.DataFrame = read_result(self.index, columns=wanted).to_pandas()
        return rows


def transfer(
    evaluation: Evaluation, source: StudyTables, target: StudyTables, output: Path, made_by: Provenance, threads: int
) -> None:
    """Score a representation of the source on the target and write a tidy table with the folds of the source.

    Classes that only one of them has, or that one has too few of for its folds, are left out on both sides, and so are
    groups of the target with an image that the source has too; both are counted in the metadata of the schema. Where
    one of the studies has labels that cannot be scored, the table has no rows and states why.

    Args:
        evaluation: What is scored, and how; its folds are those of the source.
        source: Study that encoders and probes are fitted to.
        target: Study that they are tested on.
        output: The table of scores.
        made_by: Provenance of the table.
        threads: Number of folds that are scored at once.
    """
    fitted = Split.read(source.folds, evaluation.classify.unit, evaluation.folds)
    every = Split.read(target.folds, evaluation.classify.unit)
    common = {"folds": file_digest([source.folds, target.folds]), **made_by.record(), "source": source.name}
    for name, split in ((source.name, fitted), (target.name, every)):
        if split.unscored:
            write_scores(output, target.name, {}, common | {"unscored": f"in {name} {split.unscored}"})
            return
    here, there = fitted.tested(), every.tested()
    shared = _shared_classes(source.name, here, target.name, there)
    train, test = here.among(shared), there.among(shared)
    copied = _copied(test, every, source, target)
    test = test.without(copied)
    facts = {
        **common,
        "permutations": PERMUTATIONS,
        "copies": int(copied.sum()),
        "left_out": _left_out(here, there, shared),
        "unlabelled": there.facts["unlabelled"],
        "groups_alike": _groups_alike(test, train),
        "classes": {name: [train.support()[name], support] for name, support in test.support().items()},
    }
    sides = source.labelled(train, evaluation), target.labelled(test, evaluation)
    scores = cross_validate(evaluation, *sides, threads)
    write_scores(output, target.name, {evaluation.representation: scores}, facts)


def _shared_classes(source: str, here: Split, target: str, there: Split) -> list[str]:
    if here.facts["multi_label"] != there.facts["multi_label"]:
        several = source if here.facts["multi_label"] else target
        raise PhenoloomError(f"Only {several} has several labels a unit: the two studies are not comparable")
    shared = sorted(set(here.classes) & set(there.classes))
    if len(shared) < 2:
        raise PhenoloomError(
            f"Testing {source} on {target} needs two classes that both have: there are {', '.join(here.classes)} in "
            f"{source} and {', '.join(there.classes)} in {target}; give classes one name (`source.classes`), or remove "
            "`transfer`"
        )
    return shared


def _left_out(here: Split, there: Split, shared: list[str]) -> dict[str, list[int]]:
    """Each class that is not scored, with its units in the source and in the target."""
    counts = [{**split.facts["classes"], **split.facts["dropped"]} for split in (here, there)]
    names = sorted(set().union(*counts) - set(shared))
    return {name: [int(count.get(name, 0)) for count in counts] for name in names}


def _copied(test: Split, every: Split, source: StudyTables, target: StudyTables) -> NDArray[np.bool_]:
    """Mask of the test units in a group with an image that the source has too, in any of its folds.

    `every` has all units of the target, also those without a class.
    """
    rows = target.rows()
    rows["unit_group"] = every.groups_of(rows)
    groups = set(rows["unit_group"][with_copies(rows, digests_of(source.rows()))])
    return np.asarray(pd.Series(test.groups).isin(groups), bool)


def _groups_alike(test: Split, train: Split) -> int:
    """Groups of the target that are called like one of the source, where both name their groups themselves."""
    if test.facts["group"] != "group" or train.facts["group"] != "group":
        return 0
    return len(set(test.groups) & set(train.groups))
