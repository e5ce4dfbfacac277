"""The kinds of items that models look at, tiles and contours, behind one interface.

Everything that differs between them outside the networks is in their two modules, so that a further kind is a further
class: no other module asks which of them a model has. `domain_of` chooses the class from the settings of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..config.model import ImageModel, ShapeModel
from .channels import Normaliser, Placement
from .contour_domain import ContourDomain
from .opened import NetworkInputs, Opened, TrainedOn
from .sources import StudySource
from .tile_domain import TileDomain

Model = ImageModel | ShapeModel


class Domain(Protocol):
    """One kind of items and a model of them.

    Attributes:
        items: The word for the items, `tiles` or `contours`.
        columns: Columns of the index that `open` and `statistics` read, besides the ids.
        normalises: Whether items are normalised by statistics of the study.
    """

    items: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    normalises: ClassVar[bool]

    @property
    def pairs(self) -> str | None:
        """Return the kind of pairs that the model's contrastive term pulls together, or None without such a term."""

    @property
    def supervision(self) -> str:
        """Return what training uses besides the items themselves: `none`, or the kind of pairs."""

    def open(self, table: pd.DataFrame, stores: Sequence[Path], scratch: Path | None = None) -> Opened:
        """Open the items of the rows of an index.

        Args:
            table: Rows with `id` and `columns`.
            stores: Manifests of the shards.
            scratch: Folder for a file of the items, where they would otherwise be held in memory.
        """

    def statistics(self, table: pd.DataFrame) -> Normaliser | None:
        """Return the normaliser fitted to rows of an index, or None where items are not normalised."""

    def normaliser(self, mean: Sequence[float], std: Sequence[float]) -> Normaliser | None:
        """Return the normaliser with these means and standard deviations of each channel, or None without any."""

    def inputs_of_study(self, study: str, source: StudySource) -> NetworkInputs:
        """Return how the channels of a single study reach the network.

        Raises:
            PhenoloomError: The model names its inputs, and a channel has no place.
        """

    def inputs_of_studies(self, sources: Mapping[str, StudySource]) -> NetworkInputs:
        """Return how the channels of several studies reach one network.

        Raises:
            PhenoloomError: A channel has no place, or there are too few channels for the model's pairs.
        """

    def place(self, inputs: Sequence[str], study: str, channels: Sequence[str]) -> Placement | None:
        """Return how the channels of a study reach the named inputs; None where they are taken one by one.

        Args:
            inputs: Names of the network's inputs.
            study: Name of the study, for messages.
            channels: Names of its channels, in their order.

        Raises:
            PhenoloomError: A channel has no place.
        """

    def points(self, sources: Iterable[StudySource]) -> int | None:
        """Return the number of points of a contour, or None of other items.

        Raises:
            PhenoloomError: The contours have different numbers of points.
        """

    def network_size(self, inputs: Sequence[str] | None, points: int | None) -> int:
        """Return the size that `objectives.build_objective` takes: channels of a tile, or points of a contour."""

    def placed_by_name(self, size: int) -> tuple[Model, int]:
        """Return the model and size of a network that takes its inputs as they come, because they were placed before.

        Args:
            size: Channels of a tile, or points of a contour.
        """

    def match(self, source: StudySource, trained: TrainedOn, guest: str | None = None) -> list[int] | None:
        """Return the channels of other rows in the order of those that were trained on; None: as they are.

        Args:
            source: Items of the other rows.
            trained: What the model was trained on.
            guest: Name of the rows' study where it is another one than the model's: its channels are then matched by
                name.

        Raises:
            PhenoloomError: The items are not like those that were trained on.
        """

    def prepare(
        self, batch: Tensor, normaliser: Normaliser | None, placed: Placement | None, order: list[int] | None = None
    ) -> Tensor:
        """Return a batch of items as inputs of the network, without augmentation.

        Args:
            batch: Items as they lie in the stores.
            normaliser: As `statistics` or `normaliser` returned it.
            placed: How channels reach the inputs of the network; None: as they are.
            order: Channels in the order of training, as `match` returned them.
        """

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return normalised items as the model's augmentations change them.

        Channels are augmented before they are put in their places: an input without a channel keeps its fill.
        """

    def input_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of one input of a network with this size: (channels, y, x), or (points, 2)."""

    def item_shape(self, size: int, tile_size: int | None) -> tuple[int, ...]:
        """Return the shape of one item before it is resized: (channels, y, x) in px, or (points, 2).

        Args:
            size: Channels or points.
            tile_size: Height and width of a tile in px; None of other items.
        """

    def example(
        self, shape: tuple[int, ...], count: int, generator: np.random.Generator, statistics: Normaliser | None
    ) -> Tensor:
        """Return made-up items (count, *shape), float32, like those of training; no item of any study.

        Args:
            shape: Shape of an item, as `item_shape` returns it.
            count: Number of items.
            generator: Source of the draws.
            statistics: Normaliser of the model, whose mean and standard deviation the items have; None without one.
        """


def domain_of(model: Model) -> Domain:
    """Return the domain of a model, by the kind of its settings."""
    return TileDomain(model) if isinstance(model, ImageModel) else ContourDomain(model)
