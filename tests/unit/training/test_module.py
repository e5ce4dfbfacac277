"""Optimisers, averages, parts of batches, monitors and collapse, in whole trainings."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.helpers.python import run_module
from tests.helpers.studies import StudyOnDisk, image_settings, made_by, shape_settings
from tests.helpers.training import Killed, kill_after, train

from phenoloom.config.image_objectives import DINO, Contrast
from phenoloom.config.model import ImageModel
from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.config.training import Collapse, RunOptions, Training
from phenoloom.core.errors import PhenoloomError
from phenoloom.data.loader import Loader
from phenoloom.embedding.embed import embed
from phenoloom.embedding.representation import Encoder, Representation
from phenoloom.models.checkpoint import load_objective, read_card
from phenoloom.objectives.contrast import Contrasted
from phenoloom.objectives.mae import MaskedAutoencoder
from phenoloom.training import compile as computing
from phenoloom.training import module as training
from phenoloom.training.collapse import under_floors
from phenoloom.training.dataset import read_training_set
from phenoloom.training.epoch_metrics import Throughput
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
def test_gathered_gradients_of_parts_have_the_loss_curve_of_the_whole_batch(
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
    data = read_training_set(settings, study.input())
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
    assert f"kept in {tmp_path / 'resume' / settings.digest()}, and a rerun goes on" in str(stopped.value)
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
    ("figures", "told"),
    [
        ({}, []),
        ({"effective_rank": 1.0}, ["effective rank 1 (training.collapse.least_rank 1.1)"]),
        ({"embedding_spread": 0.0}, ["spread 0 (training.collapse.least_spread 0.0001)"]),
        ({"perplexity": 1.0}, [CODES]),
        ({"perplexity": 1.01}, []),
        ({"train_teacher_information": 0.0}, [CODES]),
    ],
)
def test_figures_under_their_floors_are_told(figures: dict[str, float], told: list[str]) -> None:
    row = {"effective_rank": 5.0, "embedding_spread": 0.5, **figures}
    assert under_floors(row, Collapse()) == told
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
    monkeypatch.setattr(training, "under_floors", lambda *_: ["nothing"] * next(flags))
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
    # Step 7 (of three an epoch) made nonsense, and the state after it was saved before a loss could tell.
    assert (state["progress"]["epoch"], state["progress"]["step"]) == (2, 1)
    assert [path.name for path in (tmp_path / "stopped" / "resume" / settings.digest()).iterdir()] == ["state.pt"]
    assert train(settings, study, tmp_path / "stopped") == expected


def test_neighbours_of_held_out_groups_are_told_and_never_those_of_test_groups(tmp_path: Path) -> None:
    settings = shape_settings(training={"validation_fraction": 0.5, "epochs": 2})
    clean, soiled = (StudyOnDisk(tmp_path / name, wells=16, per_well=6) for name in ("clean", "soiled"))
    for row in soiled.rows:
        if int(row["well"][1:]) % 4 == 0:
            row["label"] = "nonsense"
    pq.write_table(pa.Table.from_pylist(soiled.rows), soiled.index)
    assert train(settings, clean, tmp_path / "a") == train(settings, soiled, tmp_path / "b")
    told = metrics(tmp_path / "a")["knn_accuracy"]
    assert told.between(0, 1).all()
    for row in soiled.rows:
        row["label"] = None
    table = pa.Table.from_pylist(soiled.rows)
    unlabelled = table.set_column(table.schema.get_field_index("label"), "label", pa.nulls(len(table), pa.string()))
    pq.write_table(unlabelled, soiled.index)
    without = train(settings, soiled, tmp_path / "c")
    assert "knn_accuracy" not in metrics(tmp_path / "c")
    # Labels are told of, and never learned from.
    assert without["model.safetensors"] == (tmp_path / "a" / "model.safetensors").read_bytes()


def test_times_are_told_apart_from_results(study: StudyOnDisk, tmp_path: Path) -> None:
    train(shape_settings(), study, tmp_path)
    speeds = pd.read_csv(tmp_path / "throughput.csv")
    assert list(speeds) == ["epoch", "items_per_second", "waited_for_data"]
    assert speeds["epoch"].tolist() == [1, 2, 3]
    assert (speeds["items_per_second"] > 0).all()
    assert speeds["waited_for_data"].between(0, 1).all()
    assert not {"items_per_second", "waited_for_data"} & set(metrics(tmp_path))
    (events,) = (tmp_path / "tensorboard").rglob("events.*")
    told = EventAccumulator(str(events)).Reload()
    columns = {*metrics(tmp_path), *speeds} - {"epoch"}
    assert columns <= set(told.Tags()["scalars"])
    assert [event.step for event in told.Scalars("effective_rank")] == [1, 2, 3]


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


def test_the_loader_tells_how_long_it_was_waited_for(study: StudyOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_training_set(shape_settings(), study.input("shapes"))
    ticks = iter(range(1000))
    monkeypatch.setattr("phenoloom.data.loader.time.monotonic", lambda: float(next(ticks)))
    with Loader(data.source, 1) as loader:
        assert len(list(loader.batches([np.arange(4), np.arange(4)]))) == 2
        assert loader.waited == 2.0


def test_settings_of_earlier_models_keep_their_digest() -> None:
    assert image_settings().digest()[:16] == "145c79f174eaccf0"
    assert shape_settings().digest()[:16] == "53cdad3f397a2b04"
    assert image_settings(training={"ema": 0.5}).digest() != image_settings().digest()
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
