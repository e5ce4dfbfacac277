"""The section `tune`: a search for settings of a model."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .base import Section

MORE_IS_BETTER = re.compile(
    r"((train|val)_)?(knn_accuracy|effective_rank|embedding_spread|perplexity|codes_in_use|teacher_information|spread)"
)
"""Columns of `metrics.csv` that are better if larger; all others are better if smaller."""

Number = int | float
Value = bool | int | float | str | None


class Range(Section):
    """Values that a key may take: `choices`, or numbers from `low` to `high`."""

    low: Number | None = Field(None, description="smallest value; if both bounds are integers, all values are")
    high: Number | None = Field(None, description="largest value")
    log: bool = Field(False, description="draw values evenly on a logarithmic scale, for rates and sizes")
    step: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="distance between two values, counted from `low`"
    )
    choices: list[Value] | None = Field(None, min_length=2, description="values to choose from, in no order")

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)

    @property
    def ends(self) -> list[Any]:
        """The choices, or both bounds; a model must accept each of them."""
        return list(self.choices) if self.choices is not None else [self.low, self.high]

    @model_validator(mode="after")
    def _one_kind(self) -> Range:
        bounded = self.low is not None and self.high is not None
        if (self.choices is None) != bounded or (self.choices is not None and (self.log or self.step)):
            raise ValueError("give `choices` alone, or `low` and `high` (with `log` or `step`)")
        if self.choices is not None or self.low is None or self.high is None:
            return self
        if not self.low < self.high:
            raise ValueError(f"`low` must be below `high`, found {self.low} and {self.high}")
        if self.log and self.step:
            raise ValueError("give `log` or `step`, not both")
        if self.log and self.low <= 0:
            raise ValueError(f"`log` needs a `low` above zero, found {self.low}")
        return self


class Tune(Section):
    """Search for settings before training (Akiba et al. 2019), in the train groups of each split."""

    ranges: dict[str, Range] = Field(
        min_length=1, description="key of the model (`training.learning_rate`) -> values that it may take"
    )
    trials: int = Field(20, ge=2, description="number of settings to try, each by a training that may be pruned")
    workers: int = Field(
        1, ge=1, description="jobs that share the trials of a split; with one, a rerun gives the same bytes"
    )
    metric: str = Field(
        "val_loss",
        pattern=r"^[a-z_]+$",
        description="column of `metrics.csv` to optimise, measured on groups held out of the train groups. `val_loss` "
        "compares only settings that do not change the loss itself; `knn_accuracy` compares any, but uses labels. "
        "Losses are minimised; accuracy, rank, spread, information and codes are maximised",
    )
    epochs: int | None = Field(None, ge=1, description="maximum epochs of a trial; none: those of training")
    random_trials: int = Field(5, ge=1, description="trials drawn at random before the sampler (TPE) proposes settings")
    pruner: Literal["median", "halving", "none"] = Field(
        "median",
        description="`median`: stop a trial that is worse than the median of the others at its epoch; `halving`: "
        "successive halving",
    )
    pruned_after: int = Field(3, ge=1, description="epochs that each trial runs before it may be pruned")

    @property
    def maximise(self) -> bool:
        """Whether a larger metric is better."""
        return MORE_IS_BETTER.fullmatch(self.metric) is not None

    @model_validator(mode="after")
    def _searched_keys(self) -> Tune:
        for key in self.ranges:
            if key.split(".")[0] in {"view", "variants", "tune"}:
                raise ValueError(f"`{key}` defines the model, so it cannot be searched")
            if key == "training.validation_fraction":
                raise ValueError(f"`{key}` chooses the groups that decide, so it cannot be searched")
            if key == "training.epochs" and self.epochs is not None:
                raise ValueError("`training.epochs` is searched, so `tune.epochs` cannot be given too")
        return self
