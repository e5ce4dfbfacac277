from __future__ import annotations

import csv
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tests.helpers.python import run_module
from tests.helpers.studies import StudyOnDisk, image_settings, made_by, shape_settings
from tests.helpers.training import OUTPUTS, Killed, kill_after, task_of, train

from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.config.training import Collapse, RunOptions
from phenoloom.core.errors import PhenoloomError
from phenoloom.embedding.embed import embed
from phenoloom.embedding.representation import Encoder, Representation
from phenoloom.models.checkpoint import load_objective, read_card
from phenoloom.training import module as training
from phenoloom.training import pretrain as step
from phenoloom.training.dataset import read_training_set
from phenoloom.training.module import Pretraining

pytestmark = pytest.mark.usefixtures("same_threads")


@pytest.mark.parametrize("settings", [image_settings(), shape_settings()], ids=["tiles", "shapes"])
def test_two_runs_give_the_same_bytes_whatever_threads_and_shards(
    settings: PretrainSettings, study: StudyOnDisk, tmp_path: Path
) -> None:
    first = train(settings, study, tmp_path / "a", threads=1)
    assert train(settings, study, tmp_path / "b", threads=3) == first
    other = StudyOnDisk(tmp_path / "study", wells=8, per_well=4, shards=4)
    assert train(settings, other, tmp_path / "c") == first


@pytest.mark.parametrize("name", ["vae", "vqvae", "mae", "contrast"])
def test_every_objective_of_contours_trains_embeds_and_gives_the_same_bytes_twice(
    name: str, study: StudyOnDisk, tmp_path: Path
) -> None:
    objective = {"name": name} | ({"codes": 8, "code_dim": 4} if name == "vqvae" else {})
    augment = {"stretch": 0.1, "noise": 0.01}
    settings = shape_settings(objective=objective, augment=augment, training={"epochs": 2})
    # Two epochs are too few for a codebook to be in use.
    options = RunOptions(collapse=Collapse(least_information=0))
    for folder in ("a", "b"):
        train(settings, study, tmp_path / folder, options)
    files = [file for file in OUTPUTS if file != "reconstructions.npz" or name != "contrast"]
    first, second = ([(tmp_path / folder / file).read_bytes() for file in files] for folder in ("a", "b"))
    assert first == second
    # A contrast has nothing to show: it has no way back to an outline.
    assert (tmp_path / "a" / "reconstructions.npz").exists() == (name != "contrast")
    with torch.no_grad():
        contours = torch.randn(3, read_card(tmp_path / "a").points or 0, 2)
        assert load_objective(tmp_path / "a", read_card(tmp_path / "a")).embed(contours).shape == (3, 8)


def test_contours_are_augmented_in_training_and_not_in_validation(study: StudyOnDisk, tmp_path: Path) -> None:
    # A learning rate of next to nothing: what differs between the two is what the networks saw.
    training = {"epochs": 1, "learning_rate": 1e-12, "warmup_epochs": 0}
    losses = {}
    for name, augment in {"plain": {}, "augmented": {"stretch": 0.5}}.items():
        train(shape_settings(augment=augment, training=training), study, tmp_path / name)
        with (tmp_path / name / "metrics.csv").open() as file:
            losses[name] = {key: float(value) for key, value in next(csv.DictReader(file)).items()}
    assert abs(losses["augmented"]["train_loss"] / losses["plain"]["train_loss"] - 1) > 0.02
    assert losses["augmented"]["val_loss"] == pytest.approx(losses["plain"]["val_loss"], rel=0.02)


def test_the_card_says_what_the_model_was_trained_on(study: StudyOnDisk, tmp_path: Path) -> None:
    settings = image_settings()
    train(settings, study, tmp_path)
    card = read_card(tmp_path)
    assert (card.split, card.seed, card.settings_sha256) == ("fold-0", 0, settings.digest())
    assert (card.channels, card.points, card.model) == (["DNA", "actin"], None, settings.model)
    # Wells 0 and 4 are tested; one of the other six is held out.
    assert (card.train_groups, card.validation_groups, card.train_rows, card.validation_rows) == (5, 1, 20, 4)
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert metrics["epoch"].tolist() == [1, 2, 3]
    assert metrics["val_loss"].min() == pytest.approx(card.validation_loss)
    assert metrics["epoch"][metrics["val_loss"].idxmin()] == card.best_epoch
    assert np.isfinite(metrics).all(axis=None)
    assert metrics["perplexity"].between(1, metrics["codes_in_use"]).all()
    assert not (tmp_path / "resume").exists()
    assert list((tmp_path / "tensorboard").rglob("events.*"))


def test_reconstructions_of_validation_rows_are_kept_for_the_report(study: StudyOnDisk, tmp_path: Path) -> None:
    train(shape_settings(), study, tmp_path)
    with np.load(tmp_path / "reconstructions.npz", allow_pickle=False) as examples:
        assert examples["inputs"].shape == examples["outputs"].shape == (4, 32, 2)
        assert examples["inputs"].dtype == np.float16
        assert np.allclose(np.sqrt((examples["inputs"].astype(float) ** 2).sum(2).mean(1)), 1, atol=1e-2)


@pytest.mark.parametrize("make", [image_settings, shape_settings], ids=["tiles", "shapes"])
def test_another_draw_trains_other_weights_on_the_same_rows(make: Any, study: StudyOnDisk, tmp_path: Path) -> None:
    cards = []
    for seed in (0, 1, 1):
        folder = tmp_path / f"{len(cards)}"
        train(make(training={"seed": seed}), study, folder)
        cards.append((read_card(folder), (folder / "model.safetensors").read_bytes()))
    (first, weights), (second, others), (_, again) = cards
    assert weights != others == again
    assert first.initial_seed != second.initial_seed
    assert (first.train_rows, first.validation_rows, first.seed) == (
        second.train_rows,
        second.validation_rows,
        second.seed,
    )


@pytest.mark.parametrize("make", [image_settings, shape_settings], ids=["tiles", "shapes"])
def test_test_groups_change_nothing_in_the_model(make: Any, tmp_path: Path) -> None:
    clean, soiled = (StudyOnDisk(tmp_path / name, wells=8, per_well=3) for name in ("clean", "soiled"))
    for row in soiled.rows:
        if row["well"] in {"W00", "W04"}:
            row["channel_mean"] = [1.0, 1.0]
            row["position"] = 0
    # Without its test rows, the stores of the second study could not even be read at those places.
    pq.write_table(pa.Table.from_pylist(soiled.rows), soiled.index)
    settings = make()
    assert train(settings, clean, tmp_path / "a") == train(settings, soiled, tmp_path / "b")
    data = read_training_set(task_of(settings), soiled.input(settings.model.view))
    assert not set(data.table["well"]) & {"W00", "W04"}
    assert set(data.train).isdisjoint(data.validation)


# Patience 1 and three steps an epoch: the best weights, the stale epochs and the order within an epoch all matter.
RESUMED = image_settings(training={"epochs": 4, "patience": 1, "learning_rate": 0.01}, augment={"noise": 0.1})


@pytest.fixture(scope="module")
def uninterrupted(study: StudyOnDisk, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return train(RESUMED, study, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    ("hook", "count", "seconds"),
    [
        pytest.param("training_step", 1, 0.0, id="in the first epoch"),
        pytest.param("training_step", 4, 0.0, id="within a later epoch"),
        pytest.param("training_step", 5, 1e9, id="within an epoch, saved at its start only"),
        pytest.param("validation_step", 1, 0.0, id="in validation"),
        pytest.param("on_train_epoch_end", 1, 1e9, id="at the end of an epoch"),
    ],
)
def test_a_killed_run_continues_to_the_same_bits(
    hook: str, count: int, seconds: float, study: StudyOnDisk, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "SECONDS_BETWEEN_SAVES", seconds)
        with pytest.MonkeyPatch.context() as deadly:
            kill_after(count, deadly, hook)
            with pytest.raises(Killed):
                train(RESUMED, study, tmp_path)
        assert not (tmp_path / "model.yaml").exists()
        (tmp_path / ".model.safetensors.abcd1234").touch()
        assert train(RESUMED, study, tmp_path) == uninterrupted
    assert {path.name for path in tmp_path.iterdir()} == {*OUTPUTS, "throughput.csv", "tensorboard"}


def test_a_run_killed_between_its_outputs_writes_them_again(
    study: StudyOnDisk, uninterrupted: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(step, "save_card", dying)
        with pytest.raises(Killed):
            train(RESUMED, study, tmp_path)
    steps: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "on_train_batch_end", lambda *_: steps.append(1))
        assert train(RESUMED, study, tmp_path) == uninterrupted
    assert steps == []


def test_a_job_that_is_asked_to_end_saves_its_state_first(
    study: StudyOnDisk, uninterrupted: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    original, save = Pretraining.training_step, Pretraining.save

    def asked(self: Pretraining, *arguments: Any) -> torch.Tensor:
        if (self.progress.epoch, self.progress.step) == (1, 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)

    def counted(self: Pretraining) -> None:
        saved.append(self.progress.step)
        save(self)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", asked)
        patch.setattr(Pretraining, "save", counted)
        with pytest.raises(SystemExit) as ended:
            train(RESUMED, study, tmp_path)
    assert ended.value.code == 143
    assert saved == [0, 1]
    assert train(RESUMED, study, tmp_path) == uninterrupted


def test_kill_9_loses_nothing(study: StudyOnDisk, uninterrupted: dict[str, bytes], tmp_path: Path) -> None:
    arguments = ["pretrain", RESUMED.canonical(), str(study.folder), str(tmp_path), "6"]
    done = run_module("tests.helpers.killed_training", *arguments)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "resume" / RESUMED.digest() / "state.pt").is_file()
    assert train(RESUMED, study, tmp_path) == uninterrupted


def test_a_state_of_other_data_is_not_continued_and_other_settings_are_left_alone(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = image_settings()
    foreign = tmp_path / "model" / "resume" / "0123" / "state.pt"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"of other settings")
    with monkeypatch.context() as patch:
        kill_after(1, patch, "on_train_epoch_end")
        with pytest.raises(Killed):
            train(settings, study, tmp_path / "model")
    other = StudyOnDisk(tmp_path / "other", wells=8, per_well=5)
    expected = train(settings, other, tmp_path / "expected")
    assert train(settings, other, tmp_path / "model") == expected
    assert "training starts anew" in capsys.readouterr().err
    assert foreign.read_bytes() == b"of other settings"
    assert list((tmp_path / "model" / "resume").iterdir()) == [foreign.parent]


def test_training_stops_when_validation_no_longer_improves(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    original = Pretraining._close_epoch
    monkeypatch.setattr(Pretraining, "_close_epoch", lambda self: {**original(self), "val_loss": next(losses)})
    train(shape_settings(training={"epochs": 5, "patience": 2}), study, tmp_path)
    card = read_card(tmp_path)
    assert (card.epochs_run, card.best_epoch, card.validation_loss) == (4, 2, 2.0)


def test_a_loss_that_is_not_finite_stops_with_a_sentence(study: StudyOnDisk, tmp_path: Path) -> None:
    settings = image_settings(training={"learning_rate": 1e30, "gradient_clip": 1e30, "warmup_epochs": 0})
    with pytest.raises(PhenoloomError, match=r"loss is not finite in epoch \d; lower training.learning_rate"):
        train(settings, study, tmp_path)
    assert not (tmp_path / "model.yaml").exists()


def test_the_learning_rate_warms_up_and_ends_at_zero(study: StudyOnDisk, tmp_path: Path) -> None:
    settings = shape_settings(training={"epochs": 10, "warmup_epochs": 2, "learning_rate": 0.1})
    train(settings, study, tmp_path)
    rates = pd.read_csv(tmp_path / "metrics.csv")["learning_rate"]
    assert rates[1] == pytest.approx(0.1)
    assert rates.is_monotonic_decreasing is False
    assert (rates[1:].diff().dropna() < 0).all()
    assert rates.iloc[-1] < 0.002


def test_lightning_ignores_the_variables_of_slurm(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NTASKS": "4", "JOB_NAME": "train", "JOB_ID": "7", "PROCID": "0", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    # Lightning would wait for four tasks, or refuse to train as one.
    train(shape_settings(training={"epochs": 1}), study, tmp_path)
    assert len(pd.read_csv(tmp_path / "metrics.csv")) == 1


def test_training_beats_the_untrained_encoder_on_two_textures(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path / "study", wells=16, per_well=12, size=32)
    settings = image_settings(
        width=8, latent=32, objective={"codes": 32}, training={"epochs": 15, "batch_size": 16, "learning_rate": 3e-3}
    )
    train(settings, study, tmp_path / "model")
    scores = {}
    for untrained in (True, False):
        encoder = Encoder(tmp_path / "model", "fold-0", untrained)
        output = tmp_path / f"{untrained}.parquet"
        embed(Representation("v", encoder), study.input(), output, made_by(), 1)
        table = pd.read_parquet(output)
        vectors = table.filter(regex=r"^v_\d").to_numpy()
        seen = (table["Metadata_role"] == "train").to_numpy()
        vectors = (vectors - vectors[seen].mean(0)) / vectors[seen].std(0)
        # Few labels: with all of them either encoder separates the two.
        few = np.flatnonzero(seen)[::12]
        labels = table["Metadata_label"].to_numpy()
        probe = LogisticRegression(C=0.1, max_iter=2000).fit(vectors[few], labels[few])
        scores[untrained] = probe.score(vectors[~seen], labels[~seen])
    assert scores[False] > scores[True]
    assert scores[False] > 0.9
