"""Ranges and keys that a search may have, and the direction of its metric."""

from __future__ import annotations

from typing import Any

import pytest

from phenoloom.config.search import Range, Tune


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"low": 1}, "give `choices` alone, or `low` and `high`"),
        ({"low": 1, "high": 2, "choices": [1, 2]}, "give `choices` alone"),
        ({"low": 2, "high": 2}, "must be below"),
        ({"low": 0, "high": 1, "log": True}, "above zero"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "not both"),
    ],
)
def test_a_range_that_says_nothing_or_too_much_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Range(**values)


@pytest.mark.parametrize("key", ["view", "variants.latent", "training.validation_fraction"])
def test_keys_that_cannot_be_searched_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="cannot be searched"):
        Tune(ranges={key: {"choices": [0.1, 0.2]}})


def test_bounds_that_are_integers_make_a_range_of_integers() -> None:
    assert Range(low=2, high=8).whole
    assert Range(low=2, high=8, step=2).whole
    assert not Range(low=2.0, high=8.0).whole
    assert not Range(low=2, high=8, step=0.5).whole
    assert (Range(low=2, high=8).ends, Range(choices=["a", None]).ends) == ([2, 8], ["a", None])


@pytest.mark.parametrize(
    ("metric", "maximised"),
    [("val_loss", False), ("train_loss", False), ("knn_accuracy", True), ("val_effective_rank", True)],
)
def test_losses_are_minimised_and_figures_of_health_maximised(metric: str, maximised: bool) -> None:
    assert Tune(ranges={"latent": Range(low=2, high=4)}, metric=metric).maximise is maximised
