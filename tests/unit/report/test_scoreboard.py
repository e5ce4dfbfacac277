from __future__ import annotations

from typing import Any

import pandas as pd
from tests.helpers.report_results import (
    ReportedStudy,
)

from phenoloom.report.score_names import kind_of
from phenoloom.report.scoreboard import Scoreboard


def test_ranking_follows_the_stored_means(board: Scoreboard, study: ReportedStudy) -> None:
    table = study.results.comparisons
    assert table is not None
    means = table[(table["kind"] == "mean") & (table["probe"] == "logistic") & (table["metric"] == "macro_f1")]
    expected = means.sort_values("value", ascending=False)["representation"].tolist()
    assert board.ranked() == expected


def test_a_difference_is_mirrored_when_only_the_other_direction_is_stored() -> None:
    columns = ["kind", "probe", "metric", "representation", "other", "value", "sd", "folds", "sd_seeds", "seeds"]
    rows = pd.DataFrame([("difference", "logistic", "macro_f1", "a", "b", 0.25, 0.1, 5, 0.02, 3)], columns=columns)
    scores = pd.DataFrame({"representation": ["a", "b"], "probe": "logistic", "metric": "macro_f1"})
    board = Scoreboard(scores, rows, {name: {"descriptors": "efd"} for name in "ab"})
    forth, back = board.difference("a", "b"), board.difference("b", "a")
    assert forth is not None
    assert back is not None
    assert (forth.value, back.value, back.sd, back.folds) == (0.25, -0.25, 0.1, 5)
    assert (back.sd_seeds, back.seeds) == (0.02, 3)


def test_what_is_concatenated_is_of_the_kind_of_its_most_trained_part() -> None:
    entries: dict[str, dict[str, Any]] = {
        "props": {"descriptors": "regionprops"},
        "efd": {"descriptors": "efd"},
        "net": {"model": "net"},
        "net-untrained": {"model": "net", "untrained": True},
        "net-all": {"model": "net", "transductive": True},
    }
    expected = {
        "descriptors": ["props", "efd"],
        "untrained": ["props", "net-untrained"],
        "learned": ["net", "net-untrained", "props"],
        "transductive": ["net-all", "net"],
    }
    for kind, parts in expected.items():
        assert kind_of({"concatenate": parts}, entries) == kind
