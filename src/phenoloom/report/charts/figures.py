"""The report's charts: maps of embeddings and training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from ..numbers import amount
from ..results import Maps, Run
from . import svg

OTHER, ALL = "other", "all"
MONITORS = {
    "effective rank": "Effective rank: the exponential of the entropy of the singular values of vectors about their "
    "mean (Roy and Vetterli 2007), so the number of directions, were all used alike.",
    "embedding spread": "Embedding spread: the sd of unit vectors a dimension, in units of 1 / sqrt(dimensions); near "
    "0, all tiles look the same.",
    "knn accuracy": "kNN accuracy: balanced, of validation groups by their nearest train groups; test groups have no "
    "part in it, and nothing is chosen by it.",
    "waited for data": "Waited for data: the most that the device can have waited, as a share of the steps' time.",
}
"""What monitors measure, on a fixed sample of tiles as they are."""

Points = NDArray[np.float64]
Flags = NDArray[np.bool_]
Categories = tuple[NDArray[np.int64], list[str]]
"""A code for each row, -1 for none, and the labels of the codes."""


@dataclass(frozen=True)
class Key:
    """A line of a legend; `series` links it to the points it stands for."""

    label: str
    picture: Markup
    series: str


@dataclass(frozen=True)
class Figure:
    """One or several panels (title, picture) under one caption and one legend."""

    caption: str
    panels: list[tuple[str, Markup]]
    legends: list[tuple[str, list[Key]]] = field(default_factory=list)


def map_figures(maps: Maps, names: Sequence[str]) -> list[tuple[str, Figure]]:
    """For each representation its map twice: by label and by plate."""
    categories = {word: _categories(maps.obs[word]) for word in ("label", "plate") if _told(maps.obs, word)}
    return [(name, _map_figure(maps, name, categories)) for name in names if name in maps.points]


def _map_figure(maps: Maps, name: str, categories: dict[str, Categories]) -> Figure:
    xy, made = maps.points[name], maps.made.get(name, {})
    shown: Flags = np.asarray(np.isfinite(xy).all(axis=1))
    method, split = str(made.get("method", "component")), str(made.get("split", ALL))
    tested = _tested(maps.obs, split)
    panels, legends = [], []
    for word, (codes, labels) in categories.items():
        panels.append((f"by {word}", _scatter(xy, shown, codes, tested, f"Map of {name}, coloured by {word}", method)))
        present = set(codes[shown].tolist())
        keys = [Key(label, svg.glyph_key(i), str(i)) for i, label in enumerate(labels) if i in present]
        if -1 in present:
            keys.append(Key(f"no {word}, or a rare one", _OTHER_KEY, OTHER))
        legends.append((word, keys))
    if not panels:
        nowhere = np.full(len(xy), -1)
        panels = [("", _scatter(xy, shown, nowhere, tested, f"Map of {name}", method))]
    caption = f"{method} of {amount(int(shown.sum()), 'vector')}."
    if tested is not None:
        caption += f" Encoder of {split}. Strong marks: test groups, which it has not seen; faint marks: train groups."
    return Figure(caption, panels, legends)


def _told(obs: pd.DataFrame, word: str) -> bool:
    return word in obs and bool(obs[word].notna().any())


_OTHER_KEY = Markup('<svg class="key other" viewBox="-50 -50 100 100" aria-hidden="true"><circle r="27"/></svg>')


def _scatter(xy: Points, shown: Flags, codes: NDArray[np.int64], tested: Flags | None, alt: str, method: str) -> Markup:
    limits = [(float(v.min()), float(v.max())) if len(v) else (0.0, 1.0) for v in xy[shown].T]
    padded = [(low - 0.04 * (high - low), high + 0.04 * (high - low)) for low, high in limits]
    labels = {"xlabel": f"{method} 1", "ylabel": f"{method} 2"}
    chart = svg.Chart(alt, xlim=padded[0], ylim=padded[1], **labels, size=(340, 320), bare=True)
    strong: Flags = np.ones(len(xy), bool) if tested is None else tested
    for part, css in ((shown & ~strong, "train"), (shown & strong, "")):
        for code in sorted(set(codes[part].tolist())):
            rows = part & (codes == code)
            chart.points(xy[rows, 0], xy[rows, 1], None if code < 0 else code, css)
    return chart.render()


def _categories(values: pd.Series) -> Categories:
    """Codes (-1 for none) and labels; past the palette, the rarest share -1."""
    text = values.astype(object).where(values.notna(), "").astype(str).to_numpy()
    counts = pd.Series(text[text != ""]).value_counts()
    labels = sorted(counts.sort_index().sort_values(ascending=False, kind="stable").index[: svg.CATEGORIES])
    place = {label: i for i, label in enumerate(labels)}
    return np.asarray([place.get(label, -1) for label in text], np.int64), labels


def _tested(obs: pd.DataFrame, split: str) -> Flags | None:
    """Rows whose group the encoder of `split` has not seen; None where vectors do not depend on the fold."""
    if split == ALL or not {"group", "fold"} <= set(obs.columns):
        return None
    groups = set(obs.loc[obs["fold"] == int(split.removeprefix("fold-")), "group"])
    flags: Flags = obs["group"].isin(groups).to_numpy()
    return flags


def curve_figures(runs: Sequence[Run]) -> list[tuple[str, Figure]]:
    """Training curves by model: the losses of every split in one panel, any other column in a panel each."""
    models = sorted({run.model for run in runs if run.metrics is not None})
    return [(model, _curve_figure(model, [r for r in runs if r.model == model])) for model in models]


def _curve_figure(model: str, runs: Sequence[Run]) -> Figure:
    tables = {run.split: run.metrics for run in runs if run.metrics is not None and len(run.metrics)}
    names = _quantities(list(tables.values()))
    panels = [(f"{model}: {name}", _curves(model, name, tables)) for name in names]
    keys = [Key(split, _line_key(i), str(i)) for i, split in enumerate(tables)]
    best = [epoch for table in tables.values() if (epoch := _best_epoch(table))]
    caption = f"{model}, {amount(len(tables), 'split')}. Dashed: train groups; solid: validation groups."
    caption += "".join(f" {told}" for name, told in MONITORS.items() if name in names)
    if best:
        caption += f" Epoch with the least validation loss, by split: {', '.join(best)}."
    return Figure(caption, panels, [("split", keys)])


def _quantities(tables: Sequence[pd.DataFrame]) -> list[str]:
    """What the columns measure, the loss first; a term that is the whole loss is not told twice."""
    numeric = [table.select_dtypes("number").drop(columns="epoch", errors="ignore") for table in tables]
    columns = dict.fromkeys(column for table in numeric for column in table.columns)
    repeated = {
        _quantity(column)
        for column in columns
        if _quantity(column) != "loss"
        and all(column in t and "val_loss" in t and t[column].equals(t["val_loss"]) for t in numeric)
    }
    found = dict.fromkeys(name for column in columns if (name := _quantity(column)) not in repeated)
    return sorted(found, key=lambda name: name != "loss")


def _quantity(column: str) -> str:
    """What a column measures: `train_loss` and `val_loss` are both `loss`."""
    return column.removeprefix("train_").removeprefix("val_").replace("_", " ")


def _best_epoch(table: pd.DataFrame) -> str:
    if "val_loss" not in table or table["val_loss"].isna().all():
        return ""
    return f"{_epochs(table)[np.nanargmin(table['val_loss'].to_numpy(float))]:.0f}"


def _curves(model: str, quantity: str, tables: dict[str, pd.DataFrame]) -> Markup:
    columns = {split: [c for c in t.columns if _quantity(c) == quantity] for split, t in tables.items()}
    values = np.concatenate([tables[split][c].to_numpy(float) for split, found in columns.items() for c in found])
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    pad = 0.05 * (high - low)
    epochs = np.concatenate([_epochs(table) for table in tables.values()])
    chart = svg.Chart(
        f"{quantity} of {model} by epoch, {amount(len(tables), 'split')}",
        xlim=(float(epochs.min()), float(epochs.max())),
        ylim=(low - pad, high + pad),
        xlabel="epoch",
        ylabel=quantity,
    )
    for i, (split, found) in enumerate(columns.items()):
        for column in found:
            css = f"{svg.colour(i)}{' dashed' if column.startswith('train_') else ''}"
            value = tables[split][column].to_numpy(float)
            chart.line(_epochs(tables[split]), value, css, f"{split}, {column}: last {value[-1]:.4g}")
    return chart.render()


def _epochs(table: pd.DataFrame) -> Points:
    return table["epoch"].to_numpy(float) if "epoch" in table else np.arange(len(table), dtype=float)


def _line_key(i: int) -> Markup:
    return Markup(
        '<svg class="key {}" viewBox="0 0 20 10" aria-hidden="true"><path class="line" d="M1 5H19"/></svg>'
    ).format(svg.colour(i))
