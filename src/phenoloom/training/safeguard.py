"""A watch over trainings that fail: it ends a failed one, and leaves its last good state for a rerun."""

from __future__ import annotations

from torch import Tensor

from ..config.training import Collapse, Training
from ..nets import collective as distributed
from .collapse import all_finite, collapse_error, non_finite_error, under_floors
from .epoch_metrics import Metrics
from .resume import Progress, ResumeFolder, State


class Safeguard:
    """The states that a training saves, and the checks by which it trusts them.

    All processes of a training call it alike; the first one moves the files.

    Attributes:
        name: Name of the training in messages.
        resume: Where the state is saved.
    """

    def __init__(self, name: str, training: Training, floors: Collapse, resume: ResumeFolder) -> None:
        """Watch a training with these settings; `floors` say when it counts as collapsed."""
        self.name, self.resume = name, resume
        self._training, self._floors = training, floors
        self._proven = True

    def load(self) -> State | None:
        """Return the last saved state, or None where training starts anew."""
        state = self.resume.load()
        if state is not None:
            self._proven = not self.resume.has_good
        return state

    def save(self, state: State) -> None:
        """Write the state, which all processes share, in the first of them."""
        if _first():
            self.resume.save(state)

    def set_aside(self, progress: Progress) -> None:
        """Keep the last state beside the next one, because no loss has shown yet whether the last update was good."""
        if progress.collapsed == 0 and _first():
            self.resume.set_aside()
        self._proven = False

    def under_floors(self, row: Metrics) -> list[str]:
        """Return the figures of an epoch that lie under their floor, in words; empty where floors do not count."""
        return under_floors(row, self._floors) if self._floors.epochs else []

    def refuse_non_finite(self, progress: Progress, *values: Tensor) -> None:
        """Check values of the current epoch, and trust the last state where they are finite.

        Raises:
            TrainingFailedError: A value is not finite; a state that was not trusted yet is put back.
        """
        if all_finite(values):
            if not self._proven and progress.collapsed == 0 and _first():
                self.resume.forget_good()
            self._proven = True
            return
        if not self._proven and _first():
            self.resume.go_back()
        raise non_finite_error(self.name, progress.epoch + 1, self._training, self.resume.outlook())

    def refuse_collapse(self, progress: Progress, row: Metrics, under: list[str]) -> None:
        """Count epochs under a floor, after one that is over.

        Args:
            progress: The progress, in which they are counted.
            row: Metrics of the epoch.
            under: Its figures under a floor (`under_floors`).

        Raises:
            TrainingFailedError: The training has collapsed; the last state from before that is put back.
        """
        if not under:
            progress.collapsed = 0
            if _first():
                self.resume.forget_good()
            return
        if progress.collapsed == 0 and _first():
            self.resume.set_aside()
        progress.collapsed += 1
        last = progress.epoch == self._training.epochs or progress.stale >= self._training.patience
        # Weights of a collapsed epoch are no result, even after few such epochs.
        if progress.collapsed >= self._floors.epochs or (last and progress.best_epoch == 0):
            if _first():
                self.resume.go_back()
            raise collapse_error(self.name, row, under, progress.collapsed, self.resume.outlook())


def _first() -> bool:
    return distributed.rank() == 0
