"""Searching for settings: what is drawn and chosen, what a kill leaves, and what a search may see."""

from __future__ import annotations

import json
import math
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState
from tests.helpers.python import run_module
from tests.helpers.studies import StudyOnDisk, shape_settings
from tests.helpers.training import task_of

from phenoloom.config.hardware import Hardware
from phenoloom.config.rule_settings import TuneSettings
from phenoloom.config.search import Range, Tune
from phenoloom.core.errors import PhenoloomError, TrainingFailedError
from phenoloom.core.seeds import stable_seed
from phenoloom.training import tune as tuning
from phenoloom.training.choose import choose
from phenoloom.training.resume import Progress
from phenoloom.training.task import TrainingTask
from phenoloom.training.tune import Search, Worker, distribution, open_journal, tune

RATE = "training.learning_rate"
RATES = {RATE: {"low": 1e-4, "high": 1e-1, "log": True}}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    return StudyOnDisk(tmp_path_factory.mktemp("study"), wells=8, per_well=3)


def settings(split: str = "fold-0", epochs: int = 2, **search: Any) -> TuneSettings:
    # Half of the wells decide, so that they have both classes.
    base = shape_settings(split, training={"epochs": epochs, "validation_fraction": 0.5})
    values = {"ranges": RATES, "trials": 6, "random_trials": 2, **search}
    return TuneSettings(
        algorithm=1, study="toy", model_name="shape-ae", model=base.model, split=split, seed=0, tune=Tune(**values)
    )


def run(study: StudyOnDisk, wanted: TuneSettings, folder: Path, worker: int = 0, workers: int = 1) -> Path:
    output = folder / f"worker-{worker}.json"
    tune(
        Search(task_of(wanted), wanted.tune),
        study.input("shapes"),
        output,
        Worker(worker, workers),
        Hardware(accelerator="cpu"),
    )
    return output


def result(wanted: TuneSettings, outputs: Sequence[Path]) -> tuple[pd.DataFrame, dict[str, Any]]:
    folder = outputs[0].parent
    choose(wanted.tune, outputs, folder / "trials.tsv", folder / "chosen.yaml")
    return pd.read_csv(folder / "trials.tsv", sep="\t", float_precision="round_trip"), yaml.safe_load(
        (folder / "chosen.yaml").read_text()
    )


Loss = Callable[[float, int], float]


def closed_form(rate: float, epoch: int) -> float:
    """Least at a rate of 1e-2, and the better the longer it trains."""
    return (math.log10(rate) + 2) ** 2 + 1 / epoch


def instead(loss: Loss, seen: list[tuple[float, int]] | None = None) -> Callable[..., Any]:
    """A training whose loss is a formula of the rate and the epoch."""

    @contextmanager
    def fitted(tried: TrainingTask, *_: object, watch: Callable[[Progress], bool], **__: object) -> Iterator[Any]:
        training, progress = tried.model.training, Progress()
        for epoch in range(1, training.epochs + 1):
            value = loss(training.learning_rate, epoch)
            progress.history.append({"epoch": epoch, "val_loss": value, "knn_accuracy": -value})
            progress.epoch = epoch
            if value < progress.best_loss:
                progress.best_loss, progress.best_epoch = value, epoch
            if seen is not None:
                seen.append((training.learning_rate, epoch))
            if watch(progress):
                break
        yield SimpleNamespace(progress=progress)

    return fitted


def test_the_search_finds_the_least_of_a_function_known_in_closed_form(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "fitted", instead(closed_form))
    wanted = settings(trials=40, random_trials=10, pruner="none")
    table, chosen = result(wanted, [run(study, wanted, tmp_path)])
    assert len(table) == 40
    assert set(table["state"]) == {"complete"}
    assert table["val_loss"].tolist() == pytest.approx([closed_form(rate, 2) for rate in table[RATE]], rel=1e-9)
    assert chosen["value"] == table["val_loss"].min()
    assert chosen["settings"][RATE] == table[RATE][table["val_loss"].idxmin()]
    assert abs(math.log10(chosen["settings"][RATE]) + 2) < 0.1
    # Not by luck: of trials drawn evenly half lie more than 0.75 powers of ten from the best place.
    assert np.median(np.abs(np.log10(table[RATE][20:]) + 2)) < 0.5


def test_more_is_better_where_the_metric_says_so(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "fitted", instead(closed_form))
    wanted = settings(metric="knn_accuracy")
    table, chosen = result(wanted, [run(study, wanted, tmp_path)])
    assert chosen["value"] == table["knn_accuracy"].max()


@pytest.mark.parametrize(
    ("metric", "more"),
    [
        ("knn_accuracy", True),
        ("effective_rank", True),
        ("perplexity", True),
        ("codes_in_use", True),
        ("val_teacher_information", True),
        ("train_spread", True),
        ("val_loss", False),
        ("val_commitment", False),
    ],
)
def test_figures_of_health_are_maximised_and_losses_minimised(metric: str, more: bool) -> None:
    assert settings(metric=metric).tune.maximise is more


def test_a_trial_worse_than_the_median_is_stopped_and_never_chosen(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, int]] = []
    monkeypatch.setattr(tuning, "fitted", instead(closed_form, seen))
    wanted = settings(epochs=9, trials=25, random_trials=5, pruned_after=3)
    table, chosen = result(wanted, [run(study, wanted, tmp_path)])
    pruned = table[table["state"] == "pruned"]
    assert len(pruned) >= 3
    assert pruned["slot"].min() >= 5
    assert (pruned["epochs"] >= 3).all()
    assert (pruned["epochs"] < 9).all()
    assert len(seen) == table["epochs"].sum() < 9 * 25
    complete = table[table["state"] == "complete"]
    assert chosen["value"] == complete["val_loss"].min()


def test_workers_share_the_journal_and_each_slot_is_tried_once(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "fitted", instead(closed_form))
    wanted = settings(trials=7)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=run, args=(study, wanted, tmp_path, worker, 3)) for worker in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    outputs = [tmp_path / f"worker-{worker}.json" for worker in range(3)]
    assert [json.loads(path.read_text())["slots"] for path in outputs] == [[0, 3, 6], [1, 4], [2, 5]]
    table, _ = result(wanted, outputs)
    assert table["slot"].tolist() == list(range(7))
    assert len(set(table[RATE])) == 7
    (journal,) = tmp_path.glob("journal-*.log")
    assert len(open_journal(journal, wanted.tune).trials) == 7


def test_a_search_killed_with_a_trial_half_way_ends_as_if_nothing_had_happened(
    study: StudyOnDisk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = settings(epochs=3, trials=5)
    quiet, _ = result(wanted, [run(study, wanted, tmp_path / "quiet")])
    assert quiet["epochs"].tolist() == [3] * 5
    folder = tmp_path / "killed"
    folder.mkdir()
    # Of the third trial two epochs of three are saved.
    arguments = ["tune", wanted.canonical(), str(study.folder), str(folder), "8"]
    done = run_module("tests.helpers.killed_training", *arguments)
    assert done.returncode == -signal.SIGKILL
    (journal,) = folder.glob("journal-*.log")
    before = open_journal(journal, wanted.tune).trials
    assert [trial.state for trial in before] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
    capfd.readouterr()
    output = run(study, wanted, folder)
    assert "continues at epoch 3, step 1" in capfd.readouterr().err
    trials = open_journal(journal, wanted.tune).trials
    assert [trial.number for trial in trials if trial.state == TrialState.FAIL] == [2]
    assert trials[3].params == trials[2].params
    result(wanted, [output])
    for name in ("trials.tsv", "chosen.yaml"):
        assert (folder / name).read_bytes() == (tmp_path / "quiet" / name).read_bytes()
    assert not list(folder.glob("trial-*"))


def test_finished_trials_are_not_trained_again(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "fitted", instead(closed_form))
    output = run(study, settings(), tmp_path)
    output.unlink()

    def none_left(*_: object, **__: object) -> None:
        raise AssertionError("a finished trial is trained again")

    monkeypatch.setattr(tuning, "fitted", none_left)
    run(study, settings(), tmp_path)
    monkeypatch.setattr(tuning, "fitted", instead(closed_form))
    assert len(result(settings(), [output])[0]) == 6


def test_other_data_or_settings_begin_another_journal(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "fitted", instead(closed_form))
    run(study, settings(), tmp_path)
    first = run(study, settings("fold-1"), tmp_path)
    second = run(study, settings("fold-1", metric="knn_accuracy"), tmp_path, worker=1, workers=2)
    assert len(list(tmp_path.glob("journal-*.log"))) == 3
    with pytest.raises(PhenoloomError, match="other data or settings than each other"):
        result(settings("fold-1"), [first, second])


@pytest.mark.parametrize("metric", ["val_loss", "knn_accuracy"])
def test_no_search_sees_a_test_group(metric: str, tmp_path: Path) -> None:
    results = []
    for poison in (False, True):
        study = StudyOnDisk(tmp_path / f"study-{poison}", wells=8, per_well=3)
        if poison:
            destroy_test_groups(study)
        wanted = settings(trials=3, metric=metric)
        folder = tmp_path / f"search-{poison}"
        result(wanted, [run(study, wanted, folder)])
        results.append(((folder / "trials.tsv").read_bytes(), (folder / "chosen.yaml").read_bytes()))
    assert results[0] == results[1]


def destroy_test_groups(study: StudyOnDisk) -> None:
    """Other contours, and other labels, for every object of fold 0."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zarr

    tested = {row["id"] for row in study.rows if int(row["well"][1:]) % study.folds_count == 0}
    assert len(tested) == 6
    changed = 0
    for manifest in study.shapes:
        group = zarr.open_group(manifest.with_suffix(".zarr"), mode="r+")
        contours, ids = group["contours"][:], pq.read_table(manifest.with_suffix(".parquet"))["id"].to_pylist()
        for position, name in enumerate(ids):
            if name in tested:
                contours[position] *= np.random.default_rng(position).uniform(0.2, 5, contours[position].shape)
                changed += 1
        group["contours"][:] = contours
    assert changed == 6
    rows = [{**row, "label": "ruined"} if row["id"] in tested else row for row in study.rows]
    pq.write_table(pa.Table.from_pylist(rows), study.index)


def test_settings_that_cannot_be_trained_are_recorded_and_passed_over(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(rate: float, epoch: int) -> float:
        if rate > 1e-2:
            raise TrainingFailedError("The loss is not finite")
        return closed_form(rate, epoch)

    monkeypatch.setattr(tuning, "fitted", instead(loss))
    table, chosen = result(settings(trials=12), [run(study, settings(trials=12), tmp_path)])
    failed = table[table["state"] == "fail"]
    assert len(failed) > 0
    assert (failed[RATE] > 1e-2).all()
    assert set(failed["reason"]) == {"The loss is not finite"}
    assert chosen["settings"][RATE] <= 1e-2
    everywhere = {RATE: {"low": 0.02, "high": 0.1}}
    wanted = settings(ranges=everywhere)
    output = run(study, wanted, tmp_path / "none")
    with pytest.raises(PhenoloomError, match=r"None of 6 trials was finished \(The loss is not finite\)"):
        result(wanted, [output])


def test_a_fault_of_the_machine_ends_the_job_and_a_rerun_tries_the_same_settings_again(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, int]] = []

    def no_gpu(rate: float, epoch: int) -> float:
        seen.append((rate, epoch))
        raise PhenoloomError("there is no GPU")

    wanted = settings(trials=4)
    monkeypatch.setattr(tuning, "fitted", instead(no_gpu))
    with pytest.raises(PhenoloomError, match="there is no GPU"):
        run(study, wanted, tmp_path)
    monkeypatch.setattr(tuning, "fitted", instead(closed_form, seen))
    table, _ = result(wanted, [run(study, wanted, tmp_path)])
    assert set(table["state"]) == {"complete"}
    assert seen[0] == seen[1]


def test_a_metric_that_training_lacks_is_refused_with_those_that_it_has(study: StudyOnDisk, tmp_path: Path) -> None:
    wanted = settings(trials=2, metric="happiness")
    with pytest.raises(PhenoloomError, match=r"does not have; it has train_loss, .*val_loss"):
        run(study, wanted, tmp_path)


def test_a_missing_slot_is_refused(study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "fitted", instead(closed_form))
    output = run(study, settings(), tmp_path, worker=0, workers=2)
    with pytest.raises(PhenoloomError, match=r"3 of 6 trials in .* are not finished"):
        result(settings(), [output])


@pytest.mark.parametrize(
    ("allowed", "drawn"),
    [
        ({"low": 2, "high": 8}, {2, 3, 4, 5, 6, 7, 8}),
        ({"low": 2, "high": 8, "step": 3}, {2, 5, 8}),
        ({"choices": [None, True, "a"]}, {None, True, "a"}),
        ({"low": 0.0, "high": 1.0, "step": 0.5}, {0.0, 0.5, 1.0}),
    ],
)
def test_a_range_draws_all_of_its_values_and_no_others(allowed: dict[str, Any], drawn: set[Any]) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    name = {"x": distribution(Range(**allowed))}
    found = {study.ask(name).params["x"] for _ in range(100)}
    assert found == drawn
    assert {type(value) for value in found} == {type(value) for value in drawn}


def test_rates_are_drawn_evenly_by_their_logarithm() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    name = {"x": distribution(Range(low=1e-4, high=1.0, log=True))}
    values = np.log10([study.ask(name).params["x"] for _ in range(300)])
    assert -4 <= values.min() < values.max() <= 0
    assert np.histogram(values, 4, (-4, 0))[0] == pytest.approx([75] * 4, abs=25)


def test_seeds_of_slots_differ() -> None:
    assert len({stable_seed(0, "fold-0", slot) for slot in range(1000)}) == 1000
