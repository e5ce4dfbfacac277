"""What sources of outlines yield."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pyarrow as pa
from numpy.typing import NDArray

from ..artifacts.manifest import Quarantine, Rejected
from ..study.points import Lost
from .polygons import Polygons

SourceKind = Literal["tiles", "masks", "outlines"]


@dataclass(frozen=True)
class Batch:
    """Outlines of some objects.

    Attributes:
        polygons: The outlines, in px of the image.
        columns: Their columns of the store's table, by name: `id, image_id, object, components, holes, border, digest`,
            and `points` where the study has points in objects: rows of the table of objects.
        rejected: Counts of objects that have no outline, by reason and image.
        quarantine: Images that could not be used.
        lost: Rows of the table of objects whose points lie in none of these objects, by reason.
    """

    polygons: Polygons
    columns: dict[str, Sequence[Any] | NDArray[Any]]
    rejected: Rejected = field(default_factory=Counter)
    quarantine: Quarantine = field(default_factory=list)
    lost: Lost = field(default_factory=dict)


Batches = tuple[int, Iterator[Batch]]
"""The number of batches, and the batches."""


class OutlineSource(Protocol):
    """A source of the outlines of a shard."""

    @property
    def kind(self) -> SourceKind:
        """Name of the source, which the manifest of the contours states."""

    def batches(self, rows: pa.Table, threads: int) -> Batches:
        """Return the outlines of the objects in `rows`, the shard's rows of the sheet, in their order.

        Raises:
            PhenoloomError: The source has no outlines, or others than the sheet names.
        """

    def facts(self) -> dict[str, Any]:
        """Return what the manifest of the contours states about the source."""
