from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.studies import StudyOnDisk, image_settings, shape_settings
from tests.helpers.training import Killed, kill_after, train

from phenoloom.config.training import Balance
from phenoloom.core.errors import PhenoloomError
from phenoloom.data.loader import cut
from phenoloom.training import module as training
from phenoloom.training.batches import TrainingData
from phenoloom.training.sampling import Balanced, foreground_weights, interleaved, passes, quotas, shares, weighted


@pytest.mark.parametrize(
    ("exponent", "weights", "expected"),
    [
        (0.0, {}, [1 / 2, 1 / 2]),
        (1.0, {}, [1 / 10, 9 / 10]),
        (0.5, {}, [1 / 4, 3 / 4]),
        (0.0, {"a": 3.0}, [3 / 4, 1 / 4]),
        (1.0, {"a": 9.0}, [1 / 2, 1 / 2]),
    ],
)
def test_a_share_is_the_weighted_power_of_a_size(
    exponent: float, weights: dict[str, float], expected: list[float]
) -> None:
    found = shares({"a": 100, "b": 900}, Balance(size_exponent=exponent, weights=weights))
    assert np.allclose(found, expected)


def test_a_weight_of_a_study_that_is_not_there_is_refused() -> None:
    with pytest.raises(PhenoloomError, match=r"names c, which the model is not trained on \(a, b\)"):
        shares({"a": 1, "b": 1}, Balance(weights={"c": 2.0}))


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 10_000), st.lists(st.floats(0.001, 1), min_size=1, max_size=4))
def test_quotas_add_up_and_are_within_one_of_the_share(total: int, weights: list[float]) -> None:
    parts = np.array(weights) / sum(weights)
    found = quotas(total, parts)
    assert sum(found) == total
    assert min(found) >= 1
    if (total * parts >= 1).all():
        assert np.abs(np.array(found) - total * parts).max() < 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 100), st.integers(1, 6))
def test_over_epochs_no_row_comes_more_than_once_oftener_than_another(rows: int, quota: int, epochs: int) -> None:
    counts = np.zeros(rows, int)
    for epoch in range(epochs):
        taken = passes(np.arange(rows), quota, [0, 1], epoch)
        assert len(taken) == quota
        np.add.at(counts, taken, 1)
    assert counts.sum() == epochs * quota
    assert counts.max() - counts.min() <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 200), min_size=2, max_size=4), st.integers(2, 64))
def test_every_batch_holds_every_study_by_its_share(sizes: list[int], batch: int) -> None:
    starts = np.cumsum([0, *sizes])
    parts = [np.arange(a, b) for a, b in pairwise(starts)]
    order = interleaved(parts, [3], 0)
    assert sorted(order.tolist()) == list(range(sum(sizes)))
    for rows in cut(order, batch):
        for part in parts:
            expected = len(rows) * len(part) / sum(sizes)
            assert abs(np.isin(rows, part).sum() - expected) <= len(parts)


def test_an_epoch_is_a_function_of_the_seed_and_its_number() -> None:
    rows = {"a": np.arange(10), "b": np.arange(10, 100)}

    def epoch(seed: int, number: int) -> list[int]:
        order = Balanced(rows, Balance(), np.array([0.5, 0.5])).epoch(seed, number)
        return [int(row) for row in order]

    assert epoch(0, 3) == epoch(0, 3)
    assert epoch(0, 3) != epoch(0, 4)
    assert epoch(0, 3) != epoch(1, 3)
    # The ten of the small study come five times each, the ninety of the large one once in nine epochs out of five.
    taken = np.bincount(epoch(0, 3), minlength=100)
    assert set(taken[:10]) == {5}
    assert taken[10:].sum() == 50


def test_the_length_of_an_epoch_can_be_set() -> None:
    rows = {"a": np.arange(10), "b": np.arange(10, 100)}
    sampler = Balanced(rows, Balance(epoch_items=20), np.array([0.25, 0.75]))
    assert (sampler.length, sampler.quotas) == (20, {"a": 5, "b": 15})
    assert len(sampler.epoch(0, 0)) == 20


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(1, 200), st.integers(0, 3))
def test_a_row_is_taken_as_often_as_its_weight_says_to_within_one(weights: list[float], quota: int, epoch: int) -> None:
    values = np.array(weights) + 1e-3
    rows = np.arange(100, 100 + len(values))
    taken = weighted(rows, values, quota, [7], epoch)
    assert len(taken) == quota
    counts = np.bincount(taken - 100, minlength=len(values))
    assert np.abs(counts - quota * values / values.sum()).max() < 1 + 1e-6
    assert np.array_equal(taken, weighted(rows, values, quota, [7], epoch))


def test_tiles_without_foreground_are_never_taken_and_rich_ones_in_proportion() -> None:
    foreground = np.array([0.0, 0.1, 0.2, 0.7])
    rows = np.arange(4)
    counts = np.zeros(4)
    for epoch in range(200):
        counts += np.bincount(weighted(rows, foreground_weights(foreground, 1, "a"), 4, [0], epoch), minlength=4)
    # The expectation is exact; of a systematic sample the mean of 200 epochs is within a few hundredths.
    assert counts[0] == 0
    assert np.allclose(counts / 200, 4 * foreground, atol=0.1)
    assert np.allclose(foreground_weights(foreground, 2, "a"), [0, 0.01, 0.04, 0.49])
    with pytest.raises(PhenoloomError, match="no tile of a has foreground"):
        foreground_weights(np.zeros(3), 1, "a")


def test_foreground_moves_rows_within_a_study_and_not_its_share() -> None:
    rows = {"a": np.arange(10), "b": np.arange(10, 20)}
    weights = {"a": np.arange(10) / 45, "b": np.ones(10)}
    taken = Balanced(rows, Balance(), np.array([0.5, 0.5]), weights).epoch(0, 0)
    assert (taken < 10).sum() == 10
    assert 0 not in taken


def run_weighted(exponent: float, study: StudyOnDisk, output: Path) -> dict[str, bytes]:
    settings = image_settings(training={"foreground_exponent": exponent, "learning_rate": 0.001})
    return train(settings, study, output)


def test_training_takes_tiles_by_their_foreground_and_validation_each_once(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Counter[int]] = []
    data: list[TrainingData] = []
    original = TrainingData.order

    def noted(self: TrainingData, *arguments: Any) -> Any:
        plan = original(self, *arguments)
        taken.append(Counter(int(row) for batch in plan for row in batch))
        data.append(self)
        return plan

    monkeypatch.setattr(TrainingData, "order", noted)
    run_weighted(1.0, study, tmp_path / "m")
    rows = data[0].train_rows
    assert [sum(counts.values()) for counts in taken] == [len(rows)] * 3
    # Rows follow the ids, wells 0 and 4 are tested: the foreground of a row is a function of its well.
    wells = [well for well in range(8) if well % 4 for _ in range(4)]
    weights = {int(row): wells[row] % 4 + 1 for row in rows}
    for counts in taken:
        for row, weight in weights.items():
            assert abs(counts[row] - len(rows) * weight / sum(weights.values())) < 1
    held = [row for batch in data[0].validation_order(8) for row in batch]
    assert sorted(held) == sorted(data[0].validation_rows)


def test_a_killed_run_that_takes_tiles_by_their_foreground_continues_to_the_same_bits(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_weighted(2.0, study, tmp_path / "whole")
    assert whole["model.safetensors"] != run_weighted(0.0, study, tmp_path / "plain")["model.safetensors"]
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    with monkeypatch.context() as patch:
        kill_after(4, patch)
        with pytest.raises(Killed):
            run_weighted(2.0, study, tmp_path / "killed")
    assert run_weighted(2.0, study, tmp_path / "killed") == whole


def test_contours_have_no_foreground() -> None:
    with pytest.raises(ValueError, match="this model takes contours"):
        shape_settings(training={"foreground_exponent": 1.0})
