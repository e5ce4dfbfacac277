"""What models of tiles need of their items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..augment.tiles import augment
from ..config.channels import Channels
from ..config.model import ImageModel
from ..core.errors import PhenoloomError
from .channels import Normaliser, Placement, fit_normaliser, network_inputs, placement
from .opened import NetworkInputs, Opened, TrainedOn
from .sources import StudySource, TileSource


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
        """Open the tiles, which objects larger than a tile do not have; they stay in the stores."""
        found = _tiled(table)
        return Opened(TileSource(table[found], stores), found)

    def statistics(self, table: pd.DataFrame) -> Normaliser | None:
        """Return the normaliser by the mean and standard deviation over all pixels of the rows with a tile."""
        table = table[_tiled(table)]
        if table.empty:
            return None
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

    def placed_by_name(self, size: int) -> tuple[ImageModel, int]:
        """Return the model without its channel map, which has been applied, and the number of its inputs."""
        if self.model.channels.mode != "map":
            return self.model, size
        return self.model.model_copy(update={"channels": Channels()}), self.model.channels.inputs

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


def _tiled(table: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(table["position"] >= 0)


def _channels(source: StudySource) -> list[str]:
    return source.channels or []
