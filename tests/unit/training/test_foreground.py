from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.studies import StudyOnDisk, image_settings, shape_settings

from phenoloom.training import module as training
from phenoloom.training.batches import TrainingData
from phenoloom.training.module import Pretraining
from phenoloom.training.pretrain import pretrain

OUTPUTS = ("model.safetensors", "metrics.csv", "model.yaml")


class Killed(BaseException):
    """What kill -9 leaves behind."""


def run(exponent: float, study: StudyOnDisk, output: Path) -> dict[str, bytes]:
    settings = image_settings(training={"foreground_exponent": exponent, "learning_rate": 0.001})
    pretrain(settings, study.index, study.folds, study.tiles, output)
    return {name: (output / name).read_bytes() for name in OUTPUTS}


def test_training_takes_tiles_by_their_foreground_and_validation_each_once(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Counter[int]] = []
    data: list[TrainingData] = []
    original = TrainingData.order

    def told(self: TrainingData, *arguments: Any) -> Any:
        plan = original(self, *arguments)
        taken.append(Counter(int(row) for batch in plan for row in batch))
        data.append(self)
        return plan

    monkeypatch.setattr(TrainingData, "order", told)
    run(1.0, study, tmp_path / "m")
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


def test_a_killed_run_continues_to_the_same_bits(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(2.0, study, tmp_path / "whole")
    assert whole["model.safetensors"] != run(0.0, study, tmp_path / "plain")["model.safetensors"]
    original, calls = Pretraining.training_step, 0

    def dying(self: Pretraining, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise Killed
        return original(self, *arguments)

    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", dying)
        with pytest.raises(Killed):
            run(2.0, study, tmp_path / "killed")
    assert run(2.0, study, tmp_path / "killed") == whole


def test_contours_have_no_foreground() -> None:
    with pytest.raises(ValueError, match="this model looks at contours"):
        shape_settings(training={"foreground_exponent": 1.0})
