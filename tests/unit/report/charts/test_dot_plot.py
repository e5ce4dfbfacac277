from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from phenoloom.report.charts.dot_plot import difference_dots, score_dots
from phenoloom.report.scoreboard import Scoreboard

COMPARED = ["kind", "probe", "metric", "representation", "other", "value", "sd", "folds", "sd_seeds", "seeds"]


def board(folds: dict[str, list[float]], sd: float) -> Scoreboard:
    """Descriptors `props` and a model `net`, by fold; the dummy scores 0.25."""
    rows: list[tuple[Any, ...]] = []
    compared: list[tuple[Any, ...]] = []
    for name, values in folds.items():
        rows += [(name, "logistic", fold, "macro_f1", "", value) for fold, value in enumerate(values)]
        rows.append((name, "dummy", 0, "macro_f1", "", 0.25))
        mean = sum(values) / len(values)
        compared.append(("mean", "logistic", "macro_f1", name, "", mean, sd, len(values), math.nan, 1))
        compared.append(("mean", "dummy", "macro_f1", name, "", 0.25, 0.0, 1, math.nan, 1))
    gain = sum(a - b for a, b in zip(folds["net"], folds["props"], strict=True)) / len(folds["net"])
    compared.append(("difference", "logistic", "macro_f1", "net", "props", gain, sd, 2, math.nan, 1))
    scores = pd.DataFrame(rows, columns=["representation", "probe", "fold", "metric", "class", "value"])
    entries = {"props": {"descriptors": "regionprops"}, "net": {"model": "net"}}
    return Scoreboard(scores, pd.DataFrame(compared, columns=COMPARED), entries)


FOLDS = {"props": [0.3, 0.5], "net": [0.5, 0.7]}


def test_marks_lie_where_their_values_are_on_an_axis_of_round_limits() -> None:
    """The axis goes from 0.2 to 0.7, in the middle 94 % of the width."""
    plot = score_dots(board(FOLDS, 0.1), "n = 2")

    def place(value: float) -> float:
        return 3 + 94 * (value - 0.2) / 0.5

    net, props = plot.rows
    assert (net.name, props.name) == ("net", "props")
    assert (net.mean, net.low, net.high) == pytest.approx((place(0.6), place(0.5), place(0.7)), abs=0.01)
    assert [x for x, _ in props.folds] == pytest.approx([place(0.3), place(0.5)], abs=0.01)
    assert [title for _, title in props.folds] == ["fold 0: 0.300", "fold 1: 0.500"]
    assert plot.references[0][0] == pytest.approx(place(0.25), abs=0.01)
    assert plot.references[1][0] == pytest.approx(place(0.4), abs=0.01)
    assert [label for _, label in plot.ticks] == ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]


def test_a_single_fold_has_no_bar() -> None:
    (net, _) = score_dots(board({"props": [0.3], "net": [0.5]}, math.nan), "n = 1").rows
    assert net.low == net.mean == net.high


def test_differences_are_those_of_the_folds_and_zero_is_marked() -> None:
    plot = difference_dots(board(FOLDS, 0.0), [("net", "props", "best descriptors"), ("net", "other", "untrained")])
    assert plot is not None
    (row,) = plot.rows
    assert row.note == "minus best descriptors props"
    assert [title for _, title in row.folds] == ["fold 0: +0.200", "fold 1: +0.200"]
    # From 0 to 0.2 in the middle 94 %.
    assert (plot.references[0][0], row.mean) == pytest.approx((3, 97), abs=0.01)


def test_pairs_without_a_difference_make_no_plot() -> None:
    assert difference_dots(board(FOLDS, 0.0), [("net", "other", "untrained")]) is None
