"""Scores of the representations of a study, and which of them the report shows first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from ..evaluation.audit import AUDITED
from .score_names import DUMMY, MAIN_METRIC, METRIC_NAMES, PROBE_ORDER, RANKED, SHUFFLED, Kind, kind_of
from .seeds import SeedFamilies


@dataclass(frozen=True)
class Mean:
    """A mean with its spreads.

    Attributes:
        value: mean over folds and seeds.
        sd: standard deviation over folds, of the means over seeds.
        folds: number of folds.
        sd_seeds: standard deviation over seeds, of the means over folds; NaN for a single seed.
        seeds: number of seeds.
    """

    value: float
    sd: float
    folds: int
    sd_seeds: float = math.nan
    seeds: int = 1

    @property
    def within(self) -> list[str]:
        """What a difference is within one standard deviation of zero over: `folds`, `seeds`, both or nothing.

        The sd of a single fold is NaN, and shows nothing.
        """
        spreads = {"folds": self.sd} | ({"seeds": self.sd_seeds} if self.seeds > 1 else {})
        return [over for over, sd in spreads.items() if not abs(self.value) > sd]


@dataclass(frozen=True)
class Audited:
    """The score of probes on the place of a unit, without its image.

    Attributes:
        name: their features, in short: "position only".
        features: the same in words.
        probe: the probe that scores best.
        mean: its score.
    """

    name: str
    features: str
    probe: str
    mean: Mean


class Scoreboard:
    """Scores by representation, probe, metric and fold, with the means and differences from the step `compare`.

    Trainings that differ in their seed alone are one representation.

    Args:
        scores: table of scores, in tidy form.
        comparisons: table of means and paired differences.
        representations: entry of each representation in the settings of the study, by name.
        families: seed of each member, by family of trainings.

    Attributes:
        scores: scores of representations, in tidy form.
        entries: entry of each representation in the settings of the study, by name.
        families: the families of trainings.
        names: representations with scores in the order of the study, each family once.
    """

    def __init__(
        self,
        scores: pd.DataFrame,
        comparisons: pd.DataFrame,
        representations: dict[str, dict[str, Any]],
        families: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        audited = scores["representation"].isin(AUDITED)
        self.scores, self._audit = scores[~audited], scores[audited]
        self.entries = representations
        self.families = SeedFamilies(families or {})
        self._means = _by_key(comparisons, "mean", ["representation", "probe", "metric"])
        self._differences = _by_key(comparisons, "difference", ["representation", "other", "probe", "metric"])
        present = set(self.scores["representation"])
        self.names = self.families.merged(name for name in representations if name in present)

    @cached_property
    def probes(self) -> list[str]:
        """Probes in the order in which they are shown: classifiers, then the shuffled control, then the dummy."""
        found = set(self.scores["probe"])
        return [p for p in PROBE_ORDER if p in found] + sorted(found - set(PROBE_ORDER))

    @cached_property
    def classifiers(self) -> list[str]:
        """Probes other than the dummy and the shuffled control."""
        return [p for p in self.probes if p not in (DUMMY, SHUFFLED)]

    @cached_property
    def main_probe(self) -> str:
        """Probe of headlines and figures: logistic regression if the study has it."""
        return self.classifiers[0] if self.classifiers else self.probes[0]

    @cached_property
    def metrics(self) -> list[str]:
        """Metrics over all classes that the study has."""
        found = set(self.scores["metric"])
        return [metric for metric in METRIC_NAMES if metric in found]

    def kind(self, name: str) -> Kind:
        """Return the kind of a representation."""
        return kind_of(self.entries[self.families.first(name)], self.entries)

    def mean(self, name: str, probe: str | None = None, metric: str = MAIN_METRIC) -> Mean | None:
        """Return the mean of a representation, or of a single member; None if it has no score.

        Args:
            name: the representation.
            probe: by default the main probe.
            metric: a metric over all classes.
        """
        return self._means.get((name, probe or self.main_probe, metric))

    def difference(self, name: str, other: str, probe: str | None = None, metric: str = MAIN_METRIC) -> Mean | None:
        """Return the mean of the paired differences `name - other` over folds; None if there is none.

        Args:
            name: the representation.
            other: the representation to subtract.
            probe: by default the main probe.
            metric: a metric over all classes.
        """
        probe = probe or self.main_probe
        if found := self._differences.get((name, other, probe, metric)):
            return found
        mirrored = self._differences.get((other, name, probe, metric))
        return replace(mirrored, value=-mirrored.value) if mirrored else None

    def per_fold(self, name: str, probe: str | None = None, metric: str = MAIN_METRIC) -> dict[int, float]:
        """Return the scores of a representation by fold, averaged over seeds.

        Args:
            name: the representation.
            probe: by default the main probe.
            metric: a metric over all classes.
        """
        rows = self._rows(name, probe or self.main_probe, metric)
        means = rows[rows["class"] == ""].groupby("fold")["value"].mean()
        return {int(fold): float(value) for fold, value in zip(means.index, means, strict=True)}

    def per_class(self, name: str, probe: str | None = None) -> pd.DataFrame:
        """Return F1 by class, averaged over seeds.

        Returns:
            Rows by class; columns `mean` and `sd` over the folds that test the class, and `support` in all folds.
        """
        rows = self._rows(name, probe or self.main_probe, "f1")
        rows = rows.groupby(["fold", "class"], as_index=False).agg(value=("value", "mean"), support=("support", "max"))
        return rows.groupby("class").agg(mean=("value", "mean"), sd=("value", "std"), support=("support", "sum"))

    def confusion(self, name: str, probe: str) -> pd.DataFrame | None:
        """Return counts of true (rows) and predicted (columns) classes over folds and seeds; None without counts."""
        rows = self._rows(name, probe, "confusion")
        if rows.empty:
            return None
        table = rows.pivot_table(index="class", columns="predicted", values="value", aggfunc="sum", fill_value=0)
        classes = sorted(set(table.index) | set(table.columns))
        return table.reindex(index=classes, columns=classes, fill_value=0).astype(int)

    def count(self, metric: str) -> dict[int, int]:
        """Return `units_train`, `units_test` or `groups_test` by fold, which all representations share."""
        rows = self.scores[self.scores["metric"] == metric]
        return dict(rows.groupby("fold")["value"].max().astype(int))

    def total(self, name: str, metric: str) -> int:
        """Return a count such as `units_missing` over all folds with the main probe, for the seed with the largest.

        It is 0 if nothing was counted.
        """
        rows = self._rows(name, self.main_probe, metric)
        return int(max(rows.groupby("representation")["value"].sum(), default=0))

    def ranked(self, *kinds: Kind) -> list[str]:
        """Return the scored representations of these kinds, best mean with the main probe first.

        By default of all that are ranked: descriptors in a form as published are not. Without a classifier there are
        only controls, by which nothing is ranked.
        """
        if not self.classifiers:
            return []
        means = {name: mean.value for name in self.names if (mean := self.mean(name)) and not math.isnan(mean.value)}
        chosen = [name for name in means if self.kind(name) in (kinds or RANKED)]
        return sorted(chosen, key=lambda name: -means[name])

    def rivals(self) -> list[tuple[str, str]]:
        """Return the best representation of each kind other than the one that leads: its role in words, its name."""
        roles: dict[str, tuple[Kind, ...]] = {
            "descriptors": ("descriptors",),
            "learned representation": ("learned", "transductive"),
            "untrained encoder": ("untrained",),
        }
        leader = self.ranked()[:1]
        best = {role: self.ranked(*kinds)[:1] for role, kinds in roles.items()}
        return [(role, names[0]) for role, names in best.items() if names and names != leader]

    def best_probe(self, name: str) -> str:
        """Return the classifier with the best mean on a representation."""
        means = {probe: self.mean(name, probe) for probe in self.classifiers}
        scored = {probe: mean.value for probe, mean in means.items() if mean}
        return max(scored, key=lambda probe: scored[probe]) if scored else self.main_probe

    def audited(self, metric: str = MAIN_METRIC) -> list[Audited]:
        """Return the scores of what saw no image (positions, plates, fields), each with its best probe, best first."""
        found = []
        for name in AUDITED:
            probes = [p for p in PROBE_ORDER if p != DUMMY and p in set(self._audit["probe"])]
            means = {probe: mean for probe in probes if (mean := self.mean(name, probe, metric))}
            if means:
                best = max(means, key=lambda probe: means[probe].value)
                found.append(Audited(name, AUDITED[name], best, means[best]))
        return sorted(found, key=lambda one: -one.mean.value)

    def untrained_twin(self, name: str) -> str | None:
        """Return the untrained encoder of the same model; None if the study does not score it."""
        model = self._model(name)
        twins = [n for n in self.names if self.kind(n) == "untrained" and self._model(n) == model]
        return twins[0] if model and twins and self.kind(name) != "untrained" else None

    def _model(self, name: str) -> str | None:
        model: str | None = self.entries[self.families.first(name)].get("model")
        return model

    def _rows(self, name: str, probe: str, metric: str) -> pd.DataFrame:
        named = self.scores["representation"].isin(self.families.members(name))
        return self.scores[named & (self.scores["probe"] == probe) & (self.scores["metric"] == metric)]


def _by_key(comparisons: pd.DataFrame, kind: str, keys: list[str]) -> dict[tuple[str, ...], Mean]:
    rows = comparisons[comparisons["kind"] == kind]
    values = rows[["value", "sd", "folds", "sd_seeds", "seeds"]].itertuples(index=False)
    return {
        tuple(key): Mean(float(value), float(sd), int(folds), float(sd_seeds), int(seeds))
        for key, (value, sd, folds, sd_seeds, seeds) in zip(rows[keys].itertuples(index=False), values, strict=True)
    }
