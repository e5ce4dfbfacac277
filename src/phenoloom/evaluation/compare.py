"""All scores of a study in one table, with means over folds and seeds and paired differences on the same folds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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
from ..config.representation import Families, standing
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from .scores import SCHEMA, SCORED, WITH_TILE, read_scores

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


@dataclass(frozen=True)
class Compared:
    """The representations that are compared, and their families.

    Attributes:
        representations: Names of the representations, in the order of the study.
        families: Name of a family -> its members with their seeds: representations that differ in nothing else.
    """

    representations: list[str]
    families: Families = field(default_factory=dict)

    def members(self) -> dict[str, list[str]]:
        """Return the members of each family by their seeds, the families in the order of the study."""
        found = {name: sorted(members, key=lambda one: members[one]) for name, members in self.families.items()}
        return {name: found[name] for name in standing(self.representations, self.families) if name in found}

    def among(self, names: Iterable[str]) -> Compared:
        """Return the representations of `names` and the families that are complete in them."""
        present = set(names)
        families = {name: members for name, members in self.families.items() if present >= set(members)}
        return Compared([name for name in self.representations if name in present], families)


def compare(
    compared: Compared, scores: list[Path], audit: Path, output: Path, comparisons: Path, made_by: Provenance
) -> None:
    """Write all scores of a study, and their means and paired differences (`summarise`).

    Scores of positions and plates come last. A study that cannot be scored has tables without rows, which state why.

    Args:
        compared: What is compared.
        scores: Table of scores of each representation, called like it.
        audit: Table of scores of positions and plates.
        output: Table of all scores.
        comparisons: Table of means and differences.
        made_by: Provenance of both tables.
    """
    table, audited, unscored = _merge(compared, scores, audit)
    facts = table_metadata(made_by.record() | ({"unscored": unscored} if unscored else {}))
    every = Compared([*compared.representations, *audited], compared.families)
    summary = summarise(made_by.study, every, table).replace_schema_metadata(facts)
    merged = pa.Table.from_pandas(table.reset_index(drop=True), SCHEMA, preserve_index=False).replace_schema_metadata(
        facts
    )
    write_atomically(output, lambda file: pq.write_table(merged, file))
    write_atomically(comparisons, lambda file: pq.write_table(summary, file))


def summarise(study: str, compared: Compared, scores: pd.DataFrame) -> pa.Table:
    """Return means and paired differences of all representations and families, with the columns of `COMPARISONS`.

    `mean`: of one representation under one probe. `difference`: representation minus other, over the folds of the same
    probe, each pair once in the order of the study; of two that were tested on different units of a fold, because
    objects larger than a tile have only outlines, over the units with a tile. A family has the place of its first
    member, and is compared with other families and with representations outside families. The scores of a family are
    averaged over its seeds fold by fold before anything else.

    `sd` is the sample standard deviation over `folds` (of the fold-wise differences); it is no standard error, since
    the folds share their train units. `sd_seeds` is that over the `seeds` (of their means over folds; of the
    differences seed by seed, where both sides are families). Without a family `seeds` is 1 and `sd_seeds` NaN; two
    families of different seeds do not pair: 0 and NaN.

    Args:
        study: Name of the study.
        compared: What is compared.
        scores: Rows of the tables of scores.

    Raises:
        PhenoloomError: A representation lacks a score on a fold that others have.
    """
    tables = _tables(scores, compared)
    rows = [*_means(tables, compared), *_differences(tables, _Common.of(scores, compared), compared)]
    by_column = zip(*rows, strict=True) if rows else [()] * (len(COMPARISONS) - 1)
    columns = [[study] * len(rows), *(list(column) for column in by_column)]
    return pa.table(
        [pa.array(values, kind) for values, kind in zip(columns, COMPARISONS.types, strict=True)], schema=COMPARISONS
    )


def means_of(scores: pd.DataFrame, compared: Compared) -> pd.DataFrame:
    """Return the means of scores that no other step has averaged, as `summarise` has them.

    Only representations and whole families that have scores are averaged.
    """
    present = compared.among(_of_whole_folds(scores)["representation"])
    return pd.DataFrame(_means(_tables(scores, present), present), columns=COMPARISONS.names[1:])


def _merge(compared: Compared, paths: list[Path], audit: Path) -> tuple[pd.DataFrame, list[str], str | None]:
    """All rows in the order of the study's representations, the names that were audited, and why there are no scores.

    Scores of different splits are refused.
    """
    found = {path.stem: read_scores(path) for path in paths}
    if sorted(found) != sorted(compared.representations):
        raise PhenoloomError(
            f"Scores of {', '.join(sorted(compared.representations))} are expected, found {', '.join(sorted(found))}"
        )
    rows, facts = read_scores(audit)
    first = compared.representations[0]
    named = {**{name: found[name][1] for name in compared.representations}, "the plate layout": facts}
    for name, stated in named.items():
        if stated["folds"] != found[first][1]["folds"]:
            raise PhenoloomError(
                f"{name} and {first} were scored on different folds.parquet ({stated['folds']}, "
                f"{found[first][1]['folds']}), so their scores cannot be compared; rerun `classify` and `audit`"
            )
    tables = [*(found[name][0] for name in compared.representations), rows]
    audited = list(dict.fromkeys(rows["representation"]))
    return pd.concat([table for table in tables if len(table)] or [rows]), audited, facts.get("unscored")


def _means(tables: Tables, compared: Compared) -> Iterator[tuple[Any, ...]]:
    names = [*compared.representations, *compared.members()]
    for (probe, metric), scores in tables.items():
        for name in names:
            if name in scores:
                yield "mean", probe, metric, name, "", *_spread(scores[name])


@dataclass(frozen=True)
class _Common:
    """Scores of the test units with a tile, and on how many units each representation or family was tested.

    Attributes:
        tables: Scores on the folds that have such units.
        tested: Numbers of test units of each fold, and then those of test units with a tile. Outlines that were lost
            and objects without a tile may be equally many.
    """

    tables: Tables
    tested: dict[str, tuple[float, ...]]

    @classmethod
    def of(cls, scores: pd.DataFrame, compared: Compared) -> _Common:
        common = scores[scores["metric"].str.endswith(WITH_TILE)]
        common = common.assign(metric=common["metric"].str.removesuffix(WITH_TILE).to_numpy())
        # All objects of a fold may be too large: it has no such units.
        known = common.groupby("fold")["representation"].nunique()
        common = common[common["fold"].isin(known.index[known == known.max()])]
        counts = scores[scores["metric"] == "units_test"].assign(support=lambda rows: rows["value"])
        counts = pd.concat([counts, common.assign(metric=WITH_TILE)])
        counts = counts.drop_duplicates(["representation", "fold", "metric"]).sort_values(["metric", "fold"])
        tested = {str(name): tuple(rows["support"]) for name, rows in counts.groupby("representation")}
        tested |= {name: tested[members[0]] for name, members in compared.members().items() if members[0] in tested}
        return cls(_tables(common, compared), tested)

    def scores(self, key: tuple[str, str], pair: tuple[str, str], whole: dict[str, Floats]) -> dict[str, Floats]:
        """Return the scores that the two are compared by: of the whole folds where both were tested on as many."""
        common = self.tables.get(key, {})
        unlike = len({self.tested.get(name) for name in pair}) > 1
        return common if unlike and set(pair) <= common.keys() else whole


def _differences(tables: Tables, common: _Common, compared: Compared) -> Iterator[tuple[Any, ...]]:
    seeds = {name: sorted(members.values()) for name, members in compared.families.items()}
    stand = standing(compared.representations, compared.families)
    pairs = [*combinations(compared.representations, 2)]
    pairs += [pair for pair in combinations(stand, 2) if set(pair) & set(seeds)]
    for (probe, metric), whole in tables.items():
        for name, other in pairs:
            if name not in whole or other not in whole:
                continue
            scores = common.scores((probe, metric), (name, other), whole)
            if name in seeds and other in seeds and seeds[name] != seeds[other]:
                apart = [scores[one].mean(axis=1, keepdims=True) for one in (name, other)]
                value, sd, folds, nothing, _ = _spread(apart[0] - apart[1])
                yield "difference", probe, metric, name, other, value, sd, folds, nothing, 0
            else:
                # A representation outside families has one column, which is subtracted from each seed of the other.
                yield "difference", probe, metric, name, other, *_spread(scores[name] - scores[other])


def _of_whole_folds(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[scores["metric"].isin(SCORED) & (scores["class"] == "")]


def _tables(scores: pd.DataFrame, compared: Compared) -> Tables:
    """For each probe and metric, the scores (folds, seeds) of representations and families that have any."""
    found: Tables = {}
    for key, rows in _of_whole_folds(scores).groupby(["probe", "metric"], sort=False):
        probe, metric = map(str, key)
        by_fold = rows.pivot(index="fold", columns="representation", values="value")
        present = {str(name) for name in by_fold}
        families = {name: members for name, members in compared.members().items() if present & set(members)}
        members = {name: [name] for name in compared.representations if name in present} | families
        # A member of a family that lacks the probe altogether becomes a column of NaN, which is refused too.
        by_fold = by_fold.reindex(columns=list(dict.fromkeys(chain.from_iterable(members.values()))))
        lacking = by_fold.columns[by_fold.isna().any()]
        if len(lacking):
            raise PhenoloomError(
                f"{lacking[0]} has no {metric} of probe {probe} on some of the folds that others have; "
                "rerun `classify` for it"
            )
        found[probe, metric] = {name: by_fold[columns].to_numpy(np.float64) for name, columns in members.items()}
    return found


def _spread(values: Floats) -> tuple[float, float, int, float, int]:
    """Mean of values (folds, seeds), sd of the folds' means and number of folds, sd of the seeds' means and number."""
    folds, seeds = values.shape
    return float(values.mean()), _sd(values.mean(axis=1)), folds, _sd(values.mean(axis=0)), seeds


def _sd(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
