from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.report_results import ReportedStudy

from phenoloom.core.errors import PhenoloomError
from phenoloom.report.headline import read_headline, write_headline
from phenoloom.report.score_names import DUMMY
from phenoloom.report.scoreboard import Scoreboard


def test_the_headline_has_the_best_representation_the_best_descriptors_and_the_dummy(
    study: ReportedStudy, board: Scoreboard
) -> None:
    facts = read_headline(study.results.folder.headline)
    assert facts is not None
    best, descriptors = board.ranked()[0], board.ranked("descriptors")[0]
    means = [board.mean(best), board.mean(descriptors), board.mean(best, DUMMY)]
    assert [facts[key]["value"] for key in ("best", "descriptors", "dummy")] == [mean and mean.value for mean in means]
    assert (facts["best"]["name"], facts["descriptors"]["name"]) == (best, descriptors)
    assert (facts["images"], facts["objects"], facts["classes"]) == (27, 120, 4)


def test_without_scores_the_headline_has_counts_only(study: ReportedStudy, tmp_path: Path) -> None:
    write_headline(tmp_path / "headline.json", study.made_up.settings, study.results, None)
    facts = read_headline(tmp_path / "headline.json")
    assert facts is not None
    assert facts["objects"] == 120
    assert (facts["best"], facts["descriptors"], facts["dummy"]) == (None, None, None)


def test_a_missing_headline_is_none_and_a_damaged_one_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "headline.json"
    assert read_headline(path) is None
    path.write_text("{")
    with pytest.raises(PhenoloomError, match="delete the report beside it and rerun `report`"):
        read_headline(path)
