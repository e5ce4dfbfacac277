from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.evaluation.audit import AUDITED, FIELD, PLATE, POSITION
from phenoloom.evaluation.compare import Compared, summarise
from phenoloom.report.audit import as_caveat, in_short, layout_finding
from phenoloom.report.scoreboard import Scoreboard

CLASSES = {"a": 30, "b": 30}


def board(scores: dict[tuple[str, str], list[float]], entries: dict[str, dict[str, Any]] | None = None) -> Scoreboard:
    """A scoreboard of macro-F1 by fold, by (representation, probe)."""
    columns = ["study", "representation", "probe", "fold", "metric", "class", "predicted", "value", "support"]
    rows = [
        ("s", name, probe, fold, "macro_f1", "", "", value, 10)
        for (name, probe), values in scores.items()
        for fold, value in enumerate(values)
    ]
    table = pd.DataFrame(rows, columns=columns)
    names = list(dict.fromkeys(name for name, _ in scores))
    entries = entries or {name: {"descriptors": "fourier"} for name in names if name not in AUDITED}
    return Scoreboard(table, summarise("s", Compared(names), table).to_pandas(), entries)


def found(position: list[float], probe: str = "forest", best: float = 0.9, name: str = POSITION) -> Scoreboard:
    spread = [best - 0.02, best, best + 0.02]
    return board(
        {
            ("net", "logistic"): spread,
            ("net", "dummy"): [0.33] * 3,
            (name, "logistic"): [0.5] * 3,
            (name, probe): position,
        }
    )


def test_a_label_that_follows_the_layout_is_said_with_both_scores_and_the_probe() -> None:
    scores = found([0.96, 0.97, 0.98])
    finding = layout_finding(scores, CLASSES)
    assert finding is not None
    assert finding.reaches
    assert finding.matters
    assert "from the row and the column of its well alone with 0.970" in in_short(finding)
    assert "(random forest), above every representation." in in_short(finding)
    caveat = as_caveat(finding, scores)
    assert "net, the best representation, has 0.900" in caveat
    assert "say nothing about the phenotype as long as the label follows the layout of the plate" in caveat


@pytest.mark.parametrize(
    ("position", "reaches", "matters"),
    [
        ([0.89, 0.89, 0.89], True, True),
        ([0.85, 0.85, 0.85], False, True),
        ([0.71, 0.71, 0.71], False, True),
        ([0.65, 0.65, 0.65], False, False),
    ],
)
def test_it_reaches_within_one_sd_and_matters_from_half_of_what_is_above_a_guess(
    position: list[float], reaches: bool, matters: bool
) -> None:
    finding = layout_finding(found(position), CLASSES)
    assert finding is not None
    assert (finding.reaches, finding.matters) == (reaches, matters)
    assert finding.chance == 0.5


def test_chance_is_no_finding_even_where_representations_are_at_chance_too() -> None:
    assert layout_finding(found([0.49, 0.52, 0.5], best=0.45), CLASSES) is None
    assert layout_finding(found([0.4, 0.9, 0.5], best=0.45), CLASSES) is None
    assert layout_finding(board({("net", "logistic"): [0.9, 0.9]}), CLASSES) is None


def test_two_folds_that_differ_hide_no_layout() -> None:
    scores = board({("net", "logistic"): [0.35, 0.65], (POSITION, "forest"): [0.7, 1.0]})
    finding = layout_finding(scores, CLASSES)
    assert finding is not None
    assert finding.reaches


@pytest.mark.parametrize(
    ("name", "advice"), [(PLATE, "Only plates that hold several"), (FIELD, "Only fields that hold")]
)
def test_advice_is_about_what_tells_the_label(name: str, advice: str) -> None:
    scores = found([0.99, 0.99, 0.99], name=name)
    finding = layout_finding(scores, CLASSES)
    assert finding is not None
    assert advice in as_caveat(finding, scores)


def test_what_sees_no_image_is_neither_ranked_nor_a_probe_of_the_study() -> None:
    scores = found([0.99, 0.99, 0.99])
    assert scores.ranked() == scores.names == ["net"]
    assert scores.probes == ["logistic", "dummy"]
    assert [(one.name, one.probe) for one in scores.audited()] == [(POSITION, "forest")]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_best_probe_counts_whichever_it_is(position: list[float], values: list[float]) -> None:
    probes = dict(zip(("logistic", "knn", "forest"), values, strict=True))
    scores = board({("net", "logistic"): [0.5, 0.5], **{(POSITION, p): [v, v] for p, v in probes.items()}})
    assert scores.audited()[0].mean.value == pytest.approx(max(values))
