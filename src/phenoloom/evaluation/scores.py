"""The tidy table of scores: one value a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..artifacts.parquet import table_facts, table_metadata
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
"""Metrics of a whole fold that say how good a representation is."""


@dataclass
class Scores:
    """Rows of one fold of one representation."""

    study: str
    representation: str
    fold: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, probe: str, metric: str, value: float, support: int, true: str = "", predicted: str = "") -> None:
        """One value; `true` is the class that it is about, "" for the whole fold."""
        self.rows.append(
            (self.study, self.representation, probe, self.fold, metric, true, predicted, float(value), int(support))
        )

    @staticmethod
    def write(tables: Iterable[Scores], facts: dict[str, Any], output: Path) -> None:
        """Write the rows of all folds, in order, with `facts` in the metadata of the schema."""
        rows = [row for table in tables for row in table.rows]
        columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), SCHEMA.types, strict=True)]
        table = pa.table(columns, schema=SCHEMA.with_metadata(table_metadata(facts)))
        write_atomically(output, lambda file: pq.write_table(table, file))


def read_scores(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows of a table of scores, and the facts written with them."""
    table = pq.read_table(path)
    return table.to_pandas(ignore_metadata=True), table_facts(table.schema)


def macro_scores(true: Targets, found: Prediction, classes: list[str]) -> dict[str, float]:
    """Scores of a whole test fold, averaged over the classes that it holds."""
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


def fold_scores(true: Targets, found: Prediction, classes: list[str]) -> Iterator[tuple[str, float, int, str, str]]:
    """Rows (metric, value, support, class, predicted) of a test fold; absent classes and empty cells have none."""
    for metric, value in macro_scores(true, found, classes).items():
        yield metric, value, len(true), "", ""
    if found.scores is not None:
        support = true.sum(axis=0)
        for metric, values in (
            ("f1", metrics.multilabel_f1(true, found.labels)),
            ("average_precision", metrics.average_precision(true, found.scores)),
        ):
            for one in np.flatnonzero(support):
                yield metric, values[one], support[one], classes[one], ""
        return
    confusion = metrics.confusion_matrix(true, found.labels, len(classes))
    support, f1 = confusion.sum(axis=1), metrics.f1(confusion)
    for one in np.flatnonzero(support):
        yield "f1", f1[one], support[one], classes[one], ""
    for one, other in np.argwhere(confusion):
        yield "confusion", confusion[one, other], support[one], classes[one], classes[other]
