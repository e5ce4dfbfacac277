"""The Lightning module of a training: steps, validation, early stopping, metrics, and a state to continue from."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor

from ..config.training import Training
from ..core.progress import SECONDS_BETWEEN_LINES
from ..core.seeds import stable_seed
from ..data.loader import Epoch, Rows, cut
from ..nets import collective as distributed
from ..objectives import Objective, Outcome, Step
from .batches import TrainingData, cut_parts
from .ema import ValidatedAverage, WeightAverage
from .epoch_metrics import Metrics, Throughput, add_outcome, means
from .monitors import measure
from .optim import Schedules, build_optimizer
from .resume import Progress
from .safeguard import Safeguard

SECONDS_BETWEEN_SAVES = 600.0
STEPS_BETWEEN_CHECKS = 50
"""Reading a loss makes the device wait, so that it is checked only now and then."""
Watch = Callable[[Progress], bool]
"""Sees the progress of a training after each epoch; True stops it."""


class Pretraining(pl.LightningModule):  # type: ignore[misc] # Lightning is not typed
    """The training of one objective; all of its randomness is a function of the seed, the epoch and the step.

    Optimisation is manual in Lightning's sense, because a batch may be computed in parts, and only the last part
    exchanges gradients with the other processes.

    Attributes:
        progress: How far the training is.
        watch: Sees the progress after each epoch, and may stop the training.
    """

    def __init__(
        self, objective: Objective, settings: Training, data: TrainingData, seed: int, safeguard: Safeguard
    ) -> None:
        """Set up a training, which `restore` may then take to a saved state.

        Args:
            objective: The network, on its device.
            settings: How it is trained.
            data: The batches.
            seed: Seed of order, augmentation and the objective's own draws.
            safeguard: Where the state is saved, and when the training has failed.
        """
        super().__init__()
        self.automatic_optimization = False
        # Of several processes one may have no validation batch.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.objective, self.settings = objective, settings
        self.data, self.seed, self.safeguard = data, seed, safeguard
        self.average = WeightAverage(objective, settings.ema) if settings.ema else None
        self.progress, self.throughput = Progress(), Throughput(data.train)
        self.steps = data.steps(settings.batch_size)
        self.schedules = Schedules(settings, self.steps)
        self.watch: Watch | None = None
        self.plan: list[Rows] = []
        self.validation_plan: list[Rows] = []
        self._saved = self._printed = time.monotonic()
        self._sizes: list[int] = []
        self._optimizer_state: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Return whether no epoch is left, or validation has not improved for too long."""
        return self.progress.epoch >= self.settings.epochs or self.progress.stale >= self.settings.patience

    def restore(self) -> None:
        """Continue from the last saved state, if there is one."""
        if (state := self.safeguard.load()) is None:
            return
        self.objective.load_state_dict(state["objective"])
        self._optimizer_state = state["optimizer"]
        if self.average:
            self.average.load_state(state["average"])
        self.progress = Progress(**state["progress"])
        at = f"epoch {self.progress.epoch + 1}, step {self.progress.step + 1}"
        print(f"{self.safeguard.name}: continues at {at}", file=sys.stderr)

    @property
    def callbacks(self) -> list[pl.Callback]:
        """Return what the trainer must call beside the module."""
        return [self.throughput, *([ValidatedAverage(self.average)] if self.average else [])]

    def train_dataloader(self) -> Epoch:
        """Return the batches of this epoch that are still to come; the trainer asks again for each epoch."""
        plan = self.data.order(self.settings.batch_size, self.seed, self.progress.epoch)
        self._sizes = [len(batch) for batch in plan]
        self.plan = distributed.share(plan)
        return Epoch(self.data.train, self.plan[self.progress.step :])

    def val_dataloader(self) -> Epoch:
        """Return this process's validation batches, in a fixed order."""
        plan = self.data.validation_order(self.settings.batch_size)
        self.validation_plan = plan[distributed.rank() :: self.trainer.world_size]
        return Epoch(self.data.validation, self.validation_plan)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of the settings, in the state that was saved."""
        optimizer = build_optimizer(self.objective, self.settings)
        if self._optimizer_state is not None:
            optimizer.load_state_dict(self._optimizer_state)
            self._optimizer_state = None
        return optimizer

    def on_train_start(self) -> None:
        """Bring the state to the device, and note the precision of the steps to come."""
        # Sums are those of all processes: one of them carries them on.
        sums = self.progress.sums if distributed.rank() == 0 else {}
        self.progress.sums = {name: value.to(self.device) for name, value in sums.items()}
        self.progress.continue_in(self.trainer.precision)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Take one step: accumulate the gradients of the parts of a batch, and apply them."""
        optimizer, at = self.optimizers(), self._step()
        optimizer.zero_grad()
        place = (self.progress.epoch, self.progress.step, *([distributed.rank()] if distributed.rank() else []))
        generator = torch.Generator(self.device).manual_seed(stable_seed(self.seed, *place))
        self.objective.before_step(at)
        keys = self.data.keys_of(self.plan[self.progress.step], self.device)
        everyone = self._sizes[self.progress.step]
        # Augmented as a whole, so that parts see what the batch would have.
        inputs = self.data.prepare(batch, generator, self.plan[self.progress.step])
        parts = cut_parts(inputs, keys, self.settings.accumulate, everyone // self.trainer.world_size)
        for part in parts[:-1]:
            loss = self._loss(part, generator, everyone)
            with self._single_precision():
                loss.backward()  # type: ignore[no-untyped-call]
            # The cast weights belong to a graph that is gone.
            torch.clear_autocast_cache()
        loss = self._loss(parts[-1], generator, everyone)
        with self._single_precision():
            # Processes exchange gradients in this one backward pass.
            self.manual_backward(loss)
            self._update(optimizer, at)

    def _update(self, optimizer: LightningOptimizer, at: Step) -> None:
        """Apply the accumulated gradients with the learning rate and the weight decay of the step."""
        self.objective.before_update(at)
        for group in optimizer.param_groups:
            group["lr"] = self.schedules.learning_rate(at.number)
        optimizer.param_groups[0]["weight_decay"] = self.schedules.weight_decay(at.number)
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, self.settings.gradient_clip)
        optimizer.step()
        self.objective.after_update(at)
        if self.average:
            self.average.follow(at.number)

    def _loss(self, part: tuple[Tensor, ...], generator: torch.Generator, everyone: int) -> Tensor:
        inputs, *keys = part
        outcome: Outcome = self.objective(inputs, generator, *keys)
        add_outcome(self.progress.sums, "train", outcome, len(inputs))
        return outcome.loss * distributed.weight(len(inputs), everyone)

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        """Count the step, and save the state if that was long ago or the job is about to be killed."""
        self.progress.step += 1
        if self.progress.step % STEPS_BETWEEN_CHECKS == 0:
            self.safeguard.refuse_non_finite(self.progress, self.progress.sums["train_loss"])
        late = distributed.rank() == 0 and time.monotonic() - self._saved >= SECONDS_BETWEEN_SAVES
        due = distributed.any_of(late or self.trainer.received_sigterm)
        if due and self.progress.step < self.steps:
            self.safeguard.refuse_non_finite(
                self.progress, self.progress.sums["train_loss"], *self.objective.parameters()
            )
            self.safeguard.set_aside(self.progress)
            self.save()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Add the loss of one validation batch."""
        rows = self.validation_plan[batch_idx]
        keys = self.data.keys_of(rows, self.device)
        inputs = self.data.prepare(batch, None, rows)
        outcome = self.objective(inputs, None, keys) if keys is not None else self.objective(inputs, None)
        add_outcome(self.progress.sums, "val", outcome, len(batch))

    def on_train_epoch_end(self) -> None:
        """Close the epoch, validation included: metrics, best weights, early stopping, state."""
        progress, row = self.progress, self._close_epoch()
        with self._kept_weights():
            row |= self._measure()
            under = self.safeguard.under_floors(row)
            better = not under and (self.objective.keeps_last or row["val_loss"] < progress.best_loss)
            if better:
                progress.best = {name: value.cpu().clone() for name, value in self.objective.state_dict().items()}
        progress.history.append(row)
        progress.speeds.append({"epoch": row["epoch"], **self.throughput.read()})
        if better:
            progress.best_loss, progress.best_epoch, progress.stale = row["val_loss"], progress.epoch + 1, 0
        else:
            progress.stale += 1
        progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, {}
        self.safeguard.refuse_collapse(progress, row, under)
        self.save()
        for logger in self.loggers:
            logged = {k: v for k, v in (row | progress.speeds[-1]).items() if k != "epoch"}
            logger.log_metrics(logged, step=progress.epoch)
        self._print(row)
        self.trainer.should_stop = progress.stale >= self.settings.patience or bool(self.watch and self.watch(progress))

    def save(self) -> None:
        """Write the whole training state, from which any number of processes can continue."""
        state = {
            "objective": self.objective.state_dict(),
            "optimizer": self.trainer.optimizers[0].state_dict(),
            "average": self.average.state() if self.average else [],
            "progress": {**vars(self.progress), "sums": distributed.sum_dicts(self.progress.sums)},
        }
        self.safeguard.save(state)
        self._saved = time.monotonic()

    def _kept_weights(self) -> AbstractContextManager[None]:
        """Give the network, within the context, the weights that will embed: their average if there is one."""
        return self.average.in_place() if self.average else nullcontext()

    def _single_precision(self) -> AbstractContextManager[None]:
        """Leave the automatic casts in which Lightning runs a step, which are for forward passes only."""
        return torch.autocast(self.device.type, enabled=False)

    def _step(self) -> Step:
        return Step(self.progress.epoch * self.steps + self.progress.step, self.steps, self.settings.epochs)

    def _close_epoch(self) -> Metrics:
        row = {"epoch": self.progress.epoch + 1, **means(self.progress.sums)}
        self.safeguard.refuse_non_finite(
            self.progress, torch.tensor([row["train_loss"], row["val_loss"]]), *self.objective.parameters()
        )
        last = self.progress.epoch * self.steps + self.steps - 1
        row["learning_rate"] = self.schedules.learning_rate(last)
        if self.settings.final_weight_decay is not None:
            row["weight_decay"] = self.schedules.weight_decay(last)
        return row

    @torch.no_grad()
    def _measure(self) -> Metrics:
        """Return the monitors of the vectors of the sample, to which every process adds its share."""
        rows = np.array_split(self.data.sample.rows, self.trainer.world_size)[distributed.rank()]
        plan = cut(rows, self.settings.batch_size)
        batches = (
            self.data.prepare(batch, None, part)
            for part, batch in zip(plan, self.data.validation.batches(plan), strict=True)
        )
        self.objective.eval()
        with self.trainer.precision_plugin.forward_context():
            vectors = [self.objective.embed(inputs, orientations=False).float().cpu() for inputs in batches]
        self.objective.train()
        self.safeguard.refuse_non_finite(self.progress, *vectors)
        if distributed.active():
            vectors = list(chain.from_iterable(distributed.gather_objects(vectors)))
        return measure(self.data.sample, torch.cat(vectors))

    def _print(self, row: Metrics) -> None:
        now, last = time.monotonic(), self.progress.epoch == self.settings.epochs
        if distributed.rank() or (now - self._printed < SECONDS_BETWEEN_LINES and not last):
            return
        speed = self.progress.speeds[-1]
        print(
            f"{self.safeguard.name}: epoch {self.progress.epoch}/{self.settings.epochs}, "
            f"train {row['train_loss']:.4g}, validation {row['val_loss']:.4g} "
            f"(best {self.progress.best_loss:.4g} in epoch {self.progress.best_epoch}), "
            f"effective rank {row['effective_rank']:.3g}, "
            f"{speed['items_per_second']:.0f} items/s, {speed['waited_for_data']:.0%} of the time waiting for data",
            file=sys.stderr,
            flush=True,
        )
        self._printed = now
