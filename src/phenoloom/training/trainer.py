"""Lightning's trainer, set up for one training."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities.exceptions import SIGTERMException

from ..config.hardware import Hardware
from ..nets.torch_private import cpu_has_bfloat16
from .launch import environment, strategy
from .module import Pretraining
from .task import TrainingTask

TERMINATED = 128 + 15


def fit(module: Pretraining, task: TrainingTask, output: Path, device: torch.device, hardware: Hardware) -> None:
    """Train from the saved state, if there is one, to the end.

    A job that is asked to end by SIGTERM saves its state and exits with the code of that signal.

    Args:
        module: The training.
        task: The model and what it is for.
        output: Folder of the model, in which the log of TensorBoard is written.
        device: The device of this process.
        hardware: The processes of the training.
    """
    training = task.model.training
    module.restore()
    # Also where nothing is left to train the processes meet, so that none removes a state before all have read it.
    epochs = 0 if module.ended else training.epochs - module.progress.epoch
    with _quiet_lightning():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy=strategy(hardware, device),
            # Each process is given its share of every batch already.
            use_distributed_sampler=False,
            max_epochs=epochs,
            deterministic="warn" if device.type == "cuda" else None,
            plugins=[environment(hardware), _precision(training.precision, device)],
            callbacks=module.callbacks,
            logger=TensorBoardLogger(output, name="tensorboard", version=task.digest[:12]),
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
        )
        try:
            trainer.fit(module)
        except SIGTERMException:
            raise SystemExit(TERMINATED) from None


def _precision(wanted: str, device: torch.device) -> Precision:
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = cpu_has_bfloat16()
    half = wanted == "bf16" or (wanted == "auto" and native)
    return MixedPrecision("bf16-mixed", device.type) if half else Precision()


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric|torch\.utils\.tensorboard")
            yield
    finally:
        logger.setLevel(level)
