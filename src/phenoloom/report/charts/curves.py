"""Training curves: losses and monitors by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from ..numbers import amount
from ..results import TrainedModel
from . import svg
from .figure import Figure, LegendEntry

MONITORS = {
    "effective rank": "Effective rank: the number of directions that the vectors would use if they used all alike; the "
    "exponential of the entropy of the singular values of vectors about their mean (Roy and Vetterli 2007).",
    "embedding spread": "Embedding spread: the sd of unit vectors in each dimension, in units of 1 / sqrt(dimensions); "
    "near 0, all tiles look the same.",
    "knn accuracy": "kNN accuracy: balanced accuracy of validation groups, classified by their nearest train groups. "
    "It uses no test groups, and nothing is chosen by it.",
    "waited for data": "Waited for data: the longest that the device can have waited, as a share of the time of the "
    "steps.",
}
"""Explanation of each monitor, which is measured on a fixed sample of tiles without augmentation."""

Points = NDArray[np.float64]


def curve_figures(trained: Sequence[TrainedModel]) -> list[tuple[str, Figure]]:
    """Draw the training curves of each model: the losses of all splits in one panel, each other column in its own."""
    names = sorted({one.model for one in trained if one.metrics is not None})
    return [(name, _curve_figure(name, [one for one in trained if one.model == name])) for name in names]


def _curve_figure(model: str, trained: Sequence[TrainedModel]) -> Figure:
    tables = {one.split: one.metrics for one in trained if one.metrics is not None and len(one.metrics)}
    names = _quantities(list(tables.values()))
    panels = [(f"{model}: {name}", _curves(model, name, tables)) for name in names]
    keys = [LegendEntry(split, _line_key(i), str(i)) for i, split in enumerate(tables)]
    best = [epoch for table in tables.values() if (epoch := _best_epoch(table))]
    caption = f"{model}, {amount(len(tables), 'split')}. Dashed: train groups; solid: validation groups."
    caption += "".join(f" {text}" for name, text in MONITORS.items() if name in names)
    if best:
        caption += f" Epoch with the lowest validation loss, by split: {', '.join(best)}."
    return Figure(caption, panels, [("split", keys)])


def _quantities(tables: Sequence[pd.DataFrame]) -> list[str]:
    """Return the quantities of the columns, the loss first; a term that is the whole loss is left out."""
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
    """Return the quantity of a column: `train_loss` and `val_loss` are both `loss`."""
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
        svg.Axis("epoch", (float(epochs.min()), float(epochs.max()))),
        svg.Axis(quantity, (low - pad, high + pad)),
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
