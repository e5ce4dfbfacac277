"""How a model is trained; keys that change no result are told apart from those that do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer, model_validator

from .study import Section

CANONICAL = "canonical"
"""Context of the serialisation whose digest says whether a result is stale."""

LATER = (
    "optimizer", "betas", "momentum", "final_learning_rate", "final_weight_decay", "accumulate", "ema",
    "compile", "gradient_checkpointing", "collapse", "balance", "seed",
    "foreground_exponent",
)  # fmt: skip
"""Keys that came after the first models were trained: at their defaults they leave those digests as they were."""

Momentum = Annotated[float, Field(ge=0, lt=1)]


class Collapse(Section):
    """When a training counts as collapsed, so that it stops: its vectors say (almost) the same of every tile."""

    epochs: int = Field(5, ge=0, description="epochs in a row under a floor after which training stops; 0: any number")
    least_rank: float = Field(
        1.1, ge=0, description="floor of the effective rank of the vectors about their mean (Roy and Vetterli 2007)"
    )
    least_spread: float = Field(
        1e-4, ge=0, le=1, description="floor of the sd of unit vectors a dimension, in units of 1 / sqrt(dimensions)"
    )
    least_information: float = Field(
        1e-4,
        ge=0,
        description="floor, in nats, of the entropy of the codes in use (VQ-VAE), or of what the teacher's outputs "
        "tell of a tile (DINO)",
    )


class Balance(Section):
    """How often a training on several studies takes an item of each; every batch holds each by its share."""

    size_exponent: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="the share of a study grows with this power of its number of items (Conneau et al. 2020, section "
        "3.1): 0: equal shares, 1: as many as it has",
    )
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="study -> factor of its share; 1 where it is not named"
    )
    epoch_items: int | None = Field(
        None, ge=2, description="items of an epoch; none: as many as all studies have together. Items of a small study "
        "come more than once, each as often as the others to within one",
    )  # fmt: skip


@dataclass(frozen=True)
class RunOptions:
    """How a training is run; the result depends on none of it, except by rounding.

    Attributes:
        compile: Compile the networks with torch.compile.
        gradient_checkpointing: Compute blocks again in the backward pass, which saves memory.
        collapse: When a training counts as collapsed and stops.
    """

    compile: bool = False
    gradient_checkpointing: bool = False
    collapse: Collapse = Collapse()  # noqa: RUF009 - a frozen section


class Training(Section):
    """How a model is trained."""

    epochs: int = Field(100, ge=1, description="most epochs")
    seed: int = Field(
        0,
        ge=0,
        description="another draw of initial weights, order and augmentations; folds and validation groups stay. "
        "`variants: {training.seed: [0, 1, 2]}` tells how much of a score is luck",
    )
    batch_size: int = Field(64, ge=2, description="tiles or contours a step, over all processes together")
    accumulate: int = Field(
        1,
        ge=1,
        description="parts that a batch is computed in, one after the other, which bounds memory; the gradient is that "
        "of the whole batch, but batch norms, codebooks and terms between items see one part",
    )
    optimizer: Literal["adamw", "lamb", "sgd"] = Field(
        "adamw",
        description="AdamW (Loshchilov and Hutter 2019), LAMB (You et al. 2020) for large batches, or SGD",
    )
    learning_rate: float = Field(
        1e-3, gt=0, description="peak learning rate of the optimiser at a batch of `base_batch_size`"
    )
    base_batch_size: int | None = Field(
        None, ge=2, description="batch that `learning_rate` was chosen for; none: `batch_size` itself"
    )
    learning_rate_scaling: Literal["sqrt", "linear"] = Field(
        "sqrt",
        description="how the rate follows `batch_size` / `base_batch_size`: by its root (for Adam, Malladi et al. "
        "2022) or in proportion (Goyal et al. 2017)",
    )
    final_learning_rate: float = Field(
        0.0, ge=0, description="where the cosine of the learning rate ends; scaled with the batch as the peak is"
    )
    betas: tuple[Momentum, Momentum] = Field(
        (0.9, 0.999), description="decay of the averages of gradients and of their squares in AdamW and LAMB"
    )
    momentum: Momentum = Field(0.9, description="momentum of SGD")
    weight_decay: float = Field(
        0.05, ge=0, description="weight decay; none on biases, norms, class tokens, positions and codebooks"
    )
    final_weight_decay: float | None = Field(
        None, ge=0, description="where a cosine takes the weight decay by the last step; none: it stays"
    )
    warmup_epochs: int = Field(5, ge=0, description="epochs of linear warm-up; a cosine decay follows")
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema: Momentum = Field(
        0.0,
        description="decay of a moving average of the weights, which is then validated and embedded with; 0: none. Of "
        "its first steps it remembers less: (1 + n) / (10 + n)",
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of the train groups held out for early stopping; never a test group"
    )
    patience: int = Field(20, ge=1, description="epochs without a better validation loss before training stops")
    balance: Balance = Field(
        default_factory=Balance, description="how often a training on several studies takes an item of each"
    )
    foreground_exponent: Annotated[float, Field(ge=0, le=4)] = Field(
        0.0,
        description="how often training takes a tile grows with this power of its share of foreground, in an epoch of "
        "the same length; validation takes each once. For grids with much background; of tiles of objects it would "
        "favour large ones. 0: each once, so that every tile counts alike",
    )
    collapse: Collapse = Field(
        default_factory=Collapse, description="when a training counts as collapsed and stops; changes no result"
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto",
        description="auto: bf16 where the device computes it natively, else float32; augmentation stays float32",
    )
    threads: int = Field(
        4,
        ge=1,
        description="threads of a training process; arithmetic on a CPU, and so the weights, depend on their number",
    )
    nodes: int = Field(1, ge=1, description="machines that train one model together; changes no result but rounding")
    devices: int = Field(
        1, ge=1, description="processes on each machine, with a GPU each where there are GPUs; changes no result either"
    )
    accelerator: Literal["auto", "gpu", "cpu"] = Field(
        "auto", description="auto: a GPU where there is one; gpu: stop where there is none; cpu: never ask for one"
    )
    compile: bool = Field(
        False, description="compile the networks with torch.compile: faster after some minutes, where there is a C++ "
        "compiler; changes no result but rounding"
    )  # fmt: skip
    gradient_checkpointing: bool = Field(
        False,
        description="keep the inputs of blocks only, and compute the rest again in the backward pass: less memory, a "
        "third more arithmetic; changes no result",
    )

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate at this batch size."""
        return self.learning_rate * self._growth()

    @property
    def last_learning_rate(self) -> float:
        """Where the learning rate ends at this batch size."""
        return self.final_learning_rate * self._growth()

    def _growth(self) -> float:
        growth = self.batch_size / (self.base_batch_size or self.batch_size)
        return growth if self.learning_rate_scaling == "linear" else growth**0.5

    def without_placement(self) -> Training:
        """The same training wherever and however it runs: what the weights depend on, up to rounding."""
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
                f"`accumulate` must leave two items a part, so at most half of `batch_size`, found {self.accumulate} "
                f"parts of {self.batch_size}"
            )
        return self

    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if info.context == CANONICAL:
            for key in LATER:
                if getattr(self, key) == type(self).model_fields[key].get_default(call_default_factory=True):
                    del values[key]
        return values
