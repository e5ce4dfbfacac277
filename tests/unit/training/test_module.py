"""Parts of batches, clipped gradients, averages of weights and killed runs, in whole trainings."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.helpers.python import run_module
from tests.helpers.studies import StudyOnDisk, image_settings, made_by, shape_settings
from tests.helpers.training import Killed, kill_after, task_of, train

from phenoloom.config.image_objectives import Contrast
from phenoloom.config.model import ImageModel
from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.config.training import RunOptions, Training
from phenoloom.data.loader import Loader
from phenoloom.embedding.embed import embed
from phenoloom.embedding.representation import Encoder, Representation
from phenoloom.models.checkpoint import load_objective, read_card
from phenoloom.objectives.contrast import Contrasted
from phenoloom.objectives.mae import MaskedAutoencoder
from phenoloom.training import compile as computing
from phenoloom.training import module as training
from phenoloom.training.dataset import read_training_set
from phenoloom.training.module import Pretraining
from phenoloom.training.optim import Schedules

EVERYTHING: dict[str, Any] = {
    "optimizer": "lamb",
    "betas": (0.8, 0.95),
    "learning_rate": 0.01,
    "final_learning_rate": 0.001,
    "final_weight_decay": 0.3,
    "accumulate": 2,
    "ema": 0.8,
    "patience": 1,
    "epochs": 4,
}

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


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_gradients_of_parts_have_the_loss_curve_of_the_whole_batch(
    parts: int, study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(mae(optimizer="sgd", learning_rate=0.1), study, tmp_path / "whole")
    sizes: list[int] = []
    original = MaskedAutoencoder.forward

    def counted(self: MaskedAutoencoder, inputs: torch.Tensor, *arguments: Any) -> Any:
        if self.training:
            sizes.append(len(inputs))
        return original(self, inputs, *arguments)

    monkeypatch.setattr(MaskedAutoencoder, "forward", counted)
    train(mae(optimizer="sgd", learning_rate=0.1, accumulate=parts), study, tmp_path / "parts")
    # 20 rows are batches of 7, 7 and 6, and no part has fewer than two.
    expected = {2: [4, 3, 4, 3, 3, 3], 4: [3, 2, 2, 3, 2, 2, 2, 2, 2]}[parts]
    assert sizes == expected * 3
    pd.testing.assert_frame_equal(metrics(tmp_path / "parts"), metrics(tmp_path / "whole"), rtol=1e-4)


def test_parts_of_a_batch_keep_the_keys_of_their_items(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    original = Contrasted.forward

    def watched(self: Contrasted, inputs: torch.Tensor, generator: Any = None, keys: Any = None) -> Any:
        seen.append((len(inputs), len(keys)))
        return original(self, inputs, generator, keys)

    monkeypatch.setattr(Contrasted, "forward", watched)
    plain = mae(accumulate=2)
    model = plain.model.model_copy(update={"contrast": Contrast(pairs="labels")})
    again = RunOptions(gradient_checkpointing=True)
    train(plain.model_copy(update={"model": model}), study, tmp_path, again)
    assert seen
    assert all(rows == keys for rows, keys in seen)
    assert {"train_contrast", "val_contrast"} <= set(metrics(tmp_path))


def test_parts_of_a_batch_in_half_precision_have_nearly_the_curve_of_single_precision(
    study: StudyOnDisk, tmp_path: Path
) -> None:
    for precision in ("float32", "bf16"):
        settings = mae(accumulate=2, optimizer="sgd", learning_rate=0.1, precision=precision)
        train(settings, study, tmp_path / precision, RunOptions(gradient_checkpointing=True))
    half, single = (metrics(tmp_path / name)["train_loss"] for name in ("bf16", "float32"))
    np.testing.assert_allclose(half, single, rtol=0.02)
    assert (half != single).all()


@pytest.mark.parametrize("optimizer", ["adamw", "lamb", "sgd"])
def test_gradients_are_clipped_in_either_precision_whatever_the_optimiser(
    optimizer: str, study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    original = Pretraining.on_train_batch_end

    def watched(self: Pretraining, *arguments: Any) -> None:
        gradients = [p.grad.flatten() for p in self.objective.parameters() if p.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
        original(self, *arguments)

    monkeypatch.setattr(Pretraining, "on_train_batch_end", watched)
    for precision in ("float32", "bf16"):
        norms.clear()
        train(mae(optimizer=optimizer, precision=precision, gradient_clip=0.01), study, tmp_path / precision)
        assert norms == pytest.approx([0.01] * len(norms), rel=1e-3)
        assert len(norms) == 9


def test_parts_of_one_item_are_refused_when_the_model_is_read() -> None:
    with pytest.raises(ValueError, match="at least two items in a part, found 5 parts of a `batch_size` of 8"):
        Training(batch_size=8, accumulate=5)


def test_the_average_of_the_weights_is_validated_saved_and_embedded_with_and_moves_no_step(
    study: StudyOnDisk, tmp_path: Path
) -> None:
    settings = mae(ema=0.9, learning_rate=0.01)
    train(mae(learning_rate=0.01), study, tmp_path / "without")
    train(settings, study, tmp_path / "with")
    without, found = metrics(tmp_path / "without"), metrics(tmp_path / "with")
    assert without["train_loss"].equals(found["train_loss"])
    assert (without["val_loss"] != found["val_loss"]).all()
    card = read_card(tmp_path / "with")
    data = read_training_set(task_of(settings), study.input())
    objective = load_objective(tmp_path / "with", card)
    with Loader(data.source, 1) as loader, torch.no_grad():
        (batch,) = loader.batches([data.validation])
        inputs = data.normaliser(batch)
        assert float(objective(inputs).loss) == pytest.approx(card.validation_loss, rel=1e-5)
        vectors = objective.embed(inputs).numpy()
    output = tmp_path / "vectors.parquet"
    embed(Representation("v", Encoder(tmp_path / "with", "fold-0")), study.input(), output, made_by(), 1)
    table = pd.read_parquet(output).set_index("Metadata_id").filter(regex=r"^v_\d")
    np.testing.assert_allclose(table.loc[data.table["id"].iloc[data.validation]], vectors, atol=1e-4)


def test_an_average_of_the_weights_of_dino_is_refused() -> None:
    with pytest.raises(ValueError, match="DINO's teacher does already"):
        ImageModel(view="tiles", objective={"name": "dino"}, training={"ema": 0.9})


RESUMED = {
    "everything": mae(**EVERYTHING),
    "momentum": image_settings(training={**EVERYTHING, "optimizer": "sgd"}, augment={"noise": 0.1}),
    "shapes": shape_settings(training=EVERYTHING),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_killed_run_continues_to_the_same_bits_whatever_is_switched_on(
    name: str, study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RESUMED[name]
    expected = train(settings, study, tmp_path / "whole")
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    for kills in (4, 3):
        with monkeypatch.context() as deadly:
            kill_after(kills, deadly, "training_step")
            with pytest.raises(Killed):
                train(settings, study, tmp_path / "killed")
    assert train(settings, study, tmp_path / "killed") == expected


def test_kill_9_loses_nothing_of_optimiser_and_average(study: StudyOnDisk, tmp_path: Path) -> None:
    settings = RESUMED["everything"]
    expected = train(settings, study, tmp_path / "whole")
    output = tmp_path / "killed"
    arguments = ["pretrain", settings.canonical(), str(study.folder), str(output), "6"]
    done = run_module("tests.helpers.killed_training", *arguments)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert train(settings, study, output) == expected


def test_blocks_computed_again_change_no_byte_of_a_model_and_may_be_switched_on_in_the_middle(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, again = image_settings(), RunOptions(gradient_checkpointing=True)
    expected = train(settings, study, tmp_path / "plain")
    assert train(settings, study, tmp_path / "again", again) == expected
    with monkeypatch.context() as deadly:
        kill_after(4, deadly, "training_step")
        with pytest.raises(Killed):
            train(settings, study, tmp_path / "killed")
    assert train(settings, study, tmp_path / "killed", again) == expected


def test_a_compiled_training_that_is_killed_continues_to_the_same_bits(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "BACKEND", "aot_eager")
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    settings, compiled = mae(**EVERYTHING), RunOptions(compile=True)
    expected = train(settings, study, tmp_path / "whole", compiled)
    with monkeypatch.context() as deadly:
        kill_after(4, deadly, "training_step")
        with pytest.raises(Killed):
            train(settings, study, tmp_path / "killed", compiled)
    assert train(settings, study, tmp_path / "killed", compiled) == expected


def test_settings_of_a_training_survive_their_canonical_text() -> None:
    assert PretrainSettings.parse(mae(**EVERYTHING).canonical()) == mae(**EVERYTHING)


def test_the_rate_and_the_decay_of_a_training_are_those_of_its_schedules(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = mae(**EVERYTHING)
    seen: list[tuple[float, float, float]] = []
    original = Pretraining.on_train_batch_end

    def watched(self: Pretraining, *arguments: Any) -> None:
        original(self, *arguments)
        decayed, rest = self.trainer.optimizers[0].param_groups
        seen.append((decayed["lr"], decayed["weight_decay"], rest["weight_decay"]))

    monkeypatch.setattr(Pretraining, "on_train_batch_end", watched)
    train(settings, study, tmp_path)
    plan = Schedules(settings.model.training, 3)
    assert seen == [(plan.learning_rate(i), plan.weight_decay(i), 0.0) for i in range(len(seen))]
    curve = metrics(tmp_path)
    assert curve["weight_decay"].tolist() == pytest.approx([plan.weight_decay(3 * i + 2) for i in range(len(curve))])
