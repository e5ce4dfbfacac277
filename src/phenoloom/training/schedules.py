"""Learning rate and weight decay of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..config.training import Training


def cosine(step: float, steps: float, first: float, last: float) -> float:
    """Half a cosine from `first` at step 0 to `last` at step `steps`."""
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2


@dataclass(frozen=True)
class Schedules:
    """The schedules of a training with `per_epoch` steps an epoch; steps count from 0 over all epochs."""

    training: Training
    per_epoch: int

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine (Loshchilov and Hutter 2017), by step."""
        training = self.training
        warmup = min(training.warmup_epochs, training.epochs // 2) * self.per_epoch
        if step < warmup:
            return training.peak_learning_rate * (step + 1) / warmup
        total = training.epochs * self.per_epoch
        return cosine(step - warmup, total - warmup, training.peak_learning_rate, training.last_learning_rate)

    def weight_decay(self, step: int) -> float:
        """Half a cosine over all steps (Caron et al. 2021), or always the same."""
        first, last = self.training.weight_decay, self.training.final_weight_decay
        return first if last is None else cosine(step, self.training.epochs * self.per_epoch, first, last)
