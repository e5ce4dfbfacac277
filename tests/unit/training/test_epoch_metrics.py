"""Metrics of an epoch, and its times in a file of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.helpers.studies import StudyOnDisk, shape_settings
from tests.helpers.training import train

from phenoloom.objectives import Outcome
from phenoloom.training.epoch_metrics import Throughput, add_outcome, means

pytestmark = pytest.mark.usefixtures("same_threads")


def metrics(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics.csv")


def test_times_are_kept_apart_from_results(study: StudyOnDisk, tmp_path: Path) -> None:
    train(shape_settings(), study, tmp_path)
    speeds = pd.read_csv(tmp_path / "throughput.csv")
    assert list(speeds) == ["epoch", "items_per_second", "waited_for_data"]
    assert speeds["epoch"].tolist() == [1, 2, 3]
    assert (speeds["items_per_second"] > 0).all()
    assert speeds["waited_for_data"].between(0, 1).all()
    assert not {"items_per_second", "waited_for_data"} & set(metrics(tmp_path))
    (events,) = (tmp_path / "tensorboard").rglob("events.*")
    logged = EventAccumulator(str(events)).Reload()
    columns = {*metrics(tmp_path), *speeds} - {"epoch"}
    assert columns <= set(logged.Tags()["scalars"])
    assert [event.step for event in logged.Scalars("effective_rank")] == [1, 2, 3]


def test_the_clock_counts_items_and_the_share_of_time_that_was_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    class Source:
        waited = 1.0

    now = [100.0]
    monkeypatch.setattr("phenoloom.training.epoch_metrics.time.monotonic", lambda: now[0])
    source = Source()
    clock = Throughput(source)
    for _ in range(4):
        now[0] += 2.0
        source.waited += 0.5
        clock.count(10)
    # Validation comes after the last step and is not measured.
    now[0] += 50.0
    assert clock.read() == {"items_per_second": 5.0, "waited_for_data": 0.25}


def outcome(loss: float, **parts: float) -> Outcome:
    terms = {name: torch.tensor(value) for name, value in parts.items()}
    return Outcome(torch.tensor(loss), torch.empty(0), parts=terms)


def test_means_weigh_batches_by_their_items() -> None:
    sums: dict[str, torch.Tensor] = {}
    add_outcome(sums, "train", outcome(1.0, commitment=4.0), 6)
    add_outcome(sums, "train", outcome(3.0, commitment=0.0), 2)
    add_outcome(sums, "val", outcome(5.0, commitment=1.0), 4)
    expected = {"train_loss": 1.5, "train_commitment": 3.0, "val_loss": 5.0, "val_commitment": 1.0}
    assert means(sums) == pytest.approx(expected)


def test_the_use_of_a_codebook_is_that_of_validation() -> None:
    sums: dict[str, torch.Tensor] = {}
    for stage, codes in (("train", [8, 0, 0, 0]), ("val", [2, 2, 0, 0]), ("val", [0, 0, 4, 0])):
        counted = replace(outcome(1.0), codes=torch.tensor(codes, dtype=torch.float64))
        add_outcome(sums, stage, counted, 4)
    row = means(sums)
    assert row["codes_in_use"] == 3
    # Shares of 1/4, 1/4 and 1/2 have an entropy of 3/2 bits.
    assert row["perplexity"] == pytest.approx(2**1.5)
