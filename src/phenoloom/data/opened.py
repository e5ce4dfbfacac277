"""The values that domains take and return: opened items, inputs of a network, and what a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .channels import Placement
from .sources import StudySource


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
    """The inputs of one network, and how the channels of studies reach them.

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
    """The properties that items of other rows must share with those that a model was trained on.

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
