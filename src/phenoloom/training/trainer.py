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
from ..config.rule_settings import PretrainSettings
from ..nets.torch_private import cpu_has_bfloat16
from .launch import environment, strategy
from .module import Pretraining

TERMINATED = 128 + 15


def fit(
    module: Pretraining, settings: PretrainSettings, output: Path, device: torch.device, hardware: Hardware
) -> None:
    """Train until it is done; a job that is asked to end saves its state and exits with the code of that."""
    training = settings.model.training
    with _quiet_lightning():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy=strategy(hardware, device),
            # Each process is given its share of every batch already.
            use_distributed_sampler=False,
            max_epochs=training.epochs,
            gradient_clip_val=training.gradient_clip,
            deterministic="warn" if device.type == "cuda" else None,
            plugins=[environment(hardware), _precision(training.precision, device)],
            logger=TensorBoardLogger(output, name="tensorboard", version=settings.digest()[:12]),
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


class _BFloat16(MixedPrecision):  # type: ignore[misc] # Lightning is not typed
    """Automatic casts to bfloat16, with any optimiser.

    Lightning refuses to clip gradients for fused optimisers, as these undo the scaling of float16 themselves; bfloat16
    has the range of float32, and nothing is scaled.
    """

    clip_gradients = Precision.clip_gradients


def _precision(wanted: str, device: torch.device) -> Precision:
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = cpu_has_bfloat16()
    half = wanted == "bf16" or (wanted == "auto" and native)
    return _BFloat16("bf16-mixed", device.type) if half else Precision()


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
