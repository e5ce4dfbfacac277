from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.forecasts import CONFIG

from phenoloom.cluster.forecast.finished import FinishedJob
from phenoloom.cluster.forecast.rates import DEFAULTS, Rate, fit, measured_rates


def test_a_rate_is_fitted_to_jobs_on_a_line() -> None:
    default = Rate("MB", 9.0, 9.0, 9.0, "default")
    found = fit([FinishedJob(w, 2 + 0.25 * w) for w in (10, 40, 100)], default)
    assert (found.start, found.each, found.factor) == pytest.approx((2, 0.25, 1.25))
    assert found.factor_at(1, 900) == pytest.approx(1.25)
    assert found.factor_at(1, 1100) == 3.0


@pytest.mark.parametrize(
    "jobs",
    [
        [],
        [FinishedJob(5, 1)],
        [FinishedJob(100, 3), FinishedJob(101, 4)],
        [FinishedJob(1, 3.0), FinishedJob(100, 3.1)],
        [FinishedJob(1, 5), FinishedJob(100, 2)],
        [FinishedJob(1, 1), FinishedJob(99, 1), FinishedJob(100, 200)],
    ],
    ids=["none", "one", "alike", "start dominates", "falls", "scattered"],
)
def test_jobs_that_cannot_show_a_rate_leave_the_documented_one(jobs: list[FinishedJob]) -> None:
    default = Rate("MB", 9.0, 9.0, 9.0, "default")
    assert fit(jobs, default) is default


def test_without_results_every_rate_is_the_documented_one(tmp_path: Path) -> None:
    assert measured_rates(tmp_path, CONFIG, DEFAULTS) == (dict(DEFAULTS), [])
