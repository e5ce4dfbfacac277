"""Which settings of a model are searched for, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .study import Section

MORE_IS_BETTER = re.compile(
    r"((train|val)_)?(knn_accuracy|effective_rank|embedding_spread|perplexity|codes_in_use|teacher_information|spread)"
)
"""Columns of `metrics.csv` of which more is better; of all others less is."""

Number = int | float
Value = bool | int | float | str | None


class Range(Section):
    """Values that a key may take: `choices`, or whole numbers or numbers between `low` and `high`."""

    low: Number | None = Field(None, description="smallest value; a range whose bounds are whole numbers is of these")
    high: Number | None = Field(None, description="largest value")
    log: bool = Field(False, description="draw the logarithm evenly, for rates and sizes")
    step: Annotated[Number, Field(gt=0)] | None = Field(None, description="distance of two values, from `low`")
    choices: list[Value] | None = Field(None, min_length=2, description="values to choose from, without an order")

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)

    @property
    def ends(self) -> list[Any]:
        """The choices, or both bounds: a model must accept each of them."""
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
    """A search for settings before training, by each split in its own train groups (Akiba et al. 2019)."""

    ranges: dict[str, Range] = Field(
        min_length=1, description="key of the model (`training.learning_rate`) -> the values that it may take"
    )
    trials: int = Field(20, ge=2, description="settings that are tried, each by a training that may be stopped early")
    workers: int = Field(
        1, ge=1, description="jobs that share the trials of a split; one job gives the same bytes again"
    )
    metric: str = Field(
        "val_loss",
        pattern=r"^[a-z_]+$",
        description="column of `metrics.csv` that decides, on groups held out of the train groups: `val_loss`, which "
        "compares only settings that leave the loss what it is, or for example `knn_accuracy`, which uses their "
        "labels; less is better of losses, more of figures of health (accuracy, rank, spread, information, codes)",
    )
    epochs: int | None = Field(None, ge=1, description="most epochs of a trial; none: as many as training has")
    random_trials: int = Field(5, ge=1, description="trials drawn at random before the sampler (TPE) looks at them")
    pruner: Literal["median", "halving", "none"] = Field(
        "median",
        description="stop a trial that is worse than the median of the others at its epoch, or halve their field",
    )
    pruned_after: int = Field(3, ge=1, description="epochs that each trial may take")

    @property
    def maximise(self) -> bool:
        """Whether more of the metric is better."""
        return MORE_IS_BETTER.fullmatch(self.metric) is not None

    @model_validator(mode="after")
    def _searched_keys(self) -> Tune:
        for key in self.ranges:
            if key.split(".")[0] in {"view", "variants", "tune"}:
                raise ValueError(f"`{key}` says what the model is, and cannot be searched")
            if key == "training.validation_fraction":
                raise ValueError(f"`{key}` says which groups decide, and cannot be searched")
            if key == "training.epochs" and self.epochs is not None:
                raise ValueError("`training.epochs` is searched, so `tune.epochs` cannot be given too")
        return self


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key as the sections of a file."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        inside = result
        for part in parents:
            inside = inside.setdefault(part, {})
        inside[last] = value
    return result


DESCRIPTION = (
    "search for settings in each split's train groups before training there; trains up to `trials` times more often"
)
