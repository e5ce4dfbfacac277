"""The tidy table of scores: one value of one metric a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..artifacts.parquet import read_result, table_facts, table_metadata
from ..core.atomic import write_atomically
from ..splits.split import Targets
from . import metrics
from .probes import Prediction

SCHEMA = pa.schema(
    {
        "study": pa.string(),
        "representation": pa.string(),
        "probe": pa.string(),
        "fold": pa.int64(),
        "metric": pa.string(),
        "class": pa.string(),
        "predicted": pa.string(),
        "value": pa.float64(),
        "support": pa.int64(),
    }
)

SCORED = ("macro_f1", "balanced_accuracy", "mcc", "average_precision")
"""Metrics of a whole fold by which representations are compared."""

WITH_TILE = " of units with a tile"
"""Added to a metric that is computed from only the test units with a tile, where some have none."""


class Score(NamedTuple):
    """One score of one fold.

    Attributes:
        probe: Name of the probe.
        metric: Name of the metric or count.
        value: Its value.
        support: Number of test units that it is computed from.
        true: The class that it is about, "" for the whole fold.
        predicted: In a confusion matrix the class that was predicted, otherwise "".
    """

    probe: str
    metric: str
    value: float
    support: int
    true: str = ""
    predicted: str = ""


def write_scores(
    path: Path, study: str, scores: Mapping[str, Sequence[Sequence[Score]]], facts: dict[str, Any]
) -> None:
    """Write scores as a table with the columns of `SCHEMA`.

    Args:
        path: The table.
        study: Study of the test units.
        scores: Representation -> its scores on each fold; none where a study cannot be scored.
        facts: What the table states about itself in its metadata; `unscored` says why there are no scores.
    """
    rows = [
        (study, name, s.probe, number, s.metric, s.true, s.predicted, float(s.value), int(s.support))
        for name, folds in scores.items()
        for number, of_fold in enumerate(folds)
        for s in of_fold
    ]
    by_column = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    columns = [pa.array(values, kind) for values, kind in zip(by_column, SCHEMA.types, strict=True)]
    table = pa.table(columns, schema=SCHEMA.with_metadata(table_metadata(facts)))
    write_atomically(path, lambda file: pq.write_table(table, file))


def read_scores(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows of a table of scores, and the facts in its metadata."""
    table = read_result(path)
    return table.to_pandas(ignore_metadata=True), table_facts(table.schema)


def macro_scores(true: Targets, found: Prediction, classes: list[str]) -> dict[str, float]:
    """Return the scores of a whole test fold, averaged over the classes that it holds.

    Args:
        true: Targets of the test units.
        found: What a probe predicted for them.
        classes: Names of all classes.
    """
    if found.scores is not None:
        return {
            "macro_f1": float(np.nanmean(metrics.multilabel_f1(true, found.labels))),
            "average_precision": float(np.nanmean(metrics.average_precision(true, found.scores))),
        }
    confusion = metrics.confusion_matrix(true, found.labels, len(classes))
    return {
        "macro_f1": metrics.macro_f1(confusion),
        "balanced_accuracy": metrics.balanced_accuracy(confusion),
        "mcc": metrics.mcc(confusion),
    }


def fold_scores(probe: str, true: Targets, found: Prediction, classes: list[str]) -> Iterator[Score]:
    """Yield the scores of a probe on a test fold; absent classes and empty cells of the confusion matrix have none.

    Args:
        probe: Name of the probe.
        true: Targets of the test units.
        found: What the probe predicted for them.
        classes: Names of all classes.
    """
    for metric, value in macro_scores(true, found, classes).items():
        yield Score(probe, metric, value, len(true))
    if found.scores is not None:
        support = true.sum(axis=0)
        for metric, values in (
            ("f1", metrics.multilabel_f1(true, found.labels)),
            ("average_precision", metrics.average_precision(true, found.scores)),
        ):
            for one in np.flatnonzero(support):
                yield Score(probe, metric, values[one], support[one], classes[one])
        return
    confusion = metrics.confusion_matrix(true, found.labels, len(classes))
    support, f1 = confusion.sum(axis=1), metrics.f1(confusion)
    for one in np.flatnonzero(support):
        yield Score(probe, "f1", f1[one], support[one], classes[one])
    for one, other in np.argwhere(confusion):
        yield Score(probe, "confusion", confusion[one, other], support[one], classes[one], classes[other])
