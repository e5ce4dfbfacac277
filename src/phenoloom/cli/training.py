"""Commands that train: searching for settings, choosing them, and training with them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .command import THREADS, Argument, path, rule, scratch

if TYPE_CHECKING:
    from ..config.rule_settings import PretrainSettings
    from ..config.training import RunOptions
    from ..training.task import TrainingTask

_TRAINING = (
    path("--index"),
    path("--folds"),
    path("--stores"),
    THREADS,
    scratch("where the stores are copied to before they are read"),
    Argument("--accelerator", choices=["auto", "gpu", "cpu"], default="auto", help="device to train on"),
    Argument("--compile", action="store_true", help="compile the networks"),
    Argument("--gradient-checkpointing", action="store_true", help="save memory by computing blocks twice"),
    Argument("--collapse-epochs", type=int, help="epochs under a floor; 0: never stop"),
    Argument("--least-rank", type=float, help="floor of the effective rank"),
    Argument("--least-spread", type=float, help="floor of the spread"),
    Argument("--least-information", type=float, help="floor of the information in codes, in nats"),
)


@rule(
    Argument("--worker", type=int, required=True, help="number of this job, from 0"),
    Argument("--workers", type=int, required=True, help="jobs that share the trials"),
    *_TRAINING,
)
def tune(a: argparse.Namespace) -> None:
    """Try settings of a model in one split's train groups."""
    from ..artifacts.provenance import Provenance
    from ..artifacts.scratch import scratch_folder
    from ..config.hardware import Hardware
    from ..config.rule_settings import TuneSettings
    from ..data.study_input import StudyInput, staged_studies
    from ..training.task import TrainingTask
    from ..training.tune import Search, Worker, tune

    settings = TuneSettings.parse(a.settings)
    made_by = Provenance.of(settings)
    task = TrainingTask(settings.model_name, settings.model, settings.split, settings.seed, made_by)
    own = StudyInput.in_folder(settings.study, a.index, a.folds, a.stores)
    hardware = Hardware(accelerator=a.accelerator, threads=a.threads)
    with staged_studies([own], scratch_folder(a.scratch)) as (study,):
        tune(Search(task, settings.tune), study, a.output, Worker(a.worker, a.workers), hardware, _options(a))


@rule(
    Argument("--workers", nargs="+", type=Path, required=True, help="what each job of the search wrote"),
    Argument("--trials", type=Path, required=True, help="table of all trials"),
)
def choose(a: argparse.Namespace) -> None:
    """Take the best settings that a search has found."""
    from ..config.rule_settings import TuneSettings
    from ..training.choose import choose

    choose(TuneSettings.parse(a.settings).tune, a.workers, a.trials, a.output)


@rule(
    *_TRAINING,
    Argument("--chosen", type=Path, help="settings that a search has chosen"),
    Argument(
        "--also",
        action="append",
        nargs=4,
        default=[],
        metavar="STUDY",
        help="a further study that is trained on: its name, index, folds, and the folder of the model's view",
    ),
    Argument("--nodes", type=int, default=1, help="machines that train together, each started by srun"),
    Argument("--devices", type=int, default=1, help="processes on each machine"),
)
def pretrain(a: argparse.Namespace) -> None:
    """Train one model on one split's train groups."""
    from ..artifacts.scratch import scratch_folder
    from ..config.hardware import Hardware
    from ..config.rule_settings import PretrainSettings
    from ..data.study_input import StudyInput, staged_studies
    from ..training.pretrain import pretrain

    settings, tuned = PretrainSettings.parse(a.settings), None
    if a.chosen:
        from ..training.choose import chosen_settings

        settings, tuned = chosen_settings(settings, a.chosen)
    hardware = Hardware(a.nodes, a.devices, a.accelerator, a.threads)
    own = StudyInput.in_folder(settings.study, a.index, a.folds, a.stores)
    others = [StudyInput.in_folder(name, *map(Path, files)) for name, *files in a.also]
    with staged_studies([own, *others], scratch_folder(a.scratch)) as studies:
        pretrain(_task(settings), studies, a.output, hardware, _options(a), tuned)


def _options(a: argparse.Namespace) -> RunOptions:
    from ..config.training import Collapse, RunOptions

    floors = {
        "epochs": a.collapse_epochs,
        "least_rank": a.least_rank,
        "least_spread": a.least_spread,
        "least_information": a.least_information,
    }
    collapse = Collapse(**{key: value for key, value in floors.items() if value is not None})
    return RunOptions(a.compile, a.gradient_checkpointing, collapse)


def _task(settings: PretrainSettings) -> TrainingTask:
    """Return what the settings of rule `pretrain` ask for."""
    from ..artifacts.provenance import Provenance
    from ..training.task import TrainingTask

    made_by = Provenance.of(settings)
    return TrainingTask(
        settings.model_name, settings.model, settings.split, settings.seed, made_by, mixture=settings.mixture
    )
