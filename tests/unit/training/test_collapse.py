"""Trainings that collapse or lose their values: they stop, and leave the last good state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tests.helpers.studies import StudyOnDisk, image_settings, shape_settings
from tests.helpers.training import train

from phenoloom.config.image_objectives import DINO
from phenoloom.config.model import ImageModel
from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.config.training import Collapse, RunOptions
from phenoloom.core.errors import PhenoloomError
from phenoloom.models.checkpoint import read_card
from phenoloom.training import module as training
from phenoloom.training import safeguard
from phenoloom.training.collapse import under_floors
from phenoloom.training.optim import Schedules

pytestmark = pytest.mark.usefixtures("same_threads")


def mae(**changes: Any) -> PretrainSettings:
    """A small masked autoencoder, whose loss of a tile does not depend on the other tiles of its batch."""
    chosen = {"epochs": 3, "batch_size": 8, "warmup_epochs": 1, "threads": 1, "precision": "float32"}
    objective = {"name": "mae", "decoder_width": 32, "decoder_depth": 1}
    vit = {"encoder": "vit-tiny", "width": 32, "depth": 2, "patch": 8, "input_size": 32, "latent": 16}
    model = ImageModel(view="tiles", **vit, objective=objective, augment={"noise": 0.1}, training={**chosen, **changes})
    return image_settings().model_copy(update={"model": model, "model_name": "mae"})


def metrics(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics.csv")


COLLAPSING = {"learning_rate": 0.1, "weight_decay": 9.0, "epochs": 30, "warmup_epochs": 4, "patience": 30}
"""A decay that shrinks every weight to nothing, after some epochs of a smaller rate."""


@pytest.mark.parametrize("kind", ["tiles", "shapes"])
def test_a_training_whose_vectors_become_equal_stops_and_leaves_the_state_from_before(
    kind: str, study: StudyOnDisk, tmp_path: Path
) -> None:
    settings = mae(**COLLAPSING) if kind == "tiles" else shape_settings(training=COLLAPSING)
    options = RunOptions(collapse=Collapse(epochs=3))
    with pytest.raises(PhenoloomError, match=r"the embedding has collapsed: after 3 epochs under a floor") as stopped:
        train(settings, study, tmp_path, options)
    state = torch.load(tmp_path / "resume" / settings.digest() / "state.pt", weights_only=True)
    assert f"kept in {tmp_path / 'resume' / settings.digest()}, and a rerun continues" in str(stopped.value)
    history = state["progress"]["history"]
    assert state["progress"]["collapsed"] == 0
    assert 0 < len(history) < 27
    # A dip that a later epoch makes up for is no collapse; the state is that of an epoch without one.
    assert history[-1]["embedding_spread"] >= 1e-4
    assert history[-1]["effective_rank"] >= 1.1
    assert f"epoch {len(history) + 3} has " in str(stopped.value)
    assert not (tmp_path / "model.yaml").exists()
    assert [path.name for path in (tmp_path / "resume" / settings.digest()).iterdir()] == ["state.pt"]
    # A rerun goes on from there, to the same end.
    with pytest.raises(PhenoloomError) as again:
        train(settings, study, tmp_path, options)
    assert str(again.value) == str(stopped.value)


@pytest.mark.parametrize("kind", ["one output for all", "all outputs alike"])
def test_self_distillation_without_its_guards_collapses_and_stops(
    kind: str, study: StudyOnDisk, tmp_path: Path
) -> None:
    # The teacher is the student, and nothing centres it; then its temperature decides what becomes of it.
    temperature = 0.1 if kind == "one output for all" else 1.0
    guards = {"centre_momentum": 1.0, "momentum": 0.0, "frozen_epochs": 0}
    guards |= dict.fromkeys(("teacher_temperature", "first_teacher_temperature"), temperature)
    small = {"prototypes": 16, "hidden": 32, "bottleneck": 16, "local_size": 16, "local_crops": 2}
    plain = mae(epochs=12, learning_rate=1e-3, warmup_epochs=2)
    options = RunOptions(collapse=Collapse(epochs=2))
    for name, objective in {"guarded": small, "free": {**small, **guards}}.items():
        settings = plain.model_copy(
            update={"model": plain.model.model_copy(update={"objective": DINO(name="dino", **objective)})}
        )
        if name == "guarded":
            assert "model.yaml" in train(settings, study, tmp_path / name, options)
            continue
        with pytest.raises(PhenoloomError, match=r"collapsed: after 2 epochs .* information of the codes in nats"):
            train(settings, study, tmp_path / name, options)
        assert not (tmp_path / name / "model.yaml").exists()


CODES = "information of the codes in nats 0 (training.collapse.least_information 0.0001)"


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, []),
        ({"effective_rank": 1.0}, ["effective rank 1 (training.collapse.least_rank 1.1)"]),
        ({"embedding_spread": 0.0}, ["spread 0 (training.collapse.least_spread 0.0001)"]),
        ({"perplexity": 1.0}, [CODES]),
        ({"perplexity": 1.01}, []),
        ({"train_teacher_information": 0.0}, [CODES]),
    ],
)
def test_figures_under_their_floors_are_named(figures: dict[str, float], expected: list[str]) -> None:
    row = {"effective_rank": 5.0, "embedding_spread": 0.5, **figures}
    assert under_floors(row, Collapse()) == expected
    assert under_floors(row, Collapse(least_rank=0, least_spread=0, least_information=0)) == []


def test_a_collapse_that_is_allowed_ends_with_the_last_living_weights(study: StudyOnDisk, tmp_path: Path) -> None:
    settings = mae(**{**COLLAPSING, "epochs": 14})
    train(settings, study, tmp_path, RunOptions(collapse=Collapse(epochs=14, least_spread=1e-2)))
    card, curve = read_card(tmp_path), metrics(tmp_path)
    assert curve["embedding_spread"].iloc[-1] < 1e-2
    assert curve["embedding_spread"][card.best_epoch - 1] >= 1e-2
    train(settings, study, tmp_path / "never", RunOptions(collapse=Collapse(epochs=0)))
    assert metrics(tmp_path / "never")["val_loss"].equals(curve["val_loss"])


def test_a_training_without_one_living_epoch_is_refused(study: StudyOnDisk, tmp_path: Path) -> None:
    options = RunOptions(collapse=Collapse(epochs=9, least_rank=1e6))
    with pytest.raises(PhenoloomError, match="there is no good state before that, and a rerun starts anew"):
        train(shape_settings(), study, tmp_path, options)
    assert not list(tmp_path.glob("resume/*/*.pt"))


def test_a_training_that_recovers_goes_on(study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train(shape_settings(training={"epochs": 5}), study, tmp_path / "whole")
    flags = iter([False, True, True, False, True])
    monkeypatch.setattr(safeguard, "under_floors", lambda *_: ["nothing"] * next(flags))
    found = train(
        shape_settings(training={"epochs": 5}), study, tmp_path / "found", RunOptions(collapse=Collapse(epochs=3))
    )
    assert found["metrics.csv"] == expected["metrics.csv"]
    assert read_card(tmp_path / "found").best_epoch == 4


def test_a_loss_that_is_no_number_leaves_the_last_good_state(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = shape_settings(training={"epochs": 5, "gradient_clip": 1e30})
    expected = train(settings, study, tmp_path / "whole")
    original = Schedules.learning_rate
    with monkeypatch.context() as patch:
        patch.setattr(Schedules, "learning_rate", lambda self, step: 1e30 if step == 7 else original(self, step))
        patch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
        with pytest.raises(PhenoloomError, match="the loss is not finite in epoch 3"):
            train(settings, study, tmp_path / "stopped")
    state = torch.load(tmp_path / "stopped" / "resume" / settings.digest() / "state.pt", weights_only=True)
    assert all(bool(torch.isfinite(value).all()) for value in state["objective"].values())
    # Step 7 (of three an epoch) made nonsense, and the state after it was saved before a loss could show it.
    assert (state["progress"]["epoch"], state["progress"]["step"]) == (2, 1)
    assert [path.name for path in (tmp_path / "stopped" / "resume" / settings.digest()).iterdir()] == ["state.pt"]
    assert train(settings, study, tmp_path / "stopped") == expected
