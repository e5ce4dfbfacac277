"""The section `training`: optimiser, schedule, stopping rules and hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import OpenFraction, Section

Momentum = Annotated[float, Field(ge=0, lt=1)]


class Collapse(Section):
    """Floors under which a training has collapsed and stops: its vectors no longer differ between tiles."""

    epochs: int = Field(
        5, ge=0, description="consecutive epochs under a floor after which training stops; 0: never stop"
    )
    least_rank: float = Field(
        1.1, ge=0, description="floor of the effective rank of the centred vectors (Roy and Vetterli 2007)"
    )
    least_spread: float = Field(
        1e-4,
        ge=0,
        le=1,
        description="floor of the sd of unit vectors in each dimension, in units of 1 / sqrt(dimensions)",
    )
    least_information: float = Field(
        1e-4,
        ge=0,
        description="floor, in nats, of the entropy of the codes in use (VQ-VAE), or of the mutual information between "
        "tile and teacher output (DINO)",
    )


class Balance(Section):
    """Shares of the studies in a training on several studies: each batch holds items of each study by its share."""

    size_exponent: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="exponent of the number of items in the share of a study (Conneau et al. 2020, section 3.1). 0: "
        "equal shares; 1: shares in proportion to size",
    )
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="study -> factor of its share; 1 for a study that is not named"
    )
    epoch_items: int | None = Field(
        None,
        ge=2,
        description="items in an epoch; none: as many as all studies have together. Items of a small study are "
        "repeated, each as often as the others to within one",
    )


@dataclass(frozen=True)
class RunOptions:
    """Options of a training that change its result by rounding only.

    Attributes:
        compile: Compile the networks with torch.compile.
        gradient_checkpointing: Compute blocks again in the backward pass, which saves memory.
        collapse: When a training counts as collapsed and stops.
    """

    compile: bool = False
    gradient_checkpointing: bool = False
    collapse: Collapse = Collapse()  # noqa: RUF009 - a frozen section


class Training(Section):
    """Optimiser, schedule, stopping rules and hardware of training."""

    epochs: int = Field(100, ge=1, description="maximum number of epochs")
    seed: int = Field(
        0,
        ge=0,
        description="seed of initial weights, order and augmentations; folds and validation groups do not depend on "
        "it. `variants: {training.seed: [0, 1, 2]}` shows how much scores vary by chance",
    )
    batch_size: int = Field(64, ge=2, description="tiles or contours in a step, over all processes")
    accumulate: int = Field(
        1,
        ge=1,
        description="parts of a batch that are computed one after the other, to bound memory. The gradient is that of "
        "the whole batch, but batch norms, codebooks and terms between items see one part",
    )
    optimizer: Literal["adamw", "lamb", "sgd"] = Field(
        "adamw",
        description="AdamW (Loshchilov and Hutter 2019), LAMB (You et al. 2020) for large batches, or SGD",
    )
    learning_rate: float = Field(
        1e-3, gt=0, description="peak learning rate of the optimiser at a batch of `base_batch_size`"
    )
    base_batch_size: int | None = Field(
        None, ge=2, description="batch size that `learning_rate` was chosen for; none: `batch_size`"
    )
    learning_rate_scaling: Literal["sqrt", "linear"] = Field(
        "sqrt",
        description="scaling of the learning rate with `batch_size` / `base_batch_size`. `sqrt`: by its square root, "
        "for Adam (Malladi et al. 2022); `linear`: in proportion (Goyal et al. 2017)",
    )
    final_learning_rate: float = Field(
        0.0, ge=0, description="learning rate at the end of the cosine; scaled with the batch size like the peak"
    )
    betas: tuple[Momentum, Momentum] = Field(
        (0.9, 0.999), description="decay of the moving averages of gradients and squared gradients in AdamW and LAMB"
    )
    momentum: Momentum = Field(0.9, description="momentum of SGD")
    weight_decay: float = Field(
        0.05, ge=0, description="weight decay; not applied to biases, norms, class tokens, positions and codebooks"
    )
    final_weight_decay: float | None = Field(
        None, ge=0, description="weight decay at the last step, reached along a cosine; none: constant"
    )
    warmup_epochs: int = Field(5, ge=0, description="epochs of linear warm-up, before the cosine decay")
    gradient_clip: float = Field(1.0, gt=0, description="maximum norm of the gradient")
    ema: Momentum = Field(
        0.0,
        description="decay of a moving average of the weights, which validation and embedding use; 0: off. At step n "
        "the decay is at most (1 + n) / (10 + n)",
    )
    validation_fraction: OpenFraction = Field(
        0.1, description="share of the train groups that is held out for early stopping; never a test group"
    )
    patience: int = Field(20, ge=1, description="epochs without a better validation loss before training stops")
    balance: Balance = Field(
        default_factory=Balance, description="shares of the studies in a training on several studies"
    )
    foreground_exponent: Annotated[float, Field(ge=0, le=4)] = Field(
        0.0,
        description="exponent of the share of foreground in the frequency of a tile in training, at the same length of "
        "an epoch; for grids with much background. In tiles of objects it would favour large objects. 0: every tile "
        "once. Validation always takes every tile once",
    )
    collapse: Collapse = Field(
        default_factory=Collapse, description="floors under which a training has collapsed and stops; changes no result"
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto",
        description="precision of the networks; augmentation is always float32. `auto`: bf16 if the device computes "
        "it natively, else float32",
    )
    threads: int = Field(
        4,
        ge=1,
        description="threads of a training process; on a CPU, rounding and so the weights depend on their number",
    )
    nodes: int = Field(1, ge=1, description="machines that train one model together; changes nothing but rounding")
    devices: int = Field(
        1,
        ge=1,
        description="processes on each machine, each with a GPU of its own if there are GPUs; changes nothing but "
        "rounding",
    )
    accelerator: Literal["auto", "gpu", "cpu"] = Field(
        "auto", description="`auto`: a GPU if there is one; `gpu`: fail if there is none; `cpu`: never request one"
    )
    compile: bool = Field(
        False, description="compile the networks with torch.compile: faster after some minutes, if there is a C++ "
        "compiler; changes nothing but rounding"
    )  # fmt: skip
    gradient_checkpointing: bool = Field(
        False,
        description="store only the inputs of blocks, and recompute the rest in the backward pass: less memory, one "
        "third more computation; changes no result",
    )

    @property
    def peak_learning_rate(self) -> float:
        """The peak learning rate at this batch size."""
        return self.learning_rate * self._growth()

    @property
    def last_learning_rate(self) -> float:
        """The final learning rate at this batch size."""
        return self.final_learning_rate * self._growth()

    def _growth(self) -> float:
        growth = self.batch_size / (self.base_batch_size or self.batch_size)
        return growth if self.learning_rate_scaling == "linear" else growth**0.5

    def without_placement(self) -> Training:
        """Return the training with defaults for all keys that change nothing but rounding."""
        free = ("nodes", "devices", "accelerator", "compile", "gradient_checkpointing", "collapse")
        return self.model_copy(
            update={key: type(self).model_fields[key].get_default(call_default_factory=True) for key in free}
        )

    @model_validator(mode="after")
    def _values_fit(self) -> Training:
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"`final_learning_rate` must not be above `learning_rate`, found {self.final_learning_rate:g} and "
                f"{self.learning_rate:g}"
            )
        if self.accumulate > self.batch_size // 2:
            raise ValueError(
                f"`accumulate` must leave at least two items in a part, found {self.accumulate} parts of a "
                f"`batch_size` of {self.batch_size}"
            )
        return self
