"""Maps of embeddings: each vector as a point, coloured by label, plate or what else is known of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from ..numbers import amount
from ..results import EmbeddingMaps
from . import svg
from .figure import Figure, LegendEntry

OTHER, ALL = "other", "all"

Points = NDArray[np.float64]
Flags = NDArray[np.bool_]
Categories = tuple[NDArray[np.int64], list[str]]
"""A code for each row, -1 without a category, and the labels of the codes."""

_OTHER_KEY = Markup('<svg class="key other" viewBox="-50 -50 100 100" aria-hidden="true"><circle r="27"/></svg>')


def map_figures(maps: EmbeddingMaps, names: Sequence[str]) -> list[tuple[str, Figure]]:
    """Draw the map of each representation that has one, coloured by label and plate.

    Without labels it is coloured by the first two of plate, well and group that the study has.
    """
    words = ("label", "plate") if _known(maps.obs, "label") else ("plate", "well", "group")
    categories = {word: _categories(maps.obs[word]) for word in [word for word in words if _known(maps.obs, word)][:2]}
    return [(name, _map_figure(maps, name, categories)) for name in names if name in maps.points]


def _map_figure(maps: EmbeddingMaps, name: str, categories: dict[str, Categories]) -> Figure:
    xy, made = maps.points[name], maps.methods.get(name, {})
    shown: Flags = np.asarray(np.isfinite(xy).all(axis=1))
    method, split = str(made.get("method", "component")), str(made.get("split", ALL))
    tested = _tested(maps.obs, split)
    panels, legends = [], []
    for word, (codes, labels) in categories.items():
        panels.append((f"by {word}", _scatter(xy, shown, codes, tested, f"Map of {name}, coloured by {word}", method)))
        present = set(codes[shown].tolist())
        keys = [LegendEntry(label, svg.glyph_key(i), str(i)) for i, label in enumerate(labels) if i in present]
        if -1 in present:
            keys.append(LegendEntry(f"no {word}, or a rare one", _OTHER_KEY, OTHER))
        legends.append((word, keys))
    if not panels:
        nowhere = np.full(len(xy), -1)
        panels = [("", _scatter(xy, shown, nowhere, tested, f"Map of {name}", method))]
    caption = f"{method} of {amount(int(shown.sum()), 'vector')}."
    if tested is not None:
        caption += f" Encoder of {split}. Strong marks: test groups, which it has not seen; faint marks: train groups."
    return Figure(caption, panels, legends)


def _known(obs: pd.DataFrame, word: str) -> bool:
    return word in obs and bool(obs[word].notna().any())


def _scatter(xy: Points, shown: Flags, codes: NDArray[np.int64], tested: Flags | None, alt: str, method: str) -> Markup:
    limits = [(float(v.min()), float(v.max())) if len(v) else (0.0, 1.0) for v in xy[shown].T]
    padded = [(low - 0.04 * (high - low), high + 0.04 * (high - low)) for low, high in limits]
    axes = [svg.Axis(f"{method} {i}", each) for i, each in enumerate(padded, 1)]
    chart = svg.Chart(alt, axes[0], axes[1], size=(340, 320), bare=True)
    strong: Flags = np.ones(len(xy), bool) if tested is None else tested
    for part, css in ((shown & ~strong, "train"), (shown & strong, "")):
        for code in sorted(set(codes[part].tolist())):
            rows = part & (codes == code)
            chart.points(xy[rows, 0], xy[rows, 1], None if code < 0 else code, css)
    return chart.render()


def _categories(values: pd.Series) -> Categories:
    """Return codes and labels; the code is -1 without a value, and for the rarest values if colours run out."""
    text = values.astype(object).where(values.notna(), "").astype(str).to_numpy()
    counts = pd.Series(text[text != ""]).value_counts()
    labels = sorted(counts.sort_index().sort_values(ascending=False, kind="stable").index[: svg.CATEGORIES])
    place = {label: i for i, label in enumerate(labels)}
    return np.asarray([place.get(label, -1) for label in text], np.int64), labels


def _tested(obs: pd.DataFrame, split: str) -> Flags | None:
    """Flag the rows whose group the encoder of `split` has not seen; None if vectors do not depend on the fold."""
    if split == ALL or not {"group", "fold"} <= set(obs.columns):
        return None
    groups = set(obs.loc[obs["fold"] == int(split.removeprefix("fold-")), "group"])
    flags: Flags = obs["group"].isin(groups).to_numpy()
    return flags
