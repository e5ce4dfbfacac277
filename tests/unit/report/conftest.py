"""A complete study with its page, which tests of the report only read."""

from __future__ import annotations

import pytest
from tests.helpers.report_results import MadeUp, ReportedStudy, report_on

from phenoloom.report.scoreboard import Scoreboard


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> ReportedStudy:
    return report_on(MadeUp(), tmp_path_factory.mktemp("results"))


@pytest.fixture
def board(study: ReportedStudy) -> Scoreboard:
    return study.scoreboard
