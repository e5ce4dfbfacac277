from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.config.training import Training
from phenoloom.training.optim import Schedules, cosine


def schedules(**values: object) -> Schedules:
    return Schedules(Training(**{"epochs": 10, "warmup_epochs": 2, "learning_rate": 0.1, **values}), 5)


def test_the_rate_rises_by_equal_steps_and_falls_as_half_a_cosine() -> None:
    plan = schedules()
    assert [plan.learning_rate(step) for step in range(10)] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert plan.learning_rate(10) == pytest.approx(0.1)
    assert plan.learning_rate(30) == pytest.approx(0.05)
    assert plan.learning_rate(50) == pytest.approx(0.0, abs=1e-12)


def test_the_rate_ends_where_it_should_also_at_another_batch_size() -> None:
    plan = schedules(final_learning_rate=0.02, batch_size=256, base_batch_size=64)
    assert plan.learning_rate(10) == pytest.approx(0.2)
    assert plan.learning_rate(50) == pytest.approx(0.04)
    assert plan.learning_rate(30) == pytest.approx((0.2 + 0.04) / 2)


def test_the_decay_follows_a_cosine_over_all_steps_or_stays() -> None:
    moving, still = schedules(weight_decay=0.04, final_weight_decay=0.4), schedules(weight_decay=0.04)
    assert [moving.weight_decay(step) for step in (0, 25, 50)] == pytest.approx([0.04, 0.22, 0.4])
    assert {still.weight_decay(step) for step in range(50)} == {0.04}


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100))
def test_a_cosine_stays_between_its_ends_and_is_symmetric(first: float, last: float, step: int) -> None:
    low, high = min(first, last), max(first, last)
    assert low - 1e-12 <= cosine(step, 100, first, last) <= high + 1e-12
    assert cosine(step, 100, first, last) + cosine(100 - step, 100, first, last) == pytest.approx(first + last)


def test_a_rate_that_would_rise_at_the_end_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"`final_learning_rate` must not be above `learning_rate`, found 0\.2 and 0\.1"
    ):
        schedules(final_learning_rate=0.2)
