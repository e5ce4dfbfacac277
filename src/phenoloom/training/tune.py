"""Search for a model's settings in the train groups of one split, with Optuna (Akiba et al. 2019).

Trials are numbered slots, dealt to the workers in turn, so that no worker waits for another and no number is tried
twice. Results are written to a journal on the shared file system. A worker that was killed is recognised by its own
slot: its trial is given up, and the slot is tried again with the same settings; its training continues from its
saved state.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from ..config.hardware import Hardware
from ..config.load import with_values
from ..config.search import Range, Tune, Value
from ..config.training import RunOptions
from ..core.atomic import write_atomically
from ..core.canonical_json import canonical_json
from ..core.errors import PhenoloomError, TrainingFailedError
from ..core.seeds import stable_seed
from ..data.study_input import StudyInput
from .dataset import read_training_set
from .fit import fitted
from .resume import Progress
from .task import TrainingTask

SLOT, REASON, EPOCHS = "slot", "reason", "epochs"
LOST_LOCK_S = 30
"""Seconds without news after which the lock of a worker that was killed is removed."""


@dataclass(frozen=True)
class Search:
    """A search for the settings of a model.

    Attributes:
        task: The training with the settings of the model's file.
        tune: What is searched for, and how.
    """

    task: TrainingTask
    tune: Tune

    def trial(self, values: Mapping[str, Value]) -> TrainingTask:
        """Return the training with the values of a trial.

        Args:
            values: Dotted key of the model -> value.

        Raises:
            PhenoloomError: The values do not fit together.
        """
        changes = dict(values)
        if self.tune.epochs is not None:
            changes["training.epochs"] = self.tune.epochs
        if not changes:
            return self.task
        model = with_values(self.task.model, changes, f"a trial of {self.task.name}")
        text = canonical_json({"search": self.task.digest, "model": model.model_dump(mode="json")})
        made_by = replace(self.task.made_by, settings_sha256=hashlib.sha256(text.encode()).hexdigest())
        return replace(self.task, model=model, made_by=made_by)


@dataclass(frozen=True)
class Worker:
    """One of several jobs that share the trials of a search.

    Attributes:
        number: Number of the job, from 0.
        count: Number of jobs.
    """

    number: int = 0
    count: int = 1

    def slots(self, trials: int) -> range:
        """Return the slots of the job among this number of trials."""
        return range(self.number, trials, self.count)


def tune(
    search: Search,
    study: StudyInput,
    output: Path,
    worker: Worker = Worker(),
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> None:
    """Try the slots of one worker and write `output`, a JSON file beside the journal that it names, last.

    Only rows of the split's train groups are read; the groups among them that training holds out for early stopping
    decide.

    Args:
        search: The search.
        study: The study.
        output: The file of this worker.
        worker: The worker.
        hardware: The process and device of a trial.
        options: How the trials are run.
    """
    output.unlink(missing_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = read_training_set(search.trial({}), study).fingerprint()
    name = f"journal-{search.task.digest[:12]}-{data[:12]}.log"
    trials = _Trials(search, study, open_journal(output.parent / name, search.tune), hardware, options)
    slots = worker.slots(search.tune.trials)
    for slot in slots:
        if finished_trial(trials.journal, slot) is None:
            folder = output.parent / f"trial-{slot}"
            trials.run(trials.ask(slot, several=worker.count > 1), folder)
            shutil.rmtree(folder, ignore_errors=True)
    facts = {"journal": name, "slots": list(slots), "settings_sha256": search.task.digest}
    write_atomically(output, lambda file: file.write((json.dumps(facts) + "\n").encode()))


def open_journal(path: Path, tune: Tune) -> optuna.Study:
    """Open the search of a journal file, which several processes may have open, also on different machines.

    Its lock is a link, which is made in one step on any network file system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        lock = JournalFileSymlinkLock(str(path), grace_period=LOST_LOCK_S)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        return optuna.create_study(
            storage=storage,
            study_name="search",
            direction="maximize" if tune.maximise else "minimize",
            pruner=_pruner(tune),
            load_if_exists=True,
        )


@dataclass(frozen=True)
class _Trials:
    """What all trials of a worker share."""

    search: Search
    study: StudyInput
    journal: optuna.Study
    hardware: Hardware
    options: RunOptions

    def ask(self, slot: int, *, several: bool) -> optuna.Trial:
        """Return a new trial for a slot; one that a killed worker left running is given up, and its settings retried.

        Args:
            slot: Number of the slot.
            several: Whether several workers ask at the same time.
        """
        tune = self.search.tune
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Seeded by the slot, not by the number of trials before, so that a killed run continues to the same end.
            sampler: optuna.samplers.BaseSampler = optuna.samplers.TPESampler(
                seed=stable_seed(self.search.task.seed, self.search.task.split, slot),
                n_startup_trials=tune.random_trials,
                constant_liar=several,
            )
            for lost in self.journal.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if lost.user_attrs.get(SLOT) == slot:
                    self.journal.tell(lost.number, state=TrialState.FAIL)
                    if lost.params.keys() == tune.ranges.keys():
                        sampler = optuna.samplers.PartialFixedSampler(lost.params, sampler)
        self.journal.sampler = sampler
        trial = self.journal.ask({key: distribution(allowed) for key, allowed in tune.ranges.items()})
        trial.set_user_attr(SLOT, slot)
        return trial

    def run(self, trial: optuna.Trial, folder: Path) -> None:
        """Train with the settings of one trial in `folder`, and write to the journal how it ended.

        Settings that do not fit together, and those with which training fails, end the trial. Any other error ends the
        job: the settings are not to blame, and a rerun tries them again.
        """
        try:
            tried = self.search.trial(trial.params)
        except PhenoloomError as error:
            self._fail(trial, error)
            return
        watch = _Pruning(trial, self.search.tune)
        data = read_training_set(tried, self.study)
        try:
            with fitted(tried, data, folder, self.hardware, self.options, watch=watch) as module:
                progress = module.progress
            best = metric_of(progress.history[progress.best_epoch - 1], self.search.tune.metric)
        except TrainingFailedError as error:
            self._fail(trial, error)
            return
        trial.set_user_attr(EPOCHS, progress.epoch)
        if watch.pruned:
            self.journal.tell(trial, state=TrialState.PRUNED)
        else:
            self.journal.tell(trial, best)

    def _fail(self, trial: optuna.Trial, error: PhenoloomError) -> None:
        trial.set_user_attr(REASON, " ".join(str(error).split()))
        self.journal.tell(trial, state=TrialState.FAIL)


class _Pruning:
    """Reports each epoch of a training to its trial, and stops a training that the pruner gives up."""

    def __init__(self, trial: optuna.Trial, tune: Tune) -> None:
        self.pruned = False
        self._trial, self._tune = trial, tune
        self._reported = set[int]()

    def __call__(self, progress: Progress) -> bool:
        for row in progress.history:
            # A training that continues after a kill repeats its first epochs.
            if (epoch := int(row["epoch"])) not in self._reported:
                self._trial.report(metric_of(row, self._tune.metric), epoch)
                self._reported.add(epoch)
        last = progress.epoch == self._tune.epochs
        self.pruned = not last and self._trial.should_prune()
        return self.pruned


def metric_of(row: dict[str, float], metric: str) -> float:
    """Return a figure of an epoch.

    Args:
        row: Row of `metrics.csv`.
        metric: Name of the figure.

    Raises:
        PhenoloomError: An epoch has no figure of that name.
        TrainingFailedError: The figure is not finite.
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
    """Return the distribution that Optuna draws from."""
    if allowed.choices is not None:
        return CategoricalDistribution(tuple(allowed.choices))
    assert allowed.low is not None
    assert allowed.high is not None
    if allowed.whole:
        return IntDistribution(int(allowed.low), int(allowed.high), log=allowed.log, step=int(allowed.step or 1))
    return FloatDistribution(float(allowed.low), float(allowed.high), log=allowed.log, step=allowed.step)


def _pruner(tune: Tune) -> optuna.pruners.BasePruner:
    if tune.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=tune.random_trials, n_warmup_steps=tune.pruned_after)
    if tune.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=tune.pruned_after)
    return optuna.pruners.NopPruner()


def finished_trial(journal: optuna.Study, slot: int) -> FrozenTrial | None:
    """Return the trial that a slot has ended with, or None.

    A trial that failed without a reason was lost with its worker, and does not count.
    """
    for trial in journal.get_trials(deepcopy=False):
        ended = trial.state in {TrialState.COMPLETE, TrialState.PRUNED} or REASON in trial.user_attrs
        if trial.user_attrs.get(SLOT) == slot and ended:
            return trial
    return None
