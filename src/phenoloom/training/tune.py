"""Searching for a model's settings in the train groups of one split, with Optuna (Akiba et al. 2019).

Trials are numbered slots, dealt to the workers in turn, so that nobody waits for anybody and no number is tried twice.
What they found stands in a journal on the shared file system. A worker that was killed is told by its own slot: its
trial is given up, and the slot tried again with the same settings, whose training goes on from its saved state.
"""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from ..config.hardware import Hardware
from ..config.load import with_values
from ..config.rule_settings import PretrainSettings, TuneSettings
from ..config.search import Range, Tune, Value
from ..config.training import RunOptions
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError, TrainingFailedError
from ..core.seeds import stable_seed
from .dataset import Material, fingerprint, gather
from .fit import fitted
from .resume import Progress

SLOT, REASON, EPOCHS = "slot", "reason", "epochs"
Reader = Callable[[PretrainSettings], Material]
"""Gathers what may be trained on."""
LOST_LOCK_S = 30
"""After so long without news the lock of a worker that was killed is taken away."""


def tune(
    settings: TuneSettings,
    index: Path,
    folds: Path,
    stores: list[Path],
    output: Path,
    worker: int,
    workers: int,
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> None:
    """Try the slots of one worker and write `output`, a JSON file beside the journal that it names, last.

    Only rows of the split's train groups are read; the groups among them that training holds out for early stopping
    decide.
    """
    output.unlink(missing_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def read(tried: PretrainSettings) -> Material:
        return gather(tried, index, folds, stores)

    data = fingerprint(read(_settings_of(settings, {})), stores)
    name = f"journal-{settings.digest()[:12]}-{data[:12]}.log"
    study = open_study(output.parent / name, settings.tune)
    slots = range(worker, settings.tune.trials, workers)
    for slot in slots:
        if _finished(study, slot) is None:
            trial = _ask(study, settings, slot, workers)
            folder = output.parent / f"trial-{slot}"
            _run(study, trial, settings, read, stores, folder, hardware, options)
            shutil.rmtree(folder, ignore_errors=True)
    facts = {"journal": name, "slots": list(slots), "settings_sha256": settings.digest()}
    write_atomically(output, lambda file: file.write((json.dumps(facts) + "\n").encode()))


def open_study(journal: Path, tune: Tune) -> optuna.Study:
    """The search in a journal, which several processes may have open, on other machines too.

    Its lock is a link, which is made in one step on any network file system.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        lock = JournalFileSymlinkLock(str(journal), grace_period=LOST_LOCK_S)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
        return optuna.create_study(
            storage=storage,
            study_name="search",
            direction="maximize" if tune.maximise else "minimize",
            pruner=_pruner(tune),
            load_if_exists=True,
        )


def _ask(study: optuna.Study, settings: TuneSettings, slot: int, workers: int) -> optuna.Trial:
    """A new trial for a slot; one that a killed worker left running is given up, and its settings tried again."""
    tune = settings.tune
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Seeded by the slot, not by how many asked before, so that a run that was killed goes on as if it was not.
        sampler: optuna.samplers.BaseSampler = optuna.samplers.TPESampler(
            seed=stable_seed(settings.seed, settings.split, slot),
            n_startup_trials=tune.random_trials,
            constant_liar=workers > 1,
        )
        for lost in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if lost.user_attrs.get(SLOT) == slot:
                study.tell(lost.number, state=TrialState.FAIL)
                if lost.params.keys() == tune.ranges.keys():
                    sampler = optuna.samplers.PartialFixedSampler(lost.params, sampler)
    study.sampler = sampler
    trial = study.ask({key: distribution(allowed) for key, allowed in tune.ranges.items()})
    trial.set_user_attr(SLOT, slot)
    return trial


def _run(
    study: optuna.Study,
    trial: optuna.Trial,
    settings: TuneSettings,
    read: Reader,
    stores: Sequence[Path],
    folder: Path,
    hardware: Hardware,
    options: RunOptions,
) -> None:
    """Train with the settings of one trial, and tell the study how it ended.

    Settings that do not fit together, and those with which training comes to nothing, end the trial. All else that goes
    wrong ends the job: with these settings nothing is wrong, and a rerun tries them again.
    """
    reported, metric = set[int](), settings.tune.metric
    pruned = False

    def watch(progress: Progress) -> bool:
        nonlocal pruned
        for row in progress.history:
            # Of a training that goes on after a kill the first epochs are told again.
            if (epoch := int(row["epoch"])) not in reported:
                trial.report(metric_of(row, metric), epoch)
                reported.add(epoch)
        last = progress.epoch == settings.tune.epochs
        pruned = not last and trial.should_prune()
        return pruned

    try:
        tried = _settings_of(settings, trial.params)
    except PhenoloomError as error:
        _tell_failed(study, trial, error)
        return
    try:
        with fitted(tried, read(tried), stores, folder, hardware, options, watch=watch) as module:
            progress = module.progress
        best = metric_of(progress.history[progress.best_epoch - 1], metric)
    except TrainingFailedError as error:
        _tell_failed(study, trial, error)
        return
    trial.set_user_attr(EPOCHS, progress.epoch)
    if pruned:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, best)


def _tell_failed(study: optuna.Study, trial: optuna.Trial, error: PhenoloomError) -> None:
    trial.set_user_attr(REASON, " ".join(str(error).split()))
    study.tell(trial, state=TrialState.FAIL)


def metric_of(row: dict[str, float], metric: str) -> float:
    """A figure of an epoch.

    Raises PhenoloomError where training has none of that name, and TrainingFailedError where it is not finite.
    """
    if metric not in row:
        raise PhenoloomError(
            f"`tune.metric` is {metric!r}, which an epoch of this model does not have; it has "
            f"{', '.join(name for name in row if name != 'epoch')}"
        )
    if not math.isfinite(row[metric]):
        raise TrainingFailedError(f"{metric} is not finite in epoch {row['epoch']:.0f}")
    return row[metric]


def distribution(allowed: Range) -> BaseDistribution:
    """What Optuna draws from."""
    if allowed.choices is not None:
        return CategoricalDistribution(tuple(allowed.choices))
    assert allowed.low is not None
    assert allowed.high is not None
    if allowed.whole:
        return IntDistribution(int(allowed.low), int(allowed.high), log=allowed.log, step=int(allowed.step or 1))
    return FloatDistribution(float(allowed.low), float(allowed.high), log=allowed.log, step=allowed.step)


def _settings_of(settings: TuneSettings, values: dict[str, Value]) -> PretrainSettings:
    """The settings of a training with the values of a trial."""
    changes = dict(values)
    if settings.tune.epochs is not None:
        changes["training.epochs"] = settings.tune.epochs
    model = with_values(settings.model, changes, f"a trial of {settings.model_name}") if changes else settings.model
    return PretrainSettings(
        **{name: getattr(settings, name) for name in ("algorithm", "study", "model_name", "split", "seed")}, model=model
    )


def _pruner(tune: Tune) -> optuna.pruners.BasePruner:
    if tune.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=tune.random_trials, n_warmup_steps=tune.pruned_after)
    if tune.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=tune.pruned_after)
    return optuna.pruners.NopPruner()


def _finished(study: optuna.Study, slot: int) -> FrozenTrial | None:
    """The trial that a slot has ended with; one that failed without a reason was lost with its worker."""
    for trial in study.get_trials(deepcopy=False):
        ended = trial.state in {TrialState.COMPLETE, TrialState.PRUNED} or REASON in trial.user_attrs
        if trial.user_attrs.get(SLOT) == slot and ended:
            return trial
    return None


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value
