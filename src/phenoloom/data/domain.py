"""The two kinds of items that models look at, tiles and contours, behind one interface.

Everything that differs between them outside the networks is here, so that a further kind is a further class: no other
module asks which of them a model has. `domain_of` chooses the class from the settings of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..augment.contours import augment_contours
from ..augment.tiles import augment
from ..config.channels import Channels
from ..config.model import ImageModel, ShapeModel
from ..core.errors import PhenoloomError
from ..nets.cyclic_form import about_centroid
from .channels import Normaliser, Placement, fit_normaliser, network_inputs, placement
from .sources import ContourSource, StudySource, TileSource

Model = ImageModel | ShapeModel


@dataclass(frozen=True)
class Opened:
    """The items of some rows of an index.

    Attributes:
        source: The items, one for each row that has one, in the order of these rows.
        found: Mask (rows,) of the rows that have an item.
    """

    source: StudySource
    found: NDArray[np.bool_]

    @property
    def lost(self) -> int:
        """Return the number of rows without an item."""
        return int((~self.found).sum())


@dataclass(frozen=True)
class NetworkInputs:
    """How the channels of studies reach one network.

    Attributes:
        names: Names of the network's inputs where the model names them; None where they are those of the study.
        placements: Study -> how its channels reach the inputs; None where the network takes channels one by one.
        drawn: Number of channels of each tile that such a network sees; None: all of them.
    """

    names: list[str] | None = None
    placements: Mapping[str, Placement | None] = field(default_factory=dict)
    drawn: int | None = None


@dataclass(frozen=True)
class TrainedOn:
    """What the items of other rows must have in common with those that a model was trained on.

    Attributes:
        channels: Names of the channels of a tile, in the order of the network.
        points: Points of a contour.
        dtype: Dtype of the camera's pixels; None where it is not known.
        where: The file that states this, for messages.
    """

    channels: list[str] | None
    points: int | None
    dtype: str | None
    where: Path


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

    def placed_by_name(self) -> Model:
        """Return the model of a network that takes its inputs as they come, because they were placed before it."""

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
        """Return the shape of one input of the network of this size: (channels, y, x), or (points, 2)."""

    def item_shape(self, size: int, tile_size: int | None) -> tuple[int, ...]:
        """Return the shape of one item before it is resized: (channels, y, x) in px, or (points, 2).

        Args:
            size: Channels or points.
            tile_size: Height and width of a tile in px; None of other items.
        """

    def example(
        self, shape: tuple[int, ...], count: int, generator: np.random.Generator, statistics: Normaliser | None
    ) -> Tensor:
        """Return made-up items (count, *shape), float32, like those of training; no item of any study."""


@dataclass(frozen=True)
class TileDomain:
    """Tiles (c, y, x) of pixels."""

    model: ImageModel

    items: ClassVar[str] = "tiles"
    columns: ClassVar[tuple[str, ...]] = ("shard", "position", "channel_mean", "channel_std")
    normalises: ClassVar[bool] = True

    @property
    def pairs(self) -> str | None:
        """Return the kind of pairs of the contrastive term."""
        return self.model.contrast.pairs if self.model.contrast else None

    @property
    def supervision(self) -> str:
        """Return what training uses besides the pixels."""
        return self.model.supervision

    def open(self, table: pd.DataFrame, stores: Sequence[Path], scratch: Path | None = None) -> Opened:
        """Open the tiles, which every row has; they stay in the stores."""
        return Opened(TileSource(table, stores), np.ones(len(table), bool))

    def statistics(self, table: pd.DataFrame) -> Normaliser | None:
        """Return the normaliser by the mean and standard deviation over all pixels of the rows."""
        mean, std = (np.stack(list(table[name])) for name in ("channel_mean", "channel_std"))
        return fit_normaliser(mean, std, self.model.input_size)

    def normaliser(self, mean: Sequence[float], std: Sequence[float]) -> Normaliser | None:
        """Return the normaliser with these statistics of each channel."""
        return Normaliser(tuple(mean), tuple(std), self.model.input_size)

    def inputs_of_study(self, study: str, source: StudySource) -> NetworkInputs:
        """Return the named inputs where the model names them; else the channels are the inputs."""
        if not self.model.channels.names:
            return NetworkInputs()
        channels = _channels(source)
        names = network_inputs(self.model.channels, {study: channels})
        return NetworkInputs(names, {study: self.place(names, study, channels)})

    def inputs_of_studies(self, sources: Mapping[str, StudySource]) -> NetworkInputs:
        """Return the inputs that serve all studies."""
        channels = {name: _channels(source) for name, source in sources.items()}
        names = network_inputs(self.model.channels, channels)
        if self.pairs == "channels" and len(names) < 2:
            raise PhenoloomError(
                "`contrast.pairs: channels` needs two channels of a tile, and one of the studies has a single one; use "
                "other pairs, or leave it out"
            )
        places = {study: self.place(names, study, theirs) for study, theirs in channels.items()}
        return NetworkInputs(names, places, len(names) if None in places.values() else None)

    def place(self, inputs: Sequence[str], study: str, channels: Sequence[str]) -> Placement | None:
        """Return the placement by name."""
        return placement(self.model.channels, inputs, study, channels)

    def points(self, sources: Iterable[StudySource]) -> int | None:
        """Return None: tiles have no points."""
        return None

    def network_size(self, inputs: Sequence[str] | None, points: int | None) -> int:
        """Return the number of channels."""
        return len(inputs or ())

    def placed_by_name(self) -> Model:
        """Return the model without its channel map, which has been applied."""
        if self.model.channels.mode != "map":
            return self.model
        return self.model.model_copy(update={"channels": Channels()})

    def match(self, source: StudySource, trained: TrainedOn, guest: str | None = None) -> list[int] | None:
        """Compare the channels, and of a guest the dtype of its pixels."""
        wanted, found = trained.channels or [], _channels(source)
        if guest is None:
            if found != wanted:
                raise PhenoloomError(
                    f"{trained.where} was trained on channels {trained.channels}, the tiles have {found}; train again"
                )
            return None
        order = self.model.channels.places(wanted, found)
        if order is None:
            raise PhenoloomError(
                f"{trained.where} was trained on channels {', '.join(wanted)}, and {guest} has {', '.join(found)}; "
                "name them alike (`source.channels`, or `channels.aliases` of the model)"
            )
        # Statistics have the camera's unit, and the guest's own may not replace them.
        if trained.dtype and trained.dtype != source.dtype.name:
            raise PhenoloomError(
                f"{trained.where} was trained on pixels of type {trained.dtype}, and {guest} has {source.dtype.name}; "
                "give both studies images of one type"
            )
        return None if order == list(range(len(order))) else order

    def prepare(
        self, batch: Tensor, normaliser: Normaliser | None, placed: Placement | None, order: list[int] | None = None
    ) -> Tensor:
        """Return normalised tiles (b, inputs, y, x) of the size that the network takes."""
        # Converted first: on a GPU torch picks from no unsigned integers.
        tiles = batch if order is None else batch.float()[:, order]
        values = tiles if normaliser is None else normaliser(tiles)
        return values if placed is None else placed(values)

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented tiles."""
        return augment(inputs, self.model.augment, generator)

    def input_shape(self, size: int) -> tuple[int, ...]:
        """Return (channels, y, x) of the network's input."""
        return size, self.model.input_size, self.model.input_size

    def item_shape(self, size: int, tile_size: int | None) -> tuple[int, ...]:
        """Return (channels, y, x) of a tile."""
        if tile_size is None:
            raise PhenoloomError("The size of the tiles in px is not known; train the model again")
        return size, tile_size, tile_size

    def example(
        self, shape: tuple[int, ...], count: int, generator: np.random.Generator, statistics: Normaliser | None
    ) -> Tensor:
        """Return a blurred disc of another size in each channel, with noise, of the channels' statistics."""
        channels, size, _ = shape
        y, x = np.mgrid[:size, :size] / size - 0.5
        centre = generator.uniform(-0.15, 0.15, (2, count, channels, 1, 1))
        radius = generator.uniform(0.1, 0.3, (count, 1))
        far = np.hypot(y - centre[0], x - centre[1]) / radius[..., None, None]
        values = np.exp(-(far**4)) + generator.normal(0, 0.1, far.shape)
        values = (values - values.mean((2, 3), keepdims=True)) / values.std((2, 3), keepdims=True)
        if statistics is not None:
            mean, std = (np.array(part)[:, None, None] for part in (statistics.mean, statistics.std))
            values = values * std + mean
        # A camera's counts are whole and not negative.
        return torch.from_numpy(np.rint(np.clip(values, 0, None)).astype(np.float32))


@dataclass(frozen=True)
class ContourDomain:
    """Closed contours (points, 2), centred and of scale 1."""

    model: ShapeModel

    items: ClassVar[str] = "contours"
    columns: ClassVar[tuple[str, ...]] = ()
    normalises: ClassVar[bool] = False

    @property
    def pairs(self) -> str | None:
        """Return None: contours have no pairs but their own augmentations."""
        return None

    @property
    def supervision(self) -> str:
        """Return `none`."""
        return "none"

    def open(self, table: pd.DataFrame, stores: Sequence[Path], scratch: Path | None = None) -> Opened:
        """Read the contours, in the file of `scratch` or into memory."""
        source = ContourSource(table, stores, scratch)
        return Opened(source, source.found)

    def statistics(self, table: pd.DataFrame) -> Normaliser | None:
        """Return None: each contour is divided by its own size."""
        return None

    def normaliser(self, mean: Sequence[float], std: Sequence[float]) -> Normaliser | None:
        """Return None."""
        return None

    def inputs_of_study(self, study: str, source: StudySource) -> NetworkInputs:
        """Return inputs without names."""
        return NetworkInputs()

    def inputs_of_studies(self, sources: Mapping[str, StudySource]) -> NetworkInputs:
        """Return inputs without names."""
        return NetworkInputs()

    def place(self, inputs: Sequence[str], study: str, channels: Sequence[str]) -> Placement | None:
        """Return None."""
        return None

    def points(self, sources: Iterable[StudySource]) -> int | None:
        """Return the number of points that all contours have."""
        found = {source.item[0] for source in sources}
        if len(found) != 1:
            raise PhenoloomError(
                f"One model takes contours of one number of points, and the studies have {sorted(found)}; set "
                "`shapes.points` alike"
            )
        return found.pop()

    def network_size(self, inputs: Sequence[str] | None, points: int | None) -> int:
        """Return the number of points."""
        return points or 0

    def placed_by_name(self) -> Model:
        """Return the model."""
        return self.model

    def match(self, source: StudySource, trained: TrainedOn, guest: str | None = None) -> list[int] | None:
        """Compare the numbers of points."""
        if source.item[0] != trained.points:
            raise PhenoloomError(
                f"{trained.where} was trained on contours of {trained.points} points, these have {source.item[0]}; "
                "train again"
            )
        return None

    def prepare(
        self, batch: Tensor, normaliser: Normaliser | None, placed: Placement | None, order: list[int] | None = None
    ) -> Tensor:
        """Return the contours, which are what the network takes."""
        return batch

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented contours in the frame in which contours are embedded."""
        contours = augment_contours(inputs, self.model.augment, generator)
        # The frame of augmented contours is the mean of their points, that of stored ones the polygon's centroid.
        return about_centroid(contours) if self.model.augment.any else contours

    def input_shape(self, size: int) -> tuple[int, ...]:
        """Return (points, 2)."""
        return size, 2

    def item_shape(self, size: int, tile_size: int | None) -> tuple[int, ...]:
        """Return (points, 2)."""
        return size, 2

    def example(
        self, shape: tuple[int, ...], count: int, generator: np.random.Generator, statistics: Normaliser | None
    ) -> Tensor:
        """Return wavy circles of 15 to 40 px, anywhere in an image of 500 px."""
        angle = np.arange(shape[0]) * 2 * np.pi / shape[0]
        waves = sum(
            generator.uniform(0, 0.3 / k, (count, 1)) * np.cos(k * angle + generator.uniform(0, 6, (count, 1)))
            for k in range(2, 6)
        )
        radius = generator.uniform(15, 40, (count, 1)) * (1 + waves)
        circle = np.stack([np.cos(angle), np.sin(angle)], 1)
        points = radius[..., None] * circle + generator.uniform(0, 500, (count, 1, 2))
        return torch.from_numpy(points.astype(np.float32))


def domain_of(model: Model) -> Domain:
    """Return the domain of a model, by the kind of its settings."""
    return TileDomain(model) if isinstance(model, ImageModel) else ContourDomain(model)


def _channels(source: StudySource) -> list[str]:
    return source.channels or []
