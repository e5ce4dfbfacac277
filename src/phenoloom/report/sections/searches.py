"""Searches for settings: every trial with its value, and which settings were taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ..numbers import amount
from ..table import Cell, Column, Table, number, text

STATES = {"complete": "trained", "pruned": "stopped early", "fail": "failed"}
LABELLED = frozenset({"knn_accuracy"})
"""Metrics that use labels of train groups."""


def search_tables(folder: Path) -> list[Table]:
    """A table a model and split of the study's `tuning` folder, the best trial first."""
    return [_table(path) for path in sorted(folder.glob("*/*/chosen.yaml"))]


def _table(path: Path) -> Table:
    chosen: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    metric = chosen["metric"]
    # Settings are words of a YAML file: a choice may be called NA.
    trials = pd.read_csv(path.with_name("trials.tsv"), sep="\t", dtype=str, keep_default_na=False)
    keys = [name for name in trials.columns if name in chosen["settings"]]
    value = pd.to_numeric(trials[metric], errors="coerce")
    order = {state: place for place, state in enumerate(STATES)}
    best = _best(trials, value, chosen["value"])
    key = pd.DataFrame({"state": trials["state"].map(order), "far": (value - chosen["value"]).abs()})
    ranked = trials.loc[key.sort_values(["state", "far"], kind="stable").index]
    columns = [
        Column("trial", numeric=True),
        Column("how it ended"),
        Column(metric, numeric=True, title="of the epoch that was kept, on groups held out of the train groups"),
        Column("epochs", numeric=True),
        *(Column(key) for key in keys),
    ]
    rows = [_row(trial, float(value[place]), keys, chosen=place == best) for place, trial in ranked.iterrows()]
    model, split = path.parent.parent.name, path.parent.name
    return Table(f"{model}, {split}: {amount(len(trials), 'trial')}", columns, rows, _note(trials, metric), tall=True)


def _best(trials: pd.DataFrame, value: pd.Series, taken: float) -> Any:
    equal = trials.index[(trials["state"] == "complete") & (value == taken)]
    return equal[0] if len(equal) else None


def _row(trial: pd.Series, value: float, keys: Sequence[str], *, chosen: bool) -> list[Cell]:
    told = math.isfinite(value)
    state = "taken" if chosen else STATES[trial["state"]]
    return [
        number(trial["slot"], float(trial["slot"]), strong=chosen),
        Cell(state, strong=chosen, note=trial["reason"]),
        number(f"{value:.4g}" if told else "–", value if told else None, strong=chosen),
        number(trial["epochs"] or "–", float(trial["epochs"]) if trial["epochs"] else None),
        *(text(_shown(trial[key]), strong=chosen, code=True) for key in keys),
    ]


def _shown(value: str) -> str:
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value


def _note(trials: pd.DataFrame, metric: str) -> str:
    labels = (
        " It uses their labels, so that what was trained is no longer blind to classes." if metric in LABELLED else ""
    )
    stopped = int((trials["state"] == "pruned").sum())
    early = f" {amount(stopped, 'trial')} worse than the others at their epoch were stopped early." if stopped else ""
    return f"No test group was seen: groups held out of the split's train groups decide.{labels}{early}"
