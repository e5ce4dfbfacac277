"""The Lightning side of pretraining: steps, schedule, early stopping, metrics, and a state that can be put back."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import distributed
from .config.model import Training
from .data import Epoch, Loader, Rows, cut, shuffled, stable_seed
from .errors import PhenoloomError
from .nets.quantizer import perplexity
from .objectives import Objective, Outcome, Step
from .pairs import with_partners
from .progress import SECONDS_BETWEEN_LINES
from .resume import ResumeFolder

SECONDS_BETWEEN_SAVES = 600.0
STEPS_BETWEEN_CHECKS = 50
"""Looking at a loss makes the device wait, so that it is done now and then."""

Prepare = Callable[[Tensor, torch.Generator | None], Tensor]
Metrics = dict[str, float]


@dataclass
class Progress:
    """How far training is; everything of it is in the resume state. `step` counts within the epoch."""

    epoch: int = 0
    step: int = 0
    stale: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[Metrics] = field(default_factory=list)
    sums: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingData:
    """Loaders and the rows that they read, and how a batch becomes inputs (augmented if a generator is given)."""

    train: Loader
    validation: Loader
    train_rows: Rows
    validation_rows: Rows
    prepare: Prepare
    keys: NDArray[np.int64] | None = None

    def order(self, rows: Rows, batch_size: int, seed: int, epoch: int) -> list[Rows]:
        """Batches of one pass; where the objective pulls pairs together, partners share a batch."""
        if self.keys is None:
            return shuffled(rows, batch_size, seed, epoch)
        return cut(with_partners(rows, self.keys, seed, epoch), batch_size)

    def keys_of(self, rows: Rows, device: torch.device) -> tuple[Tensor, ...]:
        """What `Objective.forward` takes beside the batch: nothing, or the keys of its rows."""
        return () if self.keys is None else (torch.from_numpy(self.keys[rows]).to(device),)


class Pretraining(pl.LightningModule):  # type: ignore[misc] # Lightning is not typed
    """Trains one objective; all of its randomness is a function of the seed, the epoch and the step."""

    def __init__(
        self, name: str, objective: Objective, settings: Training, data: TrainingData, seed: int, resume: ResumeFolder
    ) -> None:
        super().__init__()
        # Of several processes one may have no validation batch.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.name, self.objective, self.settings = name, objective, settings
        self.data, self.seed, self.resume = data, seed, resume
        self.progress = Progress()
        self.steps = len(cut(data.train_rows, settings.batch_size))
        self.plan: list[Rows] = []
        self.validation_plan: list[Rows] = []
        self._saved = self._told = time.monotonic()
        self._items = 0
        self._sizes: list[int] = []

    def train_dataloader(self) -> Epoch:
        """The batches of this epoch that are still to come (the trainer asks again for each epoch)."""
        plan = self.data.order(self.data.train_rows, self.settings.batch_size, self.seed, self.progress.epoch)
        self._sizes = [len(batch) for batch in plan]
        self.plan = distributed.share(plan)
        return Epoch(self.data.train, self.plan[self.progress.step :])

    def val_dataloader(self) -> Epoch:
        """This process's validation batches, in a fixed order."""
        held, size = self.data.validation_rows, self.settings.batch_size
        plan = cut(held, size) if self.data.keys is None else self.data.order(held, size, 0, 0)
        self.validation_plan = plan[distributed.rank() :: self.trainer.world_size]
        return Epoch(self.data.validation, self.validation_plan)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW (Loshchilov and Hutter 2019) without decay of biases, norms and other vectors."""
        groups = decay_groups(self.objective, self.settings.weight_decay)
        return torch.optim.AdamW(groups, lr=self.settings.peak_learning_rate, fused=True)

    def on_fit_start(self) -> None:
        """Continue from the last state, if there is one."""
        state = self.resume.load()
        if state is None:
            return
        self.objective.load_state_dict(state["objective"])
        self.trainer.optimizers[0].load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        # Sums are those of all processes: one of them carries them on.
        sums = self.progress.sums if distributed.rank() == 0 else {}
        self.progress.sums = {name: value.to(self.device) for name, value in sums.items()}
        done = self.trainer.fit_loop.epoch_progress.current
        done.processed = done.completed = self.progress.epoch
        print(
            f"{self.name}: continues at epoch {self.progress.epoch + 1}, step {self.progress.step + 1}", file=sys.stderr
        )

    def on_train_start(self) -> None:
        """A state saved after its last epoch needs no other one."""
        self.trainer.should_stop = self.progress.stale >= self.settings.patience

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Set the learning rate of this step."""
        self.objective.before_update(self._place())
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate(self.progress.epoch * self.steps + self.progress.step)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero, by step."""
        warmup = min(self.settings.warmup_epochs, self.settings.epochs // 2) * self.steps
        total = self.settings.epochs * self.steps
        if step < warmup:
            return self.settings.peak_learning_rate * (step + 1) / warmup
        return self.settings.peak_learning_rate * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """One step."""
        place = (self.progress.epoch, self.progress.step, *([distributed.rank()] if distributed.rank() else []))
        generator = torch.Generator(self.device).manual_seed(stable_seed(self.seed, *place))
        self.objective.before_step(self._place())
        keys = self.data.keys_of(self.plan[self.progress.step], self.device)
        outcome: Outcome = self.objective(self.data.prepare(batch, generator), generator, *keys)
        self._add("train", outcome, len(batch))
        return outcome.loss * distributed.weight(len(batch), self._sizes[self.progress.step])

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        """Count the step, and save the state if that was long ago or the job is about to be killed."""
        self.objective.after_update(self._place())
        self.progress.step += 1
        self._items += len(batch)
        if self.progress.step % STEPS_BETWEEN_CHECKS == 0:
            self._refuse_non_finite(self.progress.sums["train_loss"])
        late = distributed.rank() == 0 and time.monotonic() - self._saved >= SECONDS_BETWEEN_SAVES
        due = distributed.any_of(late or self.trainer.received_sigterm)
        if due and self.progress.step < self.steps:
            self._refuse_non_finite(self.progress.sums["train_loss"])
            self.save()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Loss of one validation batch."""
        keys = self.data.keys_of(self.validation_plan[batch_idx], self.device)
        self._add("val", self.objective(self.data.prepare(batch, None), None, *keys), len(batch))

    def on_train_epoch_end(self) -> None:
        """Close the epoch, validation included: metrics, best weights, early stopping, state."""
        progress, row = self.progress, self._close_epoch()
        progress.history.append(row)
        if self.objective.keeps_last or row["val_loss"] < progress.best_loss:
            progress.best_loss, progress.best_epoch, progress.stale = row["val_loss"], progress.epoch + 1, 0
            progress.best = {name: value.cpu().clone() for name, value in self.objective.state_dict().items()}
        else:
            progress.stale += 1
        progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, {}
        self.save()
        for logger in self.loggers:
            logger.log_metrics({k: v for k, v in row.items() if k != "epoch"}, step=progress.epoch)
        self._tell(row)
        self.trainer.should_stop = progress.stale >= self.settings.patience

    def _place(self) -> Step:
        return Step(self.progress.epoch * self.steps + self.progress.step, self.steps, self.settings.epochs)

    def save(self) -> None:
        """Write the whole training state, which is that of one process or of any number of them."""
        state = {
            "objective": self.objective.state_dict(),
            "optimizer": self.trainer.optimizers[0].state_dict(),
            "progress": {**vars(self.progress), "sums": distributed.sum_dicts(self.progress.sums)},
        }
        if distributed.rank() == 0:
            self.resume.save(state)
        self._saved = time.monotonic()

    def _add(self, stage: str, outcome: Outcome, count: int) -> None:
        values = {"loss": outcome.loss, **outcome.parts}
        added = {f"{stage}_{name}": value.detach().double() * count for name, value in values.items()}
        added[f"{stage}_count"] = torch.tensor(count, dtype=torch.float64, device=self.device)
        if outcome.codes is not None:
            added[f"{stage}_codes"] = outcome.codes.detach().double()
        for name, value in added.items():
            before = self.progress.sums.get(name)
            self.progress.sums[name] = value if before is None else before + value

    def _close_epoch(self) -> Metrics:
        sums = distributed.sum_dicts(self.progress.sums)
        row: Metrics = {"epoch": self.progress.epoch + 1}
        for stage in ("train", "val"):
            count = float(sums[f"{stage}_count"])
            for name, value in sums.items():
                if name.startswith(f"{stage}_") and value.ndim == 0 and not name.endswith("_count"):
                    row[name] = float(value) / count
            self._refuse_non_finite(sums[f"{stage}_loss"])
        if "val_codes" in sums:
            row["perplexity"] = perplexity(sums["val_codes"])
            row["codes_in_use"] = int((sums["val_codes"] > 0).sum())
        row["learning_rate"] = self.learning_rate(self.progress.epoch * self.steps + self.steps - 1)
        return row

    def _refuse_non_finite(self, value: Tensor) -> None:
        if distributed.any_of(not torch.isfinite(value)):
            raise PhenoloomError(
                f"{self.name}: the loss is not finite in epoch {self.progress.epoch + 1}; lower "
                f"training.learning_rate (now {self.settings.learning_rate:g}) or raise training.warmup_epochs"
            )

    def _tell(self, row: Metrics) -> None:
        now, last = time.monotonic(), self.progress.epoch == self.settings.epochs
        if distributed.rank() or (now - self._told < SECONDS_BETWEEN_LINES and not last):
            return
        print(
            f"{self.name}: epoch {self.progress.epoch}/{self.settings.epochs}, train {row['train_loss']:.4g}, "
            f"validation {row['val_loss']:.4g} (best {self.progress.best_loss:.4g} in epoch "
            f"{self.progress.best_epoch}), {self._items * self.trainer.world_size / (now - self._told):.0f} items/s",
            file=sys.stderr,
            flush=True,
        )
        self._told, self._items = now, 0


def decay_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups of parameters: matrices and kernels with decay; vectors and scalars without."""
    parameters: Iterable[nn.Parameter] = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
