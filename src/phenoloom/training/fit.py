"""Set up one training and run it, continued from its saved state if there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytorch_lightning as pl
import torch

from ..config.hardware import Hardware
from ..config.rule_settings import PretrainSettings
from ..config.training import RunOptions
from ..core.gpu_usage import SUFFIX, recorded_use
from ..core.seeds import stable_seed
from ..data.loader import Loader, Rows
from ..data.sources import TileSource
from ..models.checkpoint import initial_objective
from ..nets.sync_batchnorm import synchronise_batch_norms
from .batches import TrainingData, preparation
from .compile import compile_networks, recompute_blocks
from .dataset import Material, fingerprint
from .launch import process_rank, training_device
from .model_card import _points
from .module import Pretraining, Watch
from .monitors import choose_sample
from .multi_study import sampled
from .pairs import pair_keys
from .resume import ResumeFolder
from .sampling import _samplers
from .trainer import fit


@contextmanager
def fitted(
    settings: PretrainSettings,
    material: Material,
    stores: Sequence[Path],
    output: Path,
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    watch: Watch | None = None,
) -> Iterator[Pretraining]:
    """A training that went through, continued from its state in `output` if there is one; the state stays there.

    `watch` looks at its progress after each epoch, and may stop it.
    """
    rank, training = process_rank(hardware), settings.model.training
    torch.set_num_threads(training.threads)
    # The first draw is that of models from before there were others.
    seed = stable_seed(settings.seed, settings.split, *([training.seed] if training.seed else []))
    pl.seed_everything(seed, verbose=False)
    device = training_device(hardware.accelerator, rank % hardware.devices)
    names = material.inputs or (material.view.channels if isinstance(material.view, TileSource) else None)
    size = len(names) if names else _points(material)
    objective = initial_objective(settings.model, size or 0, seed, names, placed=material.inputs is not None)
    if hardware.processes > 1:
        synchronise_batch_norms(objective)
    if options.gradient_checkpointing:
        recompute_blocks(objective)
    if options.compile:
        compile_networks(objective)
    objective = objective.to(device)
    resume = ResumeFolder(output, settings.digest(), fingerprint(material, stores))
    prepare = preparation(settings.model, material, objective.makes_views)
    sample = choose_sample(*_shown(settings, material), material.labels, seed)
    keys = pair_keys(material.table, objective.pairs) if objective.pairs else None
    with (
        Loader(material.view, hardware.threads, device) as train,
        Loader(material.view, hardware.threads, device) as validation,
    ):
        samplers = _samplers(settings, material)
        data = TrainingData(train, validation, material.train, material.validation, sample, prepare, keys, *samplers)
        name = f"{settings.model_name} {settings.split}"
        module = Pretraining(name, objective, training, data, seed, resume, options.collapse)
        module.watch = watch
        with recorded_use(device, output / SUFFIX) if rank == 0 else nullcontext():
            fit(module, settings, output, device, hardware)
        yield module


def _shown(settings: PretrainSettings, material: Material) -> tuple[Rows, Rows]:
    """Rows of training and of validation that monitors and pictures look at."""
    return sampled(material, settings.study) if settings.mixture else (material.train, material.validation)
