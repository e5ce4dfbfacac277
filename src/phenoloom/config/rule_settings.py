"""What each rule depends on: exactly these keys, as one canonical JSON string, and nothing else.

A rule receives its settings as text (`params: settings=...`), so a change of any other key cannot reach it. `ALGORITHM`
is raised by hand when a step computes something else from the same settings; stale results are then made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from ..core.errors import PhenoloomError
from .model import ImageModel, ShapeModel
from .planes import Planes
from .search import Tune
from .source import Masks, Outlines, Simulation, Source
from .study import Classify, Descriptor, Folds, Report, Section, Tiles, Unit
from .training import CANONICAL

S = TypeVar("S", bound="Settings")

MOST_BYTES = 100_000
"""Linux takes no argument of more than 128 KiB, and quotes are escaped in it."""

ALGORITHM: Mapping[str, int] = {
    "simulate": 1,
    "sheet": 1,
    "convert": 1,
    "index": 1,
    "contours": 1,
    "distances": 1,
    "describe": 1,
    "folds": 2,
    "tune": 1,
    "choose": 1,
    "pretrain": 2,
    "embed": 3,
    "classify": 2,
    "transfer": 1,
    "compare": 2,
    "collect": 1,
    "report": 1,
    "overview": 1,
}


class Settings(Section):
    """Settings of one rule."""

    algorithm: int
    study: str

    def canonical(self) -> str:
        """One JSON string, the same for equal settings; raises PhenoloomError if a command could not be given it."""
        text = canonical_json(self.model_dump(mode="json", context=CANONICAL))
        if (size := len(text.encode())) > MOST_BYTES:
            raise PhenoloomError(
                f"The settings of study {self.study} take {size:,} bytes, and a command can be given {MOST_BYTES:,}; "
                "shorten its longest part, for example `source.classes` by a column of the table that has the names"
            )
        return text

    def digest(self) -> str:
        """sha256 of the canonical JSON, as hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @classmethod
    def parse(cls: type[S], text: str) -> S:
        """Read the canonical JSON again."""
        return cls.model_validate_json(text)


class SimulateSettings(Settings):
    simulation: Simulation
    seed: int


class SheetSettings(Settings):
    root: str
    source: Source
    shards: int
    max_rejected_fraction: float


class ConvertSettings(Settings):
    root: str
    channels: list[str]
    pixel_size_um: float | None
    masks: Masks | None
    tiles: Tiles
    max_rejected_fraction: float
    planes: Planes | None = None

    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {key: value for key, value in values.items() if key != "planes" or value is not None}


class IndexSettings(Settings):
    pass


class ContoursSettings(Settings):
    """`source` says where outlines come from: the masks of the tile store, mask files, or points."""

    source: Literal["tiles", "masks", "outlines"]
    root: str | None
    masks: Masks | None
    outlines: Outlines | None
    points: int
    min_points: int
    border: Literal["keep", "drop"]
    max_rejected_fraction: float


class DistancesSettings(Settings):
    pass


class DescribeSettings(Settings):
    descriptors: list[Descriptor]


class FoldsSettings(Settings):
    folds: Folds
    unit: Unit
    seed: int


class Mixture(Section):
    """Studies that one model is trained on, and what becomes of groups that are called like a test group."""

    studies: list[str]
    shared_groups: Literal["drop", "keep"]


class PretrainSettings(Settings):
    """`search` is the digest of the search that chooses settings before this training; models without one lack it."""

    model_name: str
    model: ImageModel | ShapeModel
    split: str
    seed: int
    mixture: Mixture | None = None
    search: str | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name not in {"mixture", "search"} or value is not None}

    @property
    def trained_here(self) -> bool:
        """Whether the study itself is trained on."""
        return self.mixture is None or self.study in self.mixture.studies


class TuneSettings(Settings):
    model_name: str
    model: ImageModel | ShapeModel
    split: str
    seed: int
    tune: Tune


class EmbedSettings(Settings):
    """Exactly one of `descriptors`, `model_name` and `concatenate`.

    `source` is the study whose encoder it is, and whose split, where that is another one than the rows are of.
    """

    representation: str
    split: str
    descriptors: Descriptor | None
    model_name: str | None
    concatenate: list[str] | None = None
    view: Literal["tiles", "shapes"]
    untrained: bool
    transductive: bool
    source: str | None = None

    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {key: value for key, value in values.items() if key != "source" or value is not None}


class ClassifySettings(Settings):
    representation: str
    folds: int
    classify: Classify
    seed: int


class TransferSettings(Settings):
    """`source` is the study that is trained on, by its `folds`; probes and seed are those of the study itself."""

    source: str
    representation: str
    folds: int
    classify: Classify
    seed: int


Families = dict[str, dict[str, int]]
"""Name of a family -> its members with their seeds: representations that differ in nothing else."""


class CompareSettings(Settings):
    representations: list[str]
    families: Families = Field(default_factory=dict)


class CollectSettings(Settings):
    representations: list[str]
    map_points: int
    seed: int


class TransferSource(Section):
    """What a report says of a study whose encoders and probes were tested: the representations that it was tested in,
    why others were not, and how large its windows and pixels are beside those of the study itself.
    """

    title: str
    representations: list[str]
    left_out: dict[str, str]
    window_px: tuple[int | None, int | None]
    pixel_size_um: tuple[float | None, float | None]


class ReportSettings(Settings):
    title: str
    licence: str
    reference: str | None
    report: Report
    unit: Unit
    representations: dict[str, dict[str, Any]]
    families: Families = Field(default_factory=dict)
    seed: int
    transfer: dict[str, TransferSource] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {key: value for key, value in values.items() if key != "transfer" or value}


class OverviewSettings(Section):
    algorithm: int
    studies: dict[str, str]

    def canonical(self) -> str:
        return canonical_json(self.model_dump(mode="json"))


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, text as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
