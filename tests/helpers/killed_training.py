"""A program that trains or searches, and ends by SIGKILL in the middle.

    python -m tests.helpers.killed_training pretrain|tune SETTINGS STUDY_FOLDER OUTPUT CALLS

`pretrain` ends in place of the training step number CALLS, `tune` after saving a state CALLS times.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from phenoloom.config.hardware import Hardware
from phenoloom.config.rule_settings import PretrainSettings, TuneSettings
from phenoloom.training import module
from phenoloom.training.module import Pretraining
from phenoloom.training.pretrain import pretrain
from phenoloom.training.tune import Search, tune
from tests.helpers.studies import study_input
from tests.helpers.training import task_of


def main(what: str, text: str, folder: str, output: str, calls: str) -> None:
    made, most = 0, int(calls)

    def count() -> None:
        nonlocal made
        made += 1
        if made == most:
            os.kill(os.getpid(), signal.SIGKILL)

    step, save = Pretraining.training_step, Pretraining.save

    def counted_step(self: Pretraining, *arguments: Any) -> Any:
        count()
        return step(self, *arguments)

    def counted_save(self: Pretraining) -> None:
        save(self)
        count()

    if what == "pretrain":
        module.SECONDS_BETWEEN_SAVES = 0.0
        Pretraining.training_step = counted_step  # type: ignore[method-assign]
        settings = PretrainSettings.parse(text)
        pretrain(task_of(settings), [study_input(Path(folder), settings.model.view)], Path(output))
    else:
        Pretraining.save = counted_save  # type: ignore[method-assign]
        search = TuneSettings.parse(text)
        study = study_input(Path(folder), search.model.view)
        tune(
            Search(task_of(search), search.tune),
            study,
            Path(output) / "worker-0.json",
            hardware=Hardware(accelerator="cpu"),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
