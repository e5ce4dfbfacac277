from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from phenoloom.report.charts.maps import map_figures
from phenoloom.report.charts.svg import CATEGORIES
from phenoloom.report.results import EmbeddingMaps


def maps(labels: list[str | None], split: str = "fold-0", points: np.ndarray | None = None) -> EmbeddingMaps:
    n = len(labels)
    obs = pd.DataFrame({"label": labels, "group": [f"g{i}" for i in range(n)], "fold": [i % 2 for i in range(n)]})
    xy = np.random.default_rng(0).normal(size=(n, 2)) if points is None else points
    return EmbeddingMaps(obs, {"net": xy}, {"net": {"method": "t-SNE", "split": split}}, {})


def glyphs(picture: Any, css: str) -> int:
    """Points in the paths whose class ends so."""
    return sum(path.count("M") for path in re.findall(rf'class="points c\d{css}" d="([^"]*)"', str(picture)))


def test_test_groups_are_strong_and_train_groups_faint() -> None:
    ((name, figure),) = map_figures(maps(["a", "b", "a", "b", "a"]), ["net", "absent"])
    assert name == "net"
    ((title, picture),) = figure.panels
    assert title == "by label"
    assert (glyphs(picture, " train"), glyphs(picture, "")) == (2, 3)
    assert "Encoder of fold-0" in figure.caption


def test_vectors_that_do_not_depend_on_the_fold_are_all_strong() -> None:
    ((_, figure),) = map_figures(maps(["a", "b"], split="all"), ["net"])
    assert (glyphs(figure.panels[0][1], " train"), glyphs(figure.panels[0][1], "")) == (0, 2)
    assert "Encoder" not in figure.caption


def test_rows_that_are_not_on_the_map_are_not_drawn_nor_counted() -> None:
    ((_, figure),) = map_figures(maps(["a", "b"], points=np.array([[0.0, 1.0], [np.nan, np.nan]])), ["net"])
    assert figure.caption.startswith("t-SNE of 1\N{NO-BREAK SPACE}vector.")
    assert [entry.label for entry in figure.legends[0][1]] == ["a"]


def test_labels_beyond_the_palette_and_missing_ones_share_a_grey_dot() -> None:
    labels = [f"{i:02d}" for i in range(CATEGORIES) for _ in range(2)]
    ((_, figure),) = map_figures(maps([*labels, "rare", None]), ["net"])
    entries = figure.legends[0][1]
    assert [entry.label for entry in entries[:-1]] == sorted(set(labels))
    assert entries[-1].label == "no label, or a rare one"
    assert str(figure.panels[0][1]).count('data-series="other"') == 2


def test_without_labels_the_map_shows_the_first_two_of_plate_well_and_group() -> None:
    unlabelled = maps([None] * 4)
    ((_, figure),) = map_figures(unlabelled, ["net"])
    assert [title for title, _ in figure.panels] == ["by group"]
    placed = unlabelled.obs.assign(plate=["P", "P", "Q", None], well=["A1", "A2", "A1", "A2"])
    ((_, figure),) = map_figures(EmbeddingMaps(placed, unlabelled.points, unlabelled.methods, {}), ["net"])
    assert [title for title, _ in figure.panels] == ["by plate", "by well"]
