"""All scores of a study in one table, with means over folds and seeds and paired differences on the same folds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..artifacts.parquet import table_metadata
from ..artifacts.provenance import Provenance
from ..config.representation import standing
from ..config.rule_settings import ALGORITHM, CompareSettings, ReportSettings
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from .scores import SCHEMA, SCORED, read_scores

Floats = npt.NDArray[np.float64]
Tables = dict[tuple[str, str], dict[str, Floats]]

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
        "sd_seeds": pa.float64(),
        "seeds": pa.int64(),
    }
)


def compare(settings: CompareSettings, scores: list[Path], output: Path, comparisons: Path) -> None:
    """Write all scores, and their means and paired differences (`summarise`)."""
    table = _merge(settings, scores)
    facts = table_metadata(Provenance.of(settings).record())
    summary = summarise(settings, table).replace_schema_metadata(facts)
    merged = pa.Table.from_pandas(table, SCHEMA, preserve_index=False).replace_schema_metadata(facts)
    write_atomically(output, lambda file: pq.write_table(merged, file))
    write_atomically(comparisons, lambda file: pq.write_table(summary, file))


def summarise(settings: CompareSettings, scores: pd.DataFrame) -> pa.Table:
    """Means and paired differences of all representations and families, with columns as in `COMPARISONS`.

    `mean`: of one representation under one probe. `difference`: representation minus other, over the folds of the same
    probe, each pair once in the order of the study; a family, which stands at its first member's place, is compared
    with other families and with what belongs to none. The scores of a family are averaged over its seeds fold by fold
    before anything else.

    `sd` is the sample standard deviation over `folds` (of the fold-wise differences); it is no standard error, since
    the folds share their train units. `sd_seeds` is that over the `seeds` (of their means over folds; of the
    differences seed by seed, where both sides are families). Without a family `seeds` is 1 and `sd_seeds` NaN; two
    families of different seeds do not pair: 0 and NaN. Raises PhenoloomError for folds that only some have.
    """
    whole = scores[scores["metric"].isin(SCORED) & (scores["class"] == "")]
    tables = _tables(whole, settings)
    rows = [*_means(tables, settings), *_differences(tables, settings)]
    columns = [[settings.study] * len(rows), *(list(column) for column in zip(*rows, strict=True))]
    return pa.table(
        [pa.array(values, kind) for values, kind in zip(columns, COMPARISONS.types, strict=True)], schema=COMPARISONS
    )


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


def means_of(scores: pd.DataFrame, settings: ReportSettings) -> pd.DataFrame:
    """Means of scores that no other step has averaged, of those representations and whole families that have any."""
    whole = scores[scores["metric"].isin(SCORED) & (scores["class"] == "")]
    present = set(whole["representation"])
    scored = CompareSettings(
        study=settings.study,
        algorithm=ALGORITHM["compare"],
        representations=[name for name in settings.representations if name in present],
        families={name: members for name, members in settings.families.items() if present >= set(members)},
    )
    return pd.DataFrame(_means(_tables(whole, scored), scored), columns=COMPARISONS.names[1:])


def _means(tables: Tables, settings: CompareSettings) -> Iterator[tuple[Any, ...]]:
    names = [*settings.representations, *_families(settings)]
    for (probe, metric), scores in tables.items():
        for name in names:
            if name in scores:
                yield "mean", probe, metric, name, "", *_spread(scores[name])


def _differences(tables: Tables, settings: CompareSettings) -> Iterator[tuple[Any, ...]]:
    seeds = {name: sorted(members.values()) for name, members in settings.families.items()}
    stand = standing(settings.representations, settings.families)
    pairs = [*combinations(settings.representations, 2)]
    pairs += [pair for pair in combinations(stand, 2) if set(pair) & set(seeds)]
    for (probe, metric), scores in tables.items():
        for name, other in pairs:
            if name not in scores or other not in scores:
                continue
            if name in seeds and other in seeds and seeds[name] != seeds[other]:
                apart = [scores[one].mean(axis=1, keepdims=True) for one in (name, other)]
                value, sd, folds, nothing, _ = _spread(apart[0] - apart[1])
                yield "difference", probe, metric, name, other, value, sd, folds, nothing, 0
            else:
                # What has one column only is the same beside each seed of the other.
                yield "difference", probe, metric, name, other, *_spread(scores[name] - scores[other])


def _tables(whole: pd.DataFrame, settings: CompareSettings) -> Tables:
    """Of each probe and metric, the scores (folds, seeds) of representations and families that have any."""
    found: Tables = {}
    for key, rows in whole.groupby(["probe", "metric"], sort=False):
        probe, metric = map(str, key)
        by_fold = rows.pivot(index="fold", columns="representation", values="value")
        present = {str(name) for name in by_fold}
        families = {name: members for name, members in _families(settings).items() if present & set(members)}
        members = {name: [name] for name in settings.representations if name in present} | families
        # A member of a family that lacks the probe altogether is a column of nothing, which is refused too.
        by_fold = by_fold.reindex(columns=list(dict.fromkeys(chain.from_iterable(members.values()))))
        lacking = by_fold.columns[by_fold.isna().any()]
        if len(lacking):
            raise PhenoloomError(
                f"{lacking[0]} has no {metric} of probe {probe} on some of the folds that others have; "
                "rerun `classify` for it"
            )
        found[probe, metric] = {name: by_fold[columns].to_numpy(np.float64) for name, columns in members.items()}
    return found


def _families(settings: CompareSettings) -> dict[str, list[str]]:
    """The members of each family by their seeds, the families in the order of the study."""
    found = {name: sorted(members, key=lambda one: members[one]) for name, members in settings.families.items()}
    return {name: found[name] for name in standing(settings.representations, settings.families) if name in found}


def _spread(values: Floats) -> tuple[float, float, int, float, int]:
    """Mean of (folds, seeds), sd over folds of the means over seeds and how many, sd over seeds of the means over folds
    and how many.
    """
    folds, seeds = values.shape
    return float(values.mean()), _sd(values.mean(axis=1)), folds, _sd(values.mean(axis=0)), seeds


def _sd(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
