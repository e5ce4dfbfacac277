from __future__ import annotations

from tests.helpers.report_results import (
    ReportedStudy,
)

from phenoloom.report.scoreboard import Scoreboard
from phenoloom.report.summary import summary


def test_the_summary_states_best_descriptors_dummy_and_chance(board: Scoreboard, study: ReportedStudy) -> None:
    sentence = summary(board, study.results.fold_facts)
    best, described = board.ranked("descriptors", "learned", "transductive")[0], board.ranked("descriptors")[0]
    for name, probe in ((best, None), (described, None), (best, "dummy"), (best, "logistic-shuffled")):
        mean = board.mean(name, probe)
        assert mean is not None
        assert f"{mean.value:.3f}" in sentence
    assert best in sentence
    assert "over 5\N{NO-BREAK SPACE}folds" in sentence
    assert sentence in study.page.text
