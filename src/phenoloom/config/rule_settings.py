"""The settings of each rule: exactly the keys that its result depends on, as one canonical JSON string.

A rule receives its settings as text (`params: settings=...`), so a change of any other key cannot reach it.
`ALGORITHM` is raised by hand when a step computes another result from the same settings; finished results are then
computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field

from ..core.canonical_json import canonical_json
from ..core.errors import PhenoloomError
from .base import Descriptor, ImageInFile, Section, Unit
from .model import ImageModel, ShapeModel
from .planes import Planes
from .representation import Families, Mixture
from .search import Tune
from .source import Masks, Outlines, Simulation, Source
from .study import Classify, Folds, Report, Tiles

S = TypeVar("S", bound="Settings")

MOST_BYTES = 100_000
"""Maximum size of canonical JSON: Linux takes no argument of more than 128 KiB, and quotes are escaped in it."""

ALGORITHM: Mapping[str, int] = {
    "simulate": 1,
    "sheet": 2,
    "objects": 1,
    "convert": 2,
    "index": 2,
    "contours": 2,
    "distances": 1,
    "describe": 3,
    "folds": 2,
    "tune": 2,
    "choose": 1,
    "pretrain": 3,
    "embed": 3,
    "classify": 2,
    "transfer": 1,
    "audit": 1,
    "compare": 3,
    "collect": 1,
    "report": 2,
    "overview": 2,
}


class Settings(Section):
    """Settings of one rule.

    Attributes:
        algorithm: Version of what the rule computes.
        study: Name of the study.
    """

    algorithm: int
    study: str

    def canonical(self) -> str:
        """Return one JSON string, the same for equal settings; raises PhenoloomError if no command can take it."""
        text = canonical_json(self.model_dump(mode="json"))
        if (size := len(text.encode())) > MOST_BYTES:
            raise PhenoloomError(
                f"The settings of study {self.study} take {size:,} bytes, but a command takes at most {MOST_BYTES:,}; "
                "shorten the longest part, for example replace `source.classes` by a column of the table with the names"
            )
        return text

    def digest(self) -> str:
        """Return the SHA-256 digest of the canonical JSON, as hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @classmethod
    def parse(cls: type[S], text: str) -> S:
        """Return the settings that a canonical JSON string states."""
        return cls.model_validate_json(text)


class SimulateSettings(Settings):
    """Settings of `simulate`: the simulated study."""

    simulation: Simulation
    seed: int


class SheetSettings(Settings):
    """Settings of `sheet`: where the images are, and how files and tables are matched."""

    root: str
    source: Source
    shards: int
    max_rejected_fraction: float


class ObjectsSettings(Settings):
    """Settings of `objects`: the table with a row for each object, and how its rows find their images."""

    root: str
    source: Source


class ConvertSettings(Settings):
    """Settings of `convert`: how images become tiles; `places`: whether the table of objects says where they are."""

    root: str
    channels: list[str]
    pixel_size_um: float | None
    masks: Masks | None
    tiles: Tiles
    max_rejected_fraction: float
    planes: Planes | None = None
    image: ImageInFile | None = None
    level: int | None = None
    places: bool = False
    polarity: Literal["auto", "bright", "dark"] = "auto"


class IndexSettings(Settings):
    """Settings of `index`; `shapes`: whether objects without a tile are rows too, as they have outlines."""

    shapes: bool = False


class ContoursSettings(Settings):
    """Settings of `contours`.

    Attributes:
        source: The input: masks in the tile store, mask files, or outlines as points.
        points: Points of a contour.
        min_points: Distinct points that an outline needs.
        places: Whether the table of objects has points in the objects of mask files.
    """

    source: Literal["tiles", "masks", "outlines"]
    root: str | None
    masks: Masks | None
    outlines: Outlines | None
    points: int
    min_points: int
    border: Literal["keep", "drop"]
    max_rejected_fraction: float
    places: bool = False


class DistancesSettings(Settings):
    """Settings of `distances`, which depends on its input alone."""


class DescribeSettings(Settings):
    """Settings of `describe`: the sets of classical descriptors."""

    descriptors: list[Descriptor]


class FoldsSettings(Settings):
    """Settings of `folds`: the cross-validation."""

    folds: Folds
    unit: Unit
    seed: int


class PretrainSettings(Settings):
    """Settings of `pretrain`.

    Attributes:
        model_name: Name of the model.
        model: The model file, with the changes of the study.
        split: The split; the model is trained on its train groups.
        seed: Seed of the study.
        mixture: The studies that are trained on together; None for the study alone.
        search: Digest of the search that chooses settings before the training; None without a search.
    """

    model_name: str
    model: ImageModel | ShapeModel
    split: str
    seed: int
    mixture: Mixture | None = None
    search: str | None = None

    @property
    def trained_here(self) -> bool:
        """Whether the model is trained on the study itself."""
        return self.mixture is None or self.study in self.mixture.studies


class TuneSettings(Settings):
    """Settings of `tune` and `choose`: the search for settings of a model."""

    model_name: str
    model: ImageModel | ShapeModel
    split: str
    seed: int
    tune: Tune


class EmbedSettings(Settings):
    """Settings of `embed` and `transfer_embed`, with exactly one of `descriptors`, `model_name` and `concatenate`.

    `source` is the study that the encoder and the split are from; None for the study itself.
    """

    representation: str
    split: str
    descriptors: Descriptor | None
    model_name: str | None
    concatenate: list[str] | None = None
    view: Literal["tiles", "shapes"]
    untrained: bool
    source: str | None = None


class ClassifySettings(Settings):
    """Settings of `classify`: the probes of one representation."""

    representation: str
    folds: int
    classify: Classify
    seed: int


class TransferSettings(Settings):
    """Settings of `transfer`: `source` and `folds` are of the study trained on, the others of the study itself."""

    source: str
    representation: str
    folds: int
    classify: Classify
    seed: int


class AuditSettings(Settings):
    """Settings of `audit`: the probes of positions and plates."""

    folds: int
    classify: Classify
    seed: int


class CompareSettings(Settings):
    """Settings of `compare`: the representations, and those that differ only in their seed."""

    representations: list[str]
    families: Families = Field(default_factory=dict)


class CollectSettings(Settings):
    """Settings of `collect`: the representations, and the size of their 2-D maps."""

    representations: list[str]
    map_points: int
    seed: int


class TransferSource(Section):
    """A study with encoders and probes that were tested on another study, as the report of the latter shows it.

    Attributes:
        title: Its title.
        representations: Representations that were tested.
        left_out: Representation -> why it was not tested.
        window_px: Width of tiles in px: there, and in the study of the report.
        pixel_size_um: Pixel size in µm: there, and in the study of the report.
    """

    title: str
    representations: list[str]
    left_out: dict[str, str]
    window_px: tuple[int | None, int | None]
    pixel_size_um: tuple[float | None, float | None]


class ReportSettings(Settings):
    """Settings of `report`."""

    title: str
    licence: str
    reference: str | None
    report: Report
    unit: Unit
    representations: dict[str, dict[str, Any]]
    families: Families = Field(default_factory=dict)
    seed: int
    transfer: dict[str, TransferSource] = Field(default_factory=dict)


class OverviewSettings(Section):
    """Settings of `overview`: the title of each study."""

    algorithm: int
    studies: dict[str, str]

    def canonical(self) -> str:
        """Return one JSON string, the same for equal settings."""
        return canonical_json(self.model_dump(mode="json"))
