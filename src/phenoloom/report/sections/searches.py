"""Searches for settings: every trial with its value, and the settings that were chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from ...artifacts.layout import SearchFolder
from ..numbers import MISSING, amount
from ..table import Cell, Column, PageTable, number, text

STATES = {"complete": "trained", "pruned": "stopped early", "fail": "failed"}
LABELLED = frozenset({"knn_accuracy"})
"""Metrics that use the labels of train groups."""


def search_tables(searches: Sequence[SearchFolder]) -> list[PageTable]:
    """Return one table for each search, the best trial first."""
    return [_table(search) for search in searches]


def _table(search: SearchFolder) -> PageTable:
    chosen: dict[str, Any] = yaml.safe_load(search.chosen.read_text(encoding="utf-8"))
    metric = chosen["metric"]
    # Settings are words from a YAML file, so a choice may be called NA.
    trials = pd.read_csv(search.trials, sep="\t", dtype=str, keep_default_na=False)
    keys = [name for name in trials.columns if name in chosen["settings"]]
    value = pd.to_numeric(trials[metric], errors="coerce")
    order = {state: place for place, state in enumerate(STATES)}
    best = _best(trials, value, chosen["value"])
    key = pd.DataFrame({"state": trials["state"].map(order), "far": (value - chosen["value"]).abs()})
    ranked = trials.loc[key.sort_values(["state", "far"], kind="stable").index]
    columns = [
        Column("trial", numeric=True),
        Column("outcome"),
        Column(metric, numeric=True, title="in the epoch that was kept, on groups held out of the train groups"),
        Column("epochs", numeric=True),
        *(Column(key) for key in keys),
    ]
    rows = [_row(trial, float(value[place]), keys, chosen=place == best) for place, trial in ranked.iterrows()]
    model, split = search.path.parent.name, search.path.name
    return PageTable(
        f"{model}, {split}: {amount(len(trials), 'trial')}", columns, rows, _note(trials, metric), tall=True
    )


def _best(trials: pd.DataFrame, value: pd.Series, best: float) -> Any:
    equal = trials.index[(trials["state"] == "complete") & (value == best)]
    return equal[0] if len(equal) else None


def _row(trial: pd.Series, value: float, keys: Sequence[str], *, chosen: bool) -> list[Cell]:
    known = math.isfinite(value)
    state = "chosen" if chosen else STATES[trial["state"]]
    return [
        number(trial["slot"], float(trial["slot"]), strong=chosen),
        Cell(state, strong=chosen, note=trial["reason"]),
        number(f"{value:.4g}" if known else MISSING, value if known else None, strong=chosen),
        number(trial["epochs"] or MISSING, float(trial["epochs"]) if trial["epochs"] else None),
        *(text(_setting(trial[key]), strong=chosen, code=True) for key in keys),
    ]


def _setting(value: str) -> str:
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value


def _note(trials: pd.DataFrame, metric: str) -> str:
    labels = " It uses their labels, so the training is not blind to classes." if metric in LABELLED else ""
    stopped = int((trials["state"] == "pruned").sum())
    early = f" {amount(stopped, 'trial')} worse than the others at their epoch were stopped early." if stopped else ""
    return f"Groups held out of the train groups of the split decide; no test group was used.{labels}{early}"
