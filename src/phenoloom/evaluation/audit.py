"""Scores of what could explain the labels besides the phenotype: position on the plate, plate, field.

The same probes as for representations, on the same folds and units, see no image, but only where a unit lies. Where
they tell the label as well as a representation does, the scores of the study say nothing about the phenotype.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..artifacts.manifest import file_digest
from ..artifacts.parquet import read_result, read_result_schema
from ..artifacts.provenance import Provenance
from ..splits.split import Split
from .cross_validation import Evaluation, LabelledStudy, cross_validate
from .probes import ProbeName
from .scores import Score, write_scores
from .unit_vectors import FoldVectors, UnitVectors

POSITION, PLATE, BOTH, FIELD = "position only", "plate only", "plate and position", "field only"
AUDITED: Mapping[str, str] = {
    POSITION: "the row and the column of its well",
    PLATE: "its plate",
    BOTH: "its plate and the row and the column of its well",
    FIELD: "the number of its field",
}
"""Name in the scores -> what the probes know about a unit. No representation has a name with a space."""

PROBES: list[ProbeName] = ["dummy", "knn", "logistic", "forest"]
"""All of them, whatever the study asks for: a linear probe does not see that the middle of a plate has one label."""

COLUMNS = ("id", "image_id", "plate", "well", "row", "column", "field")
MOST_NAMES = 64
"""Plates or fields that get a column each; rarer ones get none."""

Features = NDArray[np.float32]


def audit(evaluation: Evaluation, index: Path, folds: Path, output: Path, made_by: Provenance, threads: int) -> None:
    """Score positions, plates and fields on every fold, and write a tidy table; without any of them it has no rows.

    Args:
        evaluation: How to score; its probes and its representation are not used.
        index: Table with one row an object.
        folds: `folds.parquet` of the study.
        output: The table of scores.
        made_by: Provenance of the table.
        threads: Number of folds that are scored at once.
    """
    split = Split.read(folds, evaluation.classify.unit, evaluation.folds)
    facts: dict[str, Any] = {"folds": file_digest([folds]), **made_by.record()}
    scores: dict[str, list[list[Score]]] = {}
    if split.unscored:
        facts["unscored"] = split.unscored
    else:
        there = read_result_schema(index).names
        rows = read_result(index, columns=[name for name in COLUMNS if name in there]).to_pandas()
        probes = evaluation.classify.model_copy(update={"probes": PROBES, "shuffled_labels": False})
        for name, vectors in places_of(rows, split.tested()).items():
            shared = FoldVectors(name, evaluation.classify.unit, [index] * evaluation.folds, vectors)
            named = replace(evaluation, representation=name, classify=probes)
            scores[name] = cross_validate(named, LabelledStudy(made_by.study, split.tested(), shared), None, threads)
    write_scores(output, made_by.study, scores, facts)


def places_of(rows: pd.DataFrame, split: Split) -> dict[str, UnitVectors]:
    """Return where each tested unit lies, by the names of `AUDITED`; what is the same for all units is left out.

    Args:
        rows: Rows of the index, with those of `COLUMNS` that it has.
        split: The units that are tested.
    """
    rows = rows.reindex(columns=pd.Index(COLUMNS))
    unit, group = split.units_of(rows), split.groups_of(rows)
    tested = group.notna().to_numpy()
    rows, unit, group = rows[tested], unit[tested], group[tested]
    position, plate = _positions(rows), _names(rows["plate"], group)
    together = np.hstack([plate, position])
    found = {POSITION: position, PLATE: plate, BOTH: together, FIELD: _names(rows["field"], group)}
    vectors = {name: _of_units(features, unit) for name, features in found.items()}
    known = {name: of_units for name, of_units in vectors.items() if np.ptp(of_units.vectors, axis=0).any()}
    if not {POSITION, PLATE} <= known.keys():
        known.pop(BOTH, None)
    return known


def _positions(rows: pd.DataFrame) -> Features:
    """Return row, column and distance to the nearest edge of the wells in use (rows, 3); 0 where they are not known."""
    places = np.stack([_numbers(rows[name]) for name in ("row", "column")], axis=1)
    known = np.isfinite(places).all(axis=1)
    if not known.any():
        return np.zeros((len(rows), 3), np.float32)
    low, high = places[known].min(axis=0), places[known].max(axis=0)
    edge = np.minimum(places - low, high - places).min(axis=1, keepdims=True)
    found = np.hstack([places, edge])
    found[~known] = 0
    return found.astype(np.float32)


def _numbers(texts: pd.Series[str]) -> NDArray[np.float64]:
    """Return rows and columns of plates as numbers from 1: "B" and "2" are 2, "AA" is 27; NaN for other text."""
    values = {text: _number(str(text)) for text in texts.dropna().unique()}
    return texts.map(values).to_numpy(np.float64)


def _number(text: str) -> float:
    if text.isdecimal():
        return float(int(text))
    if not (text.isascii() and text.isalpha() and len(text) <= 2):
        return float("nan")
    first, *rest = (ord(letter) - ord("A") + 1 for letter in text.upper())
    return float(first * 26 + rest[0] if rest else first)


def _names(names: pd.Series[str], groups: pd.Series[str]) -> Features:
    """Return a column for each name that two groups have (rows, names); a name of one group is never seen again."""
    of_groups = pd.DataFrame({"name": names, "group": groups}).drop_duplicates().dropna()
    shared = of_groups["name"].value_counts()
    kept = names[names.isin(shared.index[shared > 1])].value_counts().index[:MOST_NAMES]
    codes = pd.Index(sorted(map(str, kept))).get_indexer(pd.Index(names.astype(object)))
    return np.asarray(codes[:, None] == np.arange(len(kept)), np.float32)


def _of_units(features: Features, unit: pd.Series[str]) -> UnitVectors:
    """Return the mean of the rows of each unit; no encoder saw any of them."""
    means = pd.DataFrame(features).groupby(unit.to_numpy()).mean().sort_index()
    unseen = np.zeros(len(means), bool)
    vectors = means.to_numpy(np.float32).reshape(len(means), features.shape[1])
    return UnitVectors(pd.Index(means.index), vectors, (features.shape[1],), None, unseen, unseen)
