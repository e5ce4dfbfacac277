"""The commands of the command line that train: searching for settings, choosing them, and training with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..config import rule_settings as s
from ..config.training import Collapse, Conduct

Add = Callable[..., argparse.ArgumentParser]


def add_training_commands(add: Add) -> None:
    """Add the commands with `add(name, run, what)`."""
    search = add("tune", _tune, "try settings of a model in one split's train groups")
    search.add_argument("--worker", type=int, required=True, help="number of this job, from 0")
    search.add_argument("--workers", type=int, required=True, help="jobs that share the trials")
    _add_training(search)
    choice = add("choose", _choose, "take the best settings that a search has found")
    choice.add_argument("--workers", nargs="+", type=Path, required=True, help="what each job of the search wrote")
    choice.add_argument("--trials", type=Path, required=True, help="table of all trials")
    train = add("pretrain", _pretrain, "train one model on one split's train groups")
    _add_training(train)
    train.add_argument("--chosen", type=Path, help="settings that a search has chosen")
    also = "a further study that is trained on: its name, index, folds, and the folder of the model's view"
    train.add_argument("--also", action="append", nargs=4, default=[], metavar="STUDY", help=also)
    train.add_argument("--nodes", type=int, default=1, help="machines that train together, each started by srun")
    train.add_argument("--devices", type=int, default=1, help="processes on each machine")


def _add_training(command: argparse.ArgumentParser) -> None:
    for name in ("--index", "--folds", "--stores"):
        command.add_argument(name, required=True, type=Path)
    command.add_argument("--threads", type=int, default=1)
    disk = "folder on this machine's disk, where the stores are copied to before they are read; variables too"
    command.add_argument("--scratch", default="", help=disk)
    command.add_argument("--accelerator", choices=["auto", "gpu", "cpu"], default="auto", help="what it trains on")
    command.add_argument("--compile", action="store_true", help="compile the networks")
    command.add_argument("--gradient-checkpointing", action="store_true", help="save memory by computing blocks twice")
    floors = Collapse()
    command.add_argument("--collapse-epochs", type=int, default=floors.epochs, help="epochs under a floor; 0: any")
    command.add_argument("--least-rank", type=float, default=floors.least_rank, help="floor of the effective rank")
    command.add_argument("--least-spread", type=float, default=floors.least_spread, help="floor of the spread")
    information = "floor of what codes tell, in nats"
    command.add_argument("--least-information", type=float, default=floors.least_information, help=information)


def _conduct(a: argparse.Namespace) -> Conduct:
    floors = Collapse(
        epochs=a.collapse_epochs,
        least_rank=a.least_rank,
        least_spread=a.least_spread,
        least_information=a.least_information,
    )
    return Conduct(a.compile, a.gradient_checkpointing, floors)


def _tune(a: argparse.Namespace) -> None:
    from ..artifacts.scratch import scratch_folder, staged_stores
    from ..data.sources import stores_in
    from ..training.tune import tune

    settings = s.TuneSettings.parse(a.settings)
    with staged_stores(stores_in(a.stores, a.index), scratch_folder(a.scratch)) as stores:
        shared = (a.worker, a.workers, a.threads, a.accelerator, _conduct(a))
        tune(settings, a.index, a.folds, stores, a.output, *shared)


def _choose(a: argparse.Namespace) -> None:
    from ..training.choose import choose

    choose(s.TuneSettings.parse(a.settings), a.workers, a.trials, a.output)


def _pretrain(a: argparse.Namespace) -> None:
    from ..artifacts.scratch import scratch_folder
    from ..data.sources import stores_in
    from ..training.launch import World
    from ..training.multi_study import Other, staged_studies
    from ..training.pretrain import pretrain

    settings, tuned = s.PretrainSettings.parse(a.settings), None
    if a.chosen:
        from ..training.choose import chosen_settings

        settings, tuned = chosen_settings(settings, a.chosen)
    world = World(a.nodes, a.devices)
    others = [Other.parse(argument) for argument in a.also]
    with staged_studies(stores_in(a.stores, a.index), others, scratch_folder(a.scratch)) as (stores, theirs):
        placed = (a.threads, world, a.accelerator, _conduct(a), theirs, tuned)
        pretrain(settings, a.index, a.folds, stores, a.output, *placed)
