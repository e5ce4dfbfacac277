"""The Lightning side of pretraining: steps, schedules, early stopping, metrics, and a state that can be put back."""

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
from torch import Tensor

from ..config.training import Collapse, Training
from ..core.progress import SECONDS_BETWEEN_LINES
from ..core.seeds import stable_seed
from ..data.loader import Epoch, Rows, cut
from ..nets import collective as distributed
from ..objectives import Objective, Outcome, Step
from . import epoch_metrics as tally
from .batches import TrainingData, cut_parts
from .collapse import all_finite, collapse_error, non_finite_error, under_floors
from .ema import WeightAverage
from .epoch_metrics import Clock, Metrics
from .monitors import measure
from .optim import Schedules, build_optimizer
from .resume import Progress, ResumeFolder

SECONDS_BETWEEN_SAVES = 600.0
Watch = Callable[[Progress], bool]
"""Looks at a training after each epoch; True stops it."""
STEPS_BETWEEN_CHECKS = 50
"""Looking at a loss makes the device wait, so that it is done now and then."""


class Pretraining(pl.LightningModule):  # type: ignore[misc] # Lightning is not typed
    """Trains one objective; all of its randomness is a function of the seed, the epoch and the step."""

    def __init__(
        self,
        name: str,
        objective: Objective,
        settings: Training,
        data: TrainingData,
        seed: int,
        resume: ResumeFolder,
        floors: Collapse,
    ) -> None:
        super().__init__()
        # Of several processes one may have no validation batch.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.name, self.objective, self.settings = name, objective, settings
        self.data, self.seed, self.resume, self.floors = data, seed, resume, floors
        self.average = WeightAverage(objective, settings.ema) if settings.ema else None
        self.progress, self.clock = Progress(), Clock(data.train)
        self.steps = data.steps(settings.batch_size)
        self.schedules = Schedules(settings, self.steps)
        self.watch: Watch | None = None
        self.plan: list[Rows] = []
        self.validation_plan: list[Rows] = []
        self._saved = self._told = time.monotonic()
        self._sizes: list[int] = []
        self._proven = True
        self._validated: AbstractContextManager[None] = nullcontext()

    def train_dataloader(self) -> Epoch:
        """The batches of this epoch that are still to come (the trainer asks again for each epoch)."""
        plan = self.data.order(self.settings.batch_size, self.seed, self.progress.epoch)
        self._sizes = [len(batch) for batch in plan]
        self.plan = distributed.share(plan)
        return Epoch(self.data.train, self.plan[self.progress.step :])

    def val_dataloader(self) -> Epoch:
        """This process's validation batches, in a fixed order."""
        plan = self.data.validation_order(self.settings.batch_size)
        self.validation_plan = plan[distributed.rank() :: self.trainer.world_size]
        return Epoch(self.data.validation, self.validation_plan)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser of the settings."""
        return build_optimizer(self.objective, self.settings)

    def on_fit_start(self) -> None:
        """Continue from the last state, if there is one."""
        if (state := self.resume.load()) is None:
            return
        self.objective.load_state_dict(state["objective"])
        self.trainer.optimizers[0].load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state(state["average"])
        self.progress = Progress(**state["progress"])
        self._proven = not self.resume.has_good
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
        self.progress.go_on_in(self.trainer.precision)

    def on_train_epoch_start(self) -> None:
        """Begin to measure."""
        self.clock.start()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Set the learning rate and the weight decay of this step."""
        self.objective.before_update(self._place())
        step = self._place().number
        for group in optimizer.param_groups:
            group["lr"] = self.schedules.learning_rate(step)
        optimizer.param_groups[0]["weight_decay"] = self.schedules.weight_decay(step)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Nothing: `training_step` begins with gradients of zero, and may have gathered some when Lightning asks."""

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """One step: the loss of the batch, or of its last part when the gradients of the others are gathered."""
        self.trainer.optimizers[0].zero_grad()
        place = (self.progress.epoch, self.progress.step, *([distributed.rank()] if distributed.rank() else []))
        generator = torch.Generator(self.device).manual_seed(stable_seed(self.seed, *place))
        self.objective.before_step(self._place())
        keys = self.data.keys_of(self.plan[self.progress.step], self.device)
        everyone = self._sizes[self.progress.step]
        # Augmented as a whole, so that parts see what the batch would have.
        inputs = self.data.prepare(batch, generator, self.plan[self.progress.step])
        parts = cut_parts(inputs, keys, self.settings.accumulate, everyone // self.trainer.world_size)
        for part in parts[:-1]:
            loss = self._train(part, generator, everyone)
            with torch.autocast(self.device.type, enabled=False):
                loss.backward()  # type: ignore[no-untyped-call]
            # The cast weights belong to a graph that is gone.
            torch.clear_autocast_cache()
        return self._train(parts[-1], generator, everyone)

    def _train(self, part: tuple[Tensor, ...], generator: torch.Generator, everyone: int) -> Tensor:
        inputs, *keys = part
        outcome: Outcome = self.objective(inputs, generator, *keys)
        tally.add(self.progress.sums, "train", outcome, len(inputs))
        return outcome.loss * distributed.weight(len(inputs), everyone)

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        """Count the step, and save the state if that was long ago or the job is about to be killed."""
        self.objective.after_update(self._place())
        if self.average:
            self.average.follow(self._place().number)
        self.progress.step += 1
        self.clock.count(len(batch))
        if self.progress.step % STEPS_BETWEEN_CHECKS == 0:
            self._refuse_non_finite(self.progress.sums["train_loss"])
        late = distributed.rank() == 0 and time.monotonic() - self._saved >= SECONDS_BETWEEN_SAVES
        due = distributed.any_of(late or self.trainer.received_sigterm)
        if due and self.progress.step < self.steps:
            self._refuse_non_finite(self.progress.sums["train_loss"], *self.objective.parameters())
            # No loss has shown what the last update was worth.
            if self.progress.collapsed == 0 and distributed.rank() == 0:
                self.resume.set_aside()
            self.save()
            self._proven = False

    def on_validation_start(self) -> None:
        """Validate the weights that would be kept."""
        self._validated = self._kept_weights()
        self._validated.__enter__()

    def on_validation_end(self) -> None:
        """Go on with the weights that are trained."""
        self._validated.__exit__(None, None, None)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Loss of one validation batch."""
        rows = self.validation_plan[batch_idx]
        keys = self.data.keys_of(rows, self.device)
        inputs = self.data.prepare(batch, None, rows)
        outcome = self.objective(inputs, None, keys) if keys is not None else self.objective(inputs, None)
        tally.add(self.progress.sums, "val", outcome, len(batch))

    def on_train_epoch_end(self) -> None:
        """Close the epoch, validation included: metrics, best weights, early stopping, state."""
        progress, row = self.progress, self._close_epoch()
        with self._kept_weights():
            row |= self._look()
            under = under_floors(row, self.floors) if self.floors.epochs else []
            better = not under and (self.objective.keeps_last or row["val_loss"] < progress.best_loss)
            if better:
                progress.best = {name: value.cpu().clone() for name, value in self.objective.state_dict().items()}
        progress.history.append(row)
        progress.speeds.append({"epoch": row["epoch"], **self.clock.read()})
        if better:
            progress.best_loss, progress.best_epoch, progress.stale = row["val_loss"], progress.epoch + 1, 0
        else:
            progress.stale += 1
        progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, {}
        self._watch(row, under)
        self.save()
        for logger in self.loggers:
            logged = {k: v for k, v in (row | progress.speeds[-1]).items() if k != "epoch"}
            logger.log_metrics(logged, step=progress.epoch)
        self._tell(row)
        self.trainer.should_stop = progress.stale >= self.settings.patience or bool(self.watch and self.watch(progress))

    def save(self) -> None:
        """Write the whole training state, which is that of one process or of any number of them."""
        state = {
            "objective": self.objective.state_dict(),
            "optimizer": self.trainer.optimizers[0].state_dict(),
            "average": self.average.state() if self.average else [],
            "progress": {**vars(self.progress), "sums": distributed.sum_dicts(self.progress.sums)},
        }
        if distributed.rank() == 0:
            self.resume.save(state)
        self._saved = time.monotonic()

    def _kept_weights(self) -> AbstractContextManager[None]:
        """For a while, the network has the weights that embed: their average if there is one."""
        return self.average.in_place() if self.average else nullcontext()

    def _place(self) -> Step:
        return Step(self.progress.epoch * self.steps + self.progress.step, self.steps, self.settings.epochs)

    def _close_epoch(self) -> Metrics:
        row = {"epoch": self.progress.epoch + 1, **tally.closed(self.progress.sums)}
        self._refuse_non_finite(torch.tensor([row["train_loss"], row["val_loss"]]), *self.objective.parameters())
        last = self.progress.epoch * self.steps + self.steps - 1
        row["learning_rate"] = self.schedules.learning_rate(last)
        if self.settings.final_weight_decay is not None:
            row["weight_decay"] = self.schedules.weight_decay(last)
        return row

    @torch.no_grad()
    def _look(self) -> Metrics:
        """Figures of the vectors of the sample, to which every process adds its share."""
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
        self._refuse_non_finite(*vectors)
        if distributed.active():
            vectors = list(chain.from_iterable(distributed.gather_objects(vectors)))
        return measure(self.data.sample, torch.cat(vectors))

    def _watch(self, row: Metrics, under: list[str]) -> None:
        """Stop a training that collapsed, and leave the last state from before that; raises PhenoloomError."""
        progress, floors = self.progress, self.floors
        first = distributed.rank() == 0
        if not under:
            progress.collapsed = 0
            if first:
                self.resume.forget_good()
            return
        if progress.collapsed == 0 and first:
            self.resume.set_aside()
        progress.collapsed += 1
        last = progress.epoch == self.settings.epochs or progress.stale >= self.settings.patience
        # Weights of a collapsed epoch are no result, however few such epochs there were.
        if progress.collapsed >= floors.epochs or (last and progress.best_epoch == 0):
            if first:
                self.resume.go_back()
            raise collapse_error(self.name, row, under, progress.collapsed, self.resume.told())

    def _refuse_non_finite(self, *values: Tensor) -> None:
        """Raise PhenoloomError for numbers that are none; else the last state is proven to be good."""
        first = distributed.rank() == 0
        if all_finite(values):
            if not self._proven and self.progress.collapsed == 0 and first:
                self.resume.forget_good()
            self._proven = True
            return
        if not self._proven and first:
            self.resume.go_back()
        raise non_finite_error(self.name, self.progress.epoch + 1, self.settings, self.resume.told())

    def _tell(self, row: Metrics) -> None:
        now, last = time.monotonic(), self.progress.epoch == self.settings.epochs
        if distributed.rank() or (now - self._told < SECONDS_BETWEEN_LINES and not last):
            return
        speed = self.progress.speeds[-1]
        print(
            f"{self.name}: epoch {self.progress.epoch}/{self.settings.epochs}, train {row['train_loss']:.4g}, "
            f"validation {row['val_loss']:.4g} (best {self.progress.best_loss:.4g} in epoch "
            f"{self.progress.best_epoch}), effective rank {row['effective_rank']:.3g}, "
            f"{speed['items_per_second']:.0f} items/s, {speed['waited_for_data']:.0%} of the time waiting for data",
            file=sys.stderr,
            flush=True,
        )
        self._told = now
