"""The states that a failed training leaves: only those that a loss has shown to be good."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from phenoloom.config.training import Collapse, Training
from phenoloom.core.errors import TrainingFailedError
from phenoloom.training.resume import Progress, ResumeFolder
from phenoloom.training.safeguard import Safeguard

BAD = torch.tensor([1.0, math.inf])
UNDER = ["effective rank 1 (training.collapse.least_rank 2)"]
ROW = {"epoch": 1, "effective_rank": 1.0, "embedding_spread": 0.5}


def safeguard(folder: Path, collapse_epochs: int = 2) -> Safeguard:
    resume = ResumeFolder(folder, "digest", "rows")
    return Safeguard("toy fold-0", Training(epochs=9), Collapse(epochs=collapse_epochs), resume)


def saved(folder: Path) -> dict[str, int]:
    """The number in each state on the disk, by file name."""
    found = (folder / "resume" / "digest").glob("*.pt")
    return {path.name: torch.load(path, weights_only=True)["number"] for path in found}


def save_two(one: Safeguard) -> None:
    """Save a good state, and one after an update that no loss has judged."""
    one.save({"number": 1})
    one.set_aside(Progress())
    one.save({"number": 2})


def test_a_state_before_a_loss_that_is_not_finite_is_put_back_unless_a_loss_has_shown_it_to_be_good(
    tmp_path: Path,
) -> None:
    one = safeguard(tmp_path / "at once")
    save_two(one)
    with pytest.raises(TrainingFailedError, match=r"toy fold-0: the loss is not finite in epoch 1.*kept in"):
        one.refuse_non_finite(Progress(), BAD)
    assert saved(tmp_path / "at once") == {"state.pt": 1}
    later = safeguard(tmp_path / "later")
    save_two(later)
    later.refuse_non_finite(Progress(), torch.ones(2))
    assert saved(tmp_path / "later") == {"state.pt": 2}
    with pytest.raises(TrainingFailedError, match="not finite"):
        later.refuse_non_finite(Progress(), BAD)
    assert saved(tmp_path / "later") == {"state.pt": 2}


def test_a_rerun_does_not_trust_a_state_that_was_not_judged_before_the_kill(tmp_path: Path) -> None:
    save_two(safeguard(tmp_path))
    rerun = safeguard(tmp_path)
    state = rerun.load()
    assert state is not None
    assert state["number"] == 2
    with pytest.raises(TrainingFailedError, match="not finite"):
        rerun.refuse_non_finite(Progress(), BAD)
    assert saved(tmp_path) == {"state.pt": 1}


def test_epochs_under_a_floor_are_counted_in_a_row_and_the_state_before_them_is_put_back(tmp_path: Path) -> None:
    one, progress = safeguard(tmp_path), Progress(best_epoch=1)
    one.save({"number": 1})
    one.refuse_collapse(progress, ROW, UNDER)
    one.save({"number": 2})
    assert saved(tmp_path) == {"good.pt": 1, "state.pt": 2}
    one.refuse_collapse(progress, ROW, [])
    assert (progress.collapsed, saved(tmp_path)) == (0, {"state.pt": 2})
    one.refuse_collapse(progress, ROW, UNDER)
    one.save({"number": 3})
    with pytest.raises(TrainingFailedError, match="after 2 epochs under a floor"):
        one.refuse_collapse(progress, ROW, UNDER)
    assert saved(tmp_path) == {"state.pt": 2}


def test_no_epochs_under_a_floor_means_that_floors_do_not_count(tmp_path: Path) -> None:
    assert safeguard(tmp_path).under_floors(ROW)
    assert safeguard(tmp_path, collapse_epochs=0).under_floors(ROW) == []
