"""Trained models on disk: a folder with `model.safetensors` and `model.yaml`.

`model.safetensors` holds the state of the network under the names of its parameters and buffers. `model.yaml` is a
`Card`: one YAML mapping of the keys documented there, with everything that loading and embedding need. It is written
last, so that a folder without it holds no model.
"""

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
from ..config.model import ImageModel, ShapeModel
from ..config.search import Value
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from ..data.channels import Normaliser, Placement
from ..data.domain import Domain, domain_of
from ..objectives import Objective, build_objective
from ..splits.split import ALL
from .preprocessing import Preparation


class Statistics(Section):
    """Statistics by which tiles are normalised.

    Attributes:
        mean: Mean of each channel, in the unit of the camera.
        std: Standard deviation of each channel.
    """

    mean: list[float]
    std: list[float]

    @classmethod
    def of(cls, normaliser: Normaliser) -> Statistics:
        """Return the statistics of a normaliser."""
        return cls(mean=list(normaliser.mean), std=list(normaliser.std))


class StudyCard(Section):
    """One of several studies that a model was trained on.

    Attributes:
        study: Name of the study.
        share: Its share of every batch, in [0, 1].
        rows: Items that training may see.
        train_rows: Items that were trained on.
        validation_rows: Items of the validation.
        channels: Names of its channels; None of contours.
        pixel_size_um: Size of its pixels in µm; None where it is not known.
        statistics: Statistics of its train tiles; None of contours.
        taken_out: Items that were kept from training, by reason.
    """

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
    """The choice that a search made among the settings of a model, in the train groups of its split.

    Attributes:
        metric: What was compared.
        value: The best value of the metric.
        trials: Number of trials.
        settings: The chosen settings, by dotted key.
    """

    metric: str
    value: float
    trials: int
    settings: dict[str, Value]


class Card(Section):
    """The content of `model.yaml`: what was trained, on what, and how its inputs are prepared.

    Attributes:
        schema_version: Version of this format.
        name: Name of the model.
        study: Study that it was trained for.
        split: Split of the study; the model never saw its test groups.
        seed: Seed of the training.
        initial_seed: Seed of the initial weights.
        settings_sha256: Digest of the settings of the step `pretrain`.
        phenoloom: Version of the package.
        commit: Commit of the package, where it was known.
        model: The model file.
        supervision: What was used besides the items: `none`, or the kind of pairs.
        channels: Names of the study's channels, in order; None of contours.
        mean: Mean of each channel over the train tiles, in the unit of the camera; None of contours.
        std: Standard deviation of each channel; None of contours.
        points: Points of a contour; None of tiles.
        inputs: Names of the network's inputs where the model names them, rather than the study.
        fold_statistics: Statistics of the study's train groups by split, for an encoder that never saw the study.
        studies: What the model was trained on, where that is more or other than the study.
        precision: What steps were computed in: `float32`, `bf16`, or one then the other.
        best_epoch: Epoch of the weights, from 1.
        validation_loss: Loss of that epoch.
        epochs_run: Epochs of the training.
        train_rows: Items that were trained on.
        train_groups: Groups of these items.
        validation_rows: Items of the validation.
        validation_groups: Groups of these items.
        rows_without_shape: Rows that have no item: objects without a contour, or larger than a tile.
        preparation: Settings of the steps before, by which new images become such items.
        tuned: How the settings were searched, where they were.
    """

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
    fold_statistics: dict[str, Statistics] | None = None
    studies: list[StudyCard] | None = None
    precision: str
    best_epoch: int
    validation_loss: float
    epochs_run: int
    train_rows: int
    train_groups: int
    validation_rows: int
    validation_groups: int
    rows_without_shape: int
    preparation: Preparation
    tuned: Tuned | None = None

    @property
    def size(self) -> int:
        """Return the size of the network's input: channels of a tile, or points of a contour."""
        names = self.inputs or self.channels
        return len(names) if names is not None else self.points or 0

    @property
    def trained_here(self) -> bool:
        """Return whether the study itself was trained on."""
        return self.studies is None or self.study in {part.study for part in self.studies}

    @property
    def domain(self) -> Domain:
        """Return what the model looks at: tiles or contours."""
        return domain_of(self.model)

    def normaliser(self, split: str) -> Normaliser | None:
        """Return the normaliser of the study's tiles for a split of the study, or None of contours.

        Raises:
            PhenoloomError: The model has no statistics for this split.
        """
        # The encoder has never seen any row of the study.
        if self.fold_statistics is None or split == ALL:
            return self.domain.normaliser(self.mean or (), self.std or ())
        if split not in self.fold_statistics:
            raise PhenoloomError(f"{self.name} knows the splits {', '.join(self.fold_statistics)}, not {split}")
        of_split = self.fold_statistics[split]
        return self.domain.normaliser(of_split.mean, of_split.std)

    @property
    def placement(self) -> Placement | None:
        """Return how channels of the study reach the network's inputs, or None: as they are, or one by one."""
        if self.inputs is None or self.channels is None:
            return None
        return self.domain.place(self.inputs, self.study, self.channels)


def initial_objective(
    model: ImageModel | ShapeModel,
    size: int,
    seed: int,
    channels: Sequence[str] | None = None,
    *,
    placed: bool = False,
) -> Objective:
    """Return the network with the initial weights of a seed; torch's own random state stays as it was.

    Args:
        model: The model file.
        size: Channels of a tile, or points of a contour.
        seed: Seed of the weights.
        channels: Names of the channels.
        placed: The channels are placed by name before they reach the network, which takes its inputs as they come.
    """
    if placed:
        model, size = domain_of(model).placed_by_name(size)
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
    """Read `model.yaml`.

    Raises:
        PhenoloomError: The file is missing, or is no card.
    """
    path = folder / CARD
    try:
        return Card.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PhenoloomError(f"There is no model in {folder}: {CARD} is missing; run the step `pretrain`") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise PhenoloomError(f"{path} is not a model card ({' '.join(str(error).split())}); train again") from None


def load_objective(folder: Path, card: Card, *, untrained: bool = False) -> Objective:
    """Return the network of a card in evaluation mode, on the CPU.

    Args:
        folder: Folder of the model.
        card: Its card.
        untrained: Keep the initial weights in place of the trained ones.

    Raises:
        PhenoloomError: The tensors of the file are not those of the network.
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
