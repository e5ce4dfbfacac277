"""Where the vectors of a representation come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..config.base import Descriptor
from ..splits.split import ALL


@dataclass(frozen=True)
class Descriptors:
    """Features that need no training.

    Attributes:
        name: Their name; `intensity` is read from the index.
        tables: Tables of the descriptors, one a shard.
        split: Always `all`, because they depend on no fold.
        new: Always false: they belong to the study of the rows.
    """

    name: Descriptor
    tables: Sequence[Path] = ()
    split: str = ALL
    new: bool = False


class Guest(NamedTuple):
    """Rows of `study` that are embedded by an encoder of the study `source`."""

    study: str
    source: str


@dataclass(frozen=True)
class Encoder:
    """The encoder of a trained model.

    Attributes:
        model: Folder of the model.
        split: Split of the encoder's study: `fold-<k>`, or `all`.
        untrained: Whether the model has its initial weights.
        guest: The two studies where the rows are of another study than the encoder; None where they are of its own.
    """

    model: Path
    split: str
    untrained: bool = False
    guest: Guest | None = None

    @property
    def new(self) -> bool:
        """Whether all rows are of another study than the encoder."""
        return self.guest is not None

    @property
    def trained_here(self) -> bool:
        """Whether the encoder was trained for the study of the rows."""
        return not self.untrained and self.guest is None


@dataclass(frozen=True)
class Concatenation:
    """The vectors of several representations side by side.

    Attributes:
        names: Names of the representations, in the order of the features.
        tables: Their embedding tables, each `<representation>/<split>.parquet`, in any order.
        split: Split of their encoders: `fold-<k>`, or `all`.
        new: Whether all rows are of another study than the encoders.
    """

    names: Sequence[str]
    tables: Sequence[Path]
    split: str
    new: bool = False


@dataclass(frozen=True)
class Representation:
    """Anything that gives the rows of an index vectors.

    Attributes:
        name: Its name.
        origin: Where its vectors come from.
    """

    name: str
    origin: Descriptors | Encoder | Concatenation
