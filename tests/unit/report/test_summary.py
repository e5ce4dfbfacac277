from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.report_results import (
    MadeUp,
    ReportedStudy,
)
from tests.unit.report.test_audit import board as board_of

from phenoloom.report.charts.dot_plot import score_dots
from phenoloom.report.headline import write_headline
from phenoloom.report.scoreboard import Scoreboard
from phenoloom.report.summary import summary, without_scores

ENTRIES: dict[str, dict[str, Any]] = {
    "props": {"descriptors": "regionprops"},
    "efd-published": {"descriptors": "efd-published"},
    "net": {"model": "net"},
    "net-untrained": {"model": "net", "untrained": True},
    "net-all": {"model": "net", "transductive": True},
    "both": {"concatenate": ["net", "props"]},
}
FACTS = {"classes": {"a": 30, "b": 30}}


def test_the_summary_states_best_descriptors_dummy_and_chance(board: Scoreboard, study: ReportedStudy) -> None:
    sentence = summary(board, study.results.fold_facts)
    best, described = board.ranked()[0], board.ranked("descriptors")[0]
    for name, probe in ((best, None), (described, None), (best, "dummy"), (best, "logistic-shuffled")):
        mean = board.mean(name, probe)
        assert mean is not None
        assert f"{mean.value:.3f}" in sentence
    assert best in sentence
    assert "over 5\N{NO-BREAK SPACE}folds" in sentence
    assert sentence in study.page.text


@settings(max_examples=40, deadline=None)
@given(
    st.fixed_dictionaries({name: st.lists(st.floats(0, 1), min_size=4, max_size=4) for name in ENTRIES}),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_the_named_leader_leads_the_chart_the_summary_and_the_headline(
    tmp_path_factory: pytest.TempPathFactory, scores: dict[str, list[float]], position: list[float]
) -> None:
    every = {(name, "logistic"): values for name, values in scores.items()} | {("position only", "forest"): position}
    board = board_of(every, ENTRIES)
    means = {name: sum(values) for name, values in scores.items() if name != "efd-published"}
    leader = score_dots(board, "n = 4").rows[0].name
    assert means[leader] == pytest.approx(max(means.values()))
    assert summary(board, FACTS).startswith(f"The best representation is {leader} (")
    path = tmp_path_factory.mktemp("h") / "headline.json"
    results: Any = SimpleNamespace(image_count=1, index=None, fold_facts=FACTS)
    write_headline(path, MadeUp().settings, results, board)
    assert json.loads(path.read_text())["best"]["name"] == leader


@pytest.mark.parametrize(
    ("leader", "words"),
    [
        ("props", "props (classical descriptors)"),
        ("net", "net (the model net)"),
        ("net-untrained", "net-untrained (the model net, untrained: its weights are random)"),
        ("net-all", "net-all (the model net, transductive)"),
        ("both", "both (net and props in one vector, learned)"),
    ],
)
def test_the_leader_is_named_with_its_kind(leader: str, words: str) -> None:
    board = board_of({(name, "logistic"): [0.9 if name == leader else 0.6] * 3 for name in ENTRIES}, ENTRIES)
    assert f"The best representation is {words}: logistic regression" in summary(board, FACTS)


def test_a_rival_within_the_spread_of_the_folds_is_not_shown_to_be_worse() -> None:
    scores = {"net-untrained": [0.89, 0.91, 0.9], "props": [0.86, 0.92, 0.89], "net": [0.79, 0.81, 0.8]}
    board = board_of({(name, "logistic"): values for name, values in scores.items()}, ENTRIES)
    found = summary(board, FACTS).replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")
    assert "net-untrained (the model net, untrained: its weights are random)" in found
    near = "The best descriptors, props, scored 0.890 ± 0.030, -0.010 ± 0.020 compared with net-untrained on the same "
    assert near in found
    assert "The best learned representation, net, scored 0.800 ± 0.010, -0.100 ± 0.000 compared with net-" in found
    assert found.count("within the spread over folds, so it is not shown to be worse") == 1


def test_controls_alone_rank_nothing() -> None:
    board = board_of({("props", "dummy"): [0.1, 0.1], ("props", "logistic-shuffled"): [0.2, 0.2]}, ENTRIES)
    assert board.ranked() == []
    assert summary(board, FACTS) == (
        "No representation of this study is scored: classify.probes names no classifier, but only the dummy."
    )


def test_a_study_without_scores_says_why_and_what_its_page_has() -> None:
    found = without_scores({"unscored": "no object has a label; name one"})
    assert found.startswith("This study has no scores: no object has a label; name one. Its page shows samples, maps")
    assert without_scores({}) == "This study has no scores yet."
