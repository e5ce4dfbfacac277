"""All scores of a study in one table, with means over folds and paired differences on the same folds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .config.settings import CompareSettings
from .errors import PhenoloomError
from .manifest import provenance, table_metadata, write_atomically
from .scores import SCHEMA, SCORED, read_scores

COMPARISONS = pa.schema(
    {
        "study": pa.string(),
        "kind": pa.string(),
        "probe": pa.string(),
        "metric": pa.string(),
        "representation": pa.string(),
        "other": pa.string(),
        "value": pa.float64(),
        "sd": pa.float64(),
        "folds": pa.int64(),
    }
)


def compare(settings: CompareSettings, scores: list[Path], output: Path, comparisons: Path) -> None:
    """Write all scores, and their means and paired differences.

    `mean`: over folds, of one representation under one probe. `difference`: representation minus other, over the folds
    of the same probe, each pair once in the order of the study. `sd` is the sample standard deviation over folds (of
    the fold-wise differences); it is no standard error, since the folds share their train units.
    """
    table = _merge(settings, scores)
    whole = table[table["metric"].isin(SCORED) & (table["class"] == "")]
    rows = [*_means(whole), *_differences(whole, settings.representations)]
    columns = [[settings.study] * len(rows), *(list(column) for column in zip(*rows, strict=True))]
    summary = pa.table(
        [pa.array(values, kind) for values, kind in zip(columns, COMPARISONS.types, strict=True)], schema=COMPARISONS
    )
    facts = table_metadata(provenance(settings))
    summary = summary.replace_schema_metadata(facts)
    merged = pa.Table.from_pandas(table, SCHEMA, preserve_index=False).replace_schema_metadata(facts)
    write_atomically(output, lambda file: pq.write_table(merged, file))
    write_atomically(comparisons, lambda file: pq.write_table(summary, file))


def _merge(settings: CompareSettings, paths: list[Path]) -> pd.DataFrame:
    """All rows in the order of the study's representations; refuses scores of different splits."""
    found = {path.stem: read_scores(path) for path in paths}
    if sorted(found) != sorted(settings.representations):
        raise PhenoloomError(
            f"Scores of {', '.join(sorted(settings.representations))} are expected, found {', '.join(sorted(found))}"
        )
    splits = {name: facts["folds"] for name, (_, facts) in found.items()}
    first = settings.representations[0]
    for name in settings.representations:
        if splits[name] != splits[first]:
            raise PhenoloomError(
                f"{name} and {first} were scored on different folds.parquet ({splits[name]}, {splits[first]}), so "
                "their scores cannot be compared; rerun `classify` for both"
            )
    return pd.concat([found[name][0] for name in settings.representations], ignore_index=True)


def means_of(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over folds of scores that no other step has averaged, as `comparisons.parquet` has them."""
    whole = scores[scores["metric"].isin(SCORED) & (scores["class"] == "")]
    return pd.DataFrame(_means(whole), columns=COMPARISONS.names[1:])


def _means(whole: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    for (name, probe, metric), rows in whole.groupby(["representation", "probe", "metric"], sort=False):
        yield "mean", probe, metric, name, "", *_mean_and_sd(rows["value"].to_numpy(np.float64))


def _differences(whole: pd.DataFrame, names: list[str]) -> Iterator[tuple[Any, ...]]:
    for (probe, metric), rows in whole.groupby(["probe", "metric"], sort=False):
        by_fold = rows.pivot(index="fold", columns="representation", values="value")
        present = [name for name in names if name in by_fold]
        for name, other in combinations(present, 2):
            if by_fold[[name, other]].isna().any(axis=None):
                lacking = name if by_fold[name].isna().any() else other
                raise PhenoloomError(
                    f"{lacking} has no {metric} of probe {probe} on some of the folds that others have; "
                    "rerun `classify` for it"
                )
            yield "difference", probe, metric, name, other, *_mean_and_sd((by_fold[name] - by_fold[other]).to_numpy())


def _mean_and_sd(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float, int]:
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan"), len(values)
