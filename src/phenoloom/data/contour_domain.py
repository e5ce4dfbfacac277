"""What models of contours need of their items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..augment.contours import augment_contours
from ..config.model import ShapeModel
from ..core.errors import PhenoloomError
from ..nets.cyclic_form import about_centroid
from .channels import Normaliser, Placement
from .opened import NetworkInputs, Opened, TrainedOn
from .sources import ContourSource, StudySource


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

    def placed_by_name(self, size: int) -> tuple[ShapeModel, int]:
        """Return the model and the number of points."""
        return self.model, size

    def match(self, source: StudySource, trained: TrainedOn, guest: str | None = None) -> list[int] | None:
        """Refuse contours of another number of points; return None, as contours have no channels."""
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
