"""Trained models on disk: `model.safetensors` and `model.yaml`, which says everything needed to load it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import safetensors.torch
import torch
import yaml
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from torch import Tensor

from ..artifacts.layout import CARD, WEIGHTS
from ..config.base import Section
from ..config.channels import Channels
from ..config.model import ImageModel, ShapeModel
from ..config.search import Value
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from ..data.channels import Normaliser, Placement, placement
from ..objectives import Objective, build_objective
from ..splits.split import ALL
from .preprocessing import Preparation


class Statistics(Section):
    """Mean and standard deviation of each channel, by which tiles are normalised."""

    mean: list[float]
    std: list[float]

    @classmethod
    def of(cls, normaliser: Normaliser) -> Statistics:
        """Those of a normaliser."""
        return cls(mean=list(normaliser.mean), std=list(normaliser.std))


class StudyCard(Section):
    """One of several studies that a model was trained on: its share of every batch, and what was kept from training."""

    study: str
    share: float
    rows: int
    train_rows: int
    validation_rows: int
    channels: list[str] | None
    pixel_size_um: float | None
    statistics: Statistics | None
    taken_out: dict[str, int]


class Tuned(Section):
    """How a search chose the settings of a model, in the train groups of its split."""

    metric: str
    value: float
    trials: int
    settings: dict[str, Value]


class Card(Section):
    """The content of `model.yaml`: what was trained, on what, and how its inputs are prepared."""

    schema_version: Literal[1] = 1
    name: str
    study: str
    split: str
    seed: int
    initial_seed: int
    settings_sha256: str
    phenoloom: str
    commit: str | None
    model: Annotated[ImageModel | ShapeModel, Field(discriminator="view")]
    supervision: str = "none"
    channels: list[str] | None
    mean: list[float] | None
    std: list[float] | None
    points: int | None
    inputs: list[str] | None = None
    """Names of the network's inputs where the model names them, rather than the study."""
    fold_statistics: dict[str, Statistics] | None = None
    """Of an encoder that never saw the study: the statistics of the study's train groups, by split."""
    studies: list[StudyCard] | None = None
    """What it was trained on, where that is more or other than the study."""
    precision: str | None = None
    """What steps were computed in: `float32`, `bf16`, or one then the other; cards of earlier versions do not tell."""
    best_epoch: int
    validation_loss: float
    epochs_run: int
    train_rows: int
    train_groups: int
    validation_rows: int
    validation_groups: int
    rows_without_shape: int
    preparation: Preparation | None = None
    tuned: Tuned | None = None

    @property
    def size(self) -> int:
        """Inputs of the network: channels of a tile, or points of a contour."""
        names = self.inputs or self.channels
        return len(names) if names is not None else self.points or 0

    @property
    def trained_here(self) -> bool:
        """Whether the study itself was trained on."""
        return self.studies is None or self.study in {part.study for part in self.studies}

    def normaliser(self, split: str) -> Normaliser:
        """How tiles of the study are normalised for a split of it; raises PhenoloomError for one that is not known."""
        assert isinstance(self.model, ImageModel)
        # Of an encoder that has never seen the study, `all` is the whole of it, and what is new to it.
        if self.fold_statistics is None or split == ALL:
            return Normaliser(tuple(self.mean or ()), tuple(self.std or ()), self.model.input_size)
        if split not in self.fold_statistics:
            raise PhenoloomError(f"{self.name} knows the splits {', '.join(self.fold_statistics)}, not {split}")
        of_split = self.fold_statistics[split]
        return Normaliser(tuple(of_split.mean), tuple(of_split.std), self.model.input_size)

    @property
    def placement(self) -> Placement | None:
        """How channels of the study reach the network's inputs; none: as they are, or one by one."""
        if self.inputs is None or self.channels is None or not isinstance(self.model, ImageModel):
            return None
        return placement(self.model.channels, self.inputs, self.study, self.channels)


def initial_objective(
    model: ImageModel | ShapeModel,
    size: int,
    seed: int,
    channels: Sequence[str] | None = None,
    *,
    placed: bool = False,
) -> Objective:
    """The network with the initial weights of `seed`; torch's own random state stays as it was.

    `size` is the number of channels or points; `channels` are the names of the channels. Where they are `placed` by
    name before they reach the network, it takes its inputs as they come.
    """
    if placed and isinstance(model, ImageModel) and model.channels.mode == "map":
        model = model.model_copy(update={"channels": Channels()})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        objective = build_objective(model, size, channels)
    # Channels last is the faster layout of images on CPU and GPU alike.
    return objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def save_weights(folder: Path, state: dict[str, Tensor]) -> None:
    """Write `model.safetensors` by atomic rename."""
    content = safetensors.torch.save({name: value.detach().cpu().contiguous() for name, value in state.items()})
    write_atomically(folder / WEIGHTS, lambda file: file.write(content))


def save_card(folder: Path, card: Card) -> None:
    """Write `model.yaml` by atomic rename: the last file, which makes the model exist."""
    text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_atomically(folder / CARD, lambda file: file.write(text.encode()))


def read_card(folder: Path) -> Card:
    """Read `model.yaml`; raises PhenoloomError where there is none or it is not one."""
    path = folder / CARD
    try:
        return Card.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PhenoloomError(f"There is no model in {folder}: {CARD} is missing; run the step `pretrain`") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise PhenoloomError(f"{path} is no model description ({' '.join(str(error).split())}); train again") from None


def load_objective(folder: Path, card: Card, *, untrained: bool = False) -> Objective:
    """The network of a card in evaluation mode, with its trained or (`untrained`) its initial weights.

    Raises PhenoloomError unless every tensor of the file fits and none is missing.
    """
    objective = initial_objective(
        card.model, card.size, card.initial_seed, card.inputs or card.channels, placed=card.inputs is not None
    )
    if not untrained:
        path = folder / WEIGHTS
        try:
            objective.load_state_dict(safetensors.torch.load_file(path), strict=True)
        except (FileNotFoundError, SafetensorError, RuntimeError) as error:
            raise PhenoloomError(
                f"{path} does not hold the weights that {CARD} beside it describes "
                f"({' '.join(str(error).split())}); train again"
            ) from None
    return objective.eval()
