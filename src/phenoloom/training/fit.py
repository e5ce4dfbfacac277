"""Set up one training and run it, continued from its saved state if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytorch_lightning as pl
import torch

from ..artifacts.layout import GPU_USAGE
from ..config.hardware import Hardware
from ..config.training import RunOptions
from ..core.gpu_usage import recorded_use
from ..core.seeds import stable_seed
from ..data.domain import domain_of
from ..data.loader import Loader, Rows
from ..models.checkpoint import initial_objective
from ..nets.sync_batchnorm import synchronise_batch_norms
from ..objectives import Objective
from .batches import TrainingData, preparation
from .compile import compile_networks, recompute_blocks
from .dataset import TrainingSet
from .launch import process_rank, training_device
from .module import Pretraining, Watch
from .monitors import choose_sample
from .multi_study import rows_of_study
from .pairs import pair_keys
from .resume import ResumeFolder
from .safeguard import Safeguard
from .sampling import samplers
from .task import TrainingTask
from .trainer import fit


@contextmanager
def fitted(
    task: TrainingTask,
    data: TrainingSet,
    output: Path,
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    watch: Watch | None = None,
) -> Iterator[Pretraining]:
    """Yield a training that has ended, continued from its state in `output` if there is one; the state stays there.

    Args:
        task: The training.
        data: What is trained on.
        output: Folder of the model.
        hardware: The processes of the training; each of them calls this.
        options: How the training is run.
        watch: Sees the progress after each epoch, and may stop the training.
    """
    rank, training = process_rank(hardware), task.model.training
    torch.set_num_threads(training.threads)
    seed = stable_seed(task.seed, task.split, training.seed)
    pl.seed_everything(seed, verbose=False)
    device = training_device(hardware.accelerator, rank % hardware.devices)
    objective = _network(task, data, seed, hardware, options).to(device)
    resume = ResumeFolder(output, task.digest, data.fingerprint())
    safeguard = Safeguard(f"{task.name} {task.split}", training, options.collapse, resume)
    with (
        Loader(data.source, hardware.threads, device) as train,
        Loader(data.source, hardware.threads, device) as validation,
    ):
        train_sampler, validation_sampler = samplers(task, data)
        batches = TrainingData(
            train,
            validation,
            data.train,
            data.validation,
            choose_sample(*shown_rows(task, data), data.labels, seed),
            preparation(domain_of(task.model), task.study, data, objective.makes_views),
            pair_keys(data.table, objective.pairs) if objective.pairs else None,
            train_sampler,
            validation_sampler,
        )
        module = Pretraining(objective, training, batches, seed, safeguard)
        module.watch = watch
        with recorded_use(device, output / GPU_USAGE) if rank == 0 else nullcontext():
            fit(module, task, output, device, hardware)
        yield module


def shown_rows(task: TrainingTask, data: TrainingSet) -> tuple[Rows, Rows]:
    """Return the rows of training and of validation that monitors and pictures show."""
    return rows_of_study(data, task.study) if data.studies else (data.train, data.validation)


def _network(task: TrainingTask, data: TrainingSet, seed: int, hardware: Hardware, options: RunOptions) -> Objective:
    """Return the network with its initial weights, made ready for the processes and options of the training."""
    names = data.inputs.names or data.channels
    size = domain_of(task.model).network_size(names, data.points)
    objective = initial_objective(task.model, size, seed, names, placed=data.inputs.names is not None)
    if hardware.processes > 1:
        synchronise_batch_norms(objective)
    if options.gradient_checkpointing:
        recompute_blocks(objective)
    if options.compile:
        compile_networks(objective)
    return objective
