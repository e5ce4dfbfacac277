"""The training state on disk, so that a killed job continues where it was."""

from __future__ import annotations

import errno
import math
import os
import pickle
import random
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from .epoch_metrics import Metrics, Speed, Sums

State = dict[str, Any]

PRECISIONS = {"32-true": "float32", "bf16-mixed": "bf16"}
"""Lightning's word for a precision -> the project's."""


@dataclass
class Progress:
    """The progress of a training, as the saved state holds it.

    Attributes:
        epoch: Epochs that are over.
        step: Steps within the current epoch.
        stale: Epochs in a row without a better validation loss.
        collapsed: Epochs in a row under a floor.
        best_epoch: Number of the best epoch, from 1; 0: none yet.
        best_loss: Its validation loss.
        best: Its weights, on the CPU.
        history: Metrics of each epoch.
        speeds: Throughput of each epoch.
        sums: Sums of the current epoch.
        precision: Precision of the steps so far: `float32`, `bf16`, or one `then` the other.
    """

    epoch: int = 0
    step: int = 0
    stale: int = 0
    collapsed: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[Metrics] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)
    sums: Sums = field(default_factory=dict)
    precision: str = ""

    def continue_in(self, precision: str) -> None:
        """Note the precision of the next steps, in Lightning's words, and print it where earlier steps had another."""
        name = PRECISIONS[precision]
        if self.precision.endswith(name):
            return
        if self.precision:
            print(
                f"steps until here were computed in {self.precision}, and this device computes in {name}; set "
                "`training.precision` to one of them where nodes differ",
                file=sys.stderr,
            )
        self.precision = f"{self.precision} then {name}" if self.precision else name


class ResumeFolder:
    """`resume/<digest of the settings>/state.pt` beside a model's outputs; folders of other settings are left alone.

    Until a state is known to be good, the one before it stays beside it as `good.pt`.
    """

    def __init__(self, output: Path, digest: str, fingerprint: str) -> None:
        """Name the files; nothing is made yet.

        Args:
            output: Folder of the model.
            digest: Digest of the settings.
            fingerprint: Digest of the data: a state of the same settings on other rows is not continued.
        """
        self.folder = output / "resume" / digest
        self.path = self.folder / "state.pt"
        self.good = self.folder / "good.pt"
        self.fingerprint = fingerprint

    def save(self, state: State) -> None:
        """Write a state in one step: a kill leaves the old one or the new one, never half of one."""
        content = {"fingerprint": self.fingerprint, "random": _random_state(), **state}
        with atomic_path(self.path) as temporary:
            try:
                torch.save(content, temporary)
            except RuntimeError as error:
                # Whatever keeps torch from writing, its message is about a wrong position.
                if "inline_container" not in str(error):
                    raise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path)) from error

    def load(self) -> State | None:
        """Return the last state, on the CPU, and put the random state back; None where training starts anew.

        Raises:
            PhenoloomError: The file is damaged.
        """
        path = self.path if self.path.is_file() else self.good
        if not path.is_file():
            return None
        try:
            # Tensors, numbers and text only: a state file cannot run code.
            state: State = torch.load(path, map_location="cpu", weights_only=True)
        except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise PhenoloomError(
                f"{path} is damaged ({' '.join(str(error).split())[:200]}); delete it, and training starts "
                f"{'from the state before it' if path == self.path and self.good.is_file() else 'anew'}"
            ) from None
        if state["fingerprint"] != self.fingerprint:
            print(f"{path} was trained on other rows or tiles; training starts anew", file=sys.stderr)
            self.forget_good()
            return None
        _restore_random_state(state["random"])
        return state

    @property
    def has_good(self) -> bool:
        """Return whether a state was set aside."""
        return self.path.is_file() and self.good.is_file()

    def set_aside(self) -> None:
        """Keep the last state beside the next ones, which may turn out to be bad."""
        if self.path.is_file():
            self.path.replace(self.good)

    def forget_good(self) -> None:
        """Delete the state that was set aside, because the last one is good."""
        if self.path.is_file():
            self.good.unlink(missing_ok=True)

    def go_back(self) -> None:
        """Replace the last state by the one that was set aside; without one, delete it."""
        if self.good.is_file():
            self.good.replace(self.path)
        else:
            self.path.unlink(missing_ok=True)

    def outlook(self) -> str:
        """Return where a rerun would begin, in words."""
        if self.path.is_file() or self.good.is_file():
            return f"the last good state is kept in {self.folder}, and a rerun continues from there"
        return "there is no good state before that, and a rerun starts anew"

    def remove(self) -> None:
        """Delete the state, after the outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()


def _random_state() -> State:
    version, internal, gauss = random.getstate()
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 - the global state is what a library might use
    assert isinstance(legacy, dict)
    return {
        "python": [version, list(internal), gauss],
        "numpy": {**legacy, "state": {**legacy["state"], "key": legacy["state"]["key"].tolist()}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore_random_state(state: State) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    legacy = state["numpy"]
    key = np.array(legacy["state"]["key"], np.uint32)
    np.random.set_state({**legacy, "state": {**legacy["state"], "key": key}})  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
