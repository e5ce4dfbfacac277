"""Trainings of small studies, whole or killed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.hardware import Hardware
from phenoloom.config.rule_settings import PretrainSettings, TuneSettings
from phenoloom.config.training import RunOptions
from phenoloom.data.study_input import StudyInput
from phenoloom.training.module import Pretraining
from phenoloom.training.pretrain import pretrain
from phenoloom.training.task import TrainingTask
from tests.helpers.studies import StudyOnDisk

OUTPUTS = ("model.safetensors", "metrics.csv", "model.yaml", "reconstructions.npz")


def task_of(settings: PretrainSettings | TuneSettings) -> TrainingTask:
    """The training that settings of a rule ask for, as the command line makes it of them."""
    made_by = Provenance.of(settings)
    mixture = settings.mixture if isinstance(settings, PretrainSettings) else None
    return TrainingTask(settings.model_name, settings.model, settings.split, settings.seed, made_by, mixture)


def train(
    settings: PretrainSettings,
    study: StudyOnDisk,
    output: Path,
    options: RunOptions | None = None,
    *,
    threads: int = 1,
    others: Sequence[StudyInput] = (),
) -> dict[str, bytes]:
    """Train on a study, and others beside it, and return those of `OUTPUTS` that were written."""
    own = study.input(settings.model.view)
    pretrain(task_of(settings), [own, *others], output, Hardware(threads=threads), options or RunOptions())
    return {name: (output / name).read_bytes() for name in OUTPUTS if (output / name).exists()}


class Killed(BaseException):
    """What kill -9 leaves behind: whatever was on disk at that moment."""


def kill_after(calls: int, patch: pytest.MonkeyPatch, hook: str = "training_step") -> None:
    """Raise `Killed` in place of each call of a method of `Pretraining` after so many."""
    original, made = getattr(Pretraining, hook), 0

    def dying(self: Pretraining, *arguments: Any) -> Any:
        nonlocal made
        made += 1
        if made > calls:
            raise Killed
        return original(self, *arguments)

    patch.setattr(Pretraining, hook, dying)
