"""What the representations of a study are, and which of their scores the report leads with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from .seeds import Draws

Kind = Literal["descriptors", "learned", "transductive", "untrained"]

DUMMY = "dummy"
SHUFFLED = "logistic-shuffled"
MAIN_METRIC = "macro_f1"
METRIC_NAMES = {
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "MCC",
    "average_precision": "average precision",
}
PROBE_NAMES = {
    "logistic": "logistic regression",
    "knn": "nearest neighbours",
    "forest": "random forest",
    DUMMY: "majority dummy",
    SHUFFLED: "logistic, labels shuffled",
}
PROBE_HEADS = {
    "logistic+scale": "logistic + size",
    "forest+scale": "forest + size",
    "knn": "kNN",
    SHUFFLED: "shuffled",
    DUMMY: "dummy",
}
PROBE_ORDER = ["logistic", "logistic+scale", "knn", "forest", "forest+scale", SHUFFLED, DUMMY]
KIND_NAMES: dict[Kind, str] = {
    "descriptors": "classical descriptors",
    "learned": "learned",
    "transductive": "learned, transductive",
    "untrained": "untrained encoder",
}


_BY_TRAINING: tuple[Kind, ...] = ("descriptors", "untrained", "learned", "transductive")


@dataclass(frozen=True)
class Mean:
    """Mean over folds and seeds, sd over folds (of the means over seeds) and sd over seeds (of the means over folds);
    NaN where there is one seed only.
    """

    value: float
    sd: float
    folds: int
    sd_seeds: float = math.nan
    seeds: int = 1


def kind_of(entry: dict[str, Any], entries: dict[str, dict[str, Any]]) -> Kind:
    """The kind of a representation, from its entry in the study's settings; of several, that of the most trained."""
    if entry.get("concatenate"):
        kinds = {kind_of(entries[part], entries) for part in entry["concatenate"]}
        return next(kind for kind in reversed(_BY_TRAINING) if kind in kinds)
    if entry.get("descriptors"):
        return "descriptors"
    if entry.get("untrained"):
        return "untrained"
    return "transductive" if entry.get("transductive") else "learned"


def probe_name(probe: str) -> str:
    """A probe in words; `logistic+scale` sees the size of a shape beside its vector."""
    base, plus, _ = probe.partition("+scale")
    return f"{PROBE_NAMES.get(base, base)}{' with size' if plus else ''}"


class Scoreboard:
    """Scores by representation, probe, metric and fold, with the means that `compare` stored.

    A family (`families`: its members with their seeds, by its name) is one representation here, and its members none.
    """

    def __init__(
        self,
        scores: pd.DataFrame,
        comparisons: pd.DataFrame,
        representations: dict[str, dict[str, Any]],
        families: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        self.scores = scores
        self.entries = representations
        self.draws = Draws(families or {})
        self._means = _by_key(comparisons, "mean", ["representation", "probe", "metric"])
        self._differences = _by_key(comparisons, "difference", ["representation", "other", "probe", "metric"])
        present = set(scores["representation"])
        self.names = self.draws.standing(name for name in representations if name in present)

    @cached_property
    def probes(self) -> list[str]:
        """Probes in reading order: classifiers, then the shuffled control, then the dummy."""
        found = set(self.scores["probe"])
        return [p for p in PROBE_ORDER if p in found] + sorted(found - set(PROBE_ORDER))

    @cached_property
    def classifiers(self) -> list[str]:
        """Probes without the dummy and the shuffled control."""
        return [p for p in self.probes if p not in (DUMMY, SHUFFLED)]

    @cached_property
    def main_probe(self) -> str:
        """The probe that headlines and figures use: logistic regression where the study has it."""
        return self.classifiers[0] if self.classifiers else self.probes[0]

    @cached_property
    def metrics(self) -> list[str]:
        """Overall metrics that the study has."""
        found = set(self.scores["metric"])
        return [metric for metric in METRIC_NAMES if metric in found]

    def kind(self, name: str) -> Kind:
        """Kind of a representation."""
        return kind_of(self.entries[self.draws.first(name)], self.entries)

    def mean(self, name: str, probe: str | None = None, metric: str = MAIN_METRIC) -> Mean | None:
        """Mean over folds, or None where it was not scored; members of families have one too."""
        return self._means.get((name, probe or self.main_probe, metric))

    def difference(self, name: str, other: str, probe: str | None = None, metric: str = MAIN_METRIC) -> Mean | None:
        """Mean of the paired differences `name - other` over folds, or None where `compare` has none."""
        probe = probe or self.main_probe
        if found := self._differences.get((name, other, probe, metric)):
            return found
        mirrored = self._differences.get((other, name, probe, metric))
        return replace(mirrored, value=-mirrored.value) if mirrored else None

    def per_fold(self, name: str, probe: str | None = None, metric: str = MAIN_METRIC) -> dict[int, float]:
        """An overall metric by fold, its mean over seeds."""
        rows = self._rows(name, probe or self.main_probe, metric)
        means = rows[rows["class"] == ""].groupby("fold")["value"].mean()
        return {int(fold): float(value) for fold, value in zip(means.index, means, strict=True)}

    def per_class(self, name: str, probe: str | None = None) -> pd.DataFrame:
        """Per-class F1 by class (mean and sd over the folds where the class was tested, of its mean over seeds) and its
        summed support.
        """
        rows = self._rows(name, probe or self.main_probe, "f1")
        rows = rows.groupby(["fold", "class"], as_index=False).agg(value=("value", "mean"), support=("support", "max"))
        return rows.groupby("class").agg(mean=("value", "mean"), sd=("value", "std"), support=("support", "sum"))

    def confusion(self, name: str, probe: str) -> pd.DataFrame | None:
        """Counts of true (rows) against predicted (columns) classes, summed over folds and seeds."""
        rows = self._rows(name, probe, "confusion")
        if rows.empty:
            return None
        table = rows.pivot_table(index="class", columns="predicted", values="value", aggfunc="sum", fill_value=0)
        classes = sorted(set(table.index) | set(table.columns))
        return table.reindex(index=classes, columns=classes, fill_value=0).astype(int)

    def count(self, metric: str) -> dict[int, int]:
        """`units_train`, `units_test` or `groups_test` by fold; the same for every representation."""
        rows = self.scores[self.scores["metric"] == metric]
        return dict(rows.groupby("fold")["value"].max().astype(int))

    def total(self, name: str, metric: str) -> int:
        """A count of the main probe summed over folds, such as `units_missing`, the largest of any seed; 0 where it is
        not counted.
        """
        rows = self._rows(name, self.main_probe, metric)
        return int(max(rows.groupby("representation")["value"].sum(), default=0))

    def ranked(self, *kinds: Kind, probe: str | None = None) -> list[str]:
        """Representations of these kinds (all kinds when none is given), best mean first."""
        scored = [
            name
            for name in self.names
            if (not kinds or self.kind(name) in kinds) and self._value(name, probe) is not None
        ]
        return sorted(scored, key=lambda name: -(self._value(name, probe) or 0.0))

    def best_probe(self, name: str) -> str:
        """The classifier with the best mean on one representation."""
        means = {probe: self.mean(name, probe) for probe in self.classifiers}
        scored = {probe: mean.value for probe, mean in means.items() if mean}
        return max(scored, key=lambda probe: scored[probe]) if scored else self.main_probe

    def untrained_twin(self, name: str) -> str | None:
        """The untrained encoder of the same model, if the study scores it."""
        model = self._model(name)
        twins = [n for n in self.names if self.kind(n) == "untrained" and self._model(n) == model]
        return twins[0] if model and twins and self.kind(name) != "untrained" else None

    def _model(self, name: str) -> str | None:
        model: str | None = self.entries[self.draws.first(name)].get("model")
        return model

    def _value(self, name: str, probe: str | None) -> float | None:
        mean = self.mean(name, probe)
        return mean.value if mean and not math.isnan(mean.value) else None

    def _rows(self, name: str, probe: str, metric: str) -> pd.DataFrame:
        s = self.scores
        return s[s["representation"].isin(self.draws.members(name)) & (s["probe"] == probe) & (s["metric"] == metric)]


def _by_key(comparisons: pd.DataFrame, kind: str, keys: list[str]) -> dict[tuple[str, ...], Mean]:
    rows = comparisons[comparisons["kind"] == kind]
    values = rows[["value", "sd", "folds", "sd_seeds", "seeds"]].itertuples(index=False)
    return {
        tuple(key): Mean(float(value), float(sd), int(folds), float(sd_seeds), int(seeds))
        for key, (value, sd, folds, sd_seeds, seeds) in zip(rows[keys].itertuples(index=False), values, strict=True)
    }
