"""What each rule depends on: exactly these keys, as one canonical JSON string, and nothing else.

A rule receives its settings as text (`params: settings=...`), so a change of any other key cannot reach it. `ALGORITHM`
is raised by hand when a step computes something else from the same settings; stale results are then made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from .load import load_model, view_of
from .model import ImageModel, ShapeModel
from .sections import (
    Classify,
    Config,
    Descriptor,
    Folds,
    Masks,
    Outlines,
    Report,
    Section,
    Simulation,
    Source,
    Study,
    Tiles,
    Unit,
)
from .training import CANONICAL

S = TypeVar("S", bound="Settings")

ALGORITHM: Mapping[str, int] = {
    "simulate": 1,
    "sheet": 1,
    "convert": 1,
    "index": 1,
    "contours": 1,
    "distances": 1,
    "describe": 1,
    "folds": 1,
    "pretrain": 2,
    "embed": 1,
    "classify": 2,
    "compare": 1,
    "collect": 1,
    "report": 1,
    "overview": 1,
}


class Settings(Section):
    """Settings of one rule."""

    algorithm: int
    study: str

    def canonical(self) -> str:
        """One JSON string, the same for equal settings."""
        return canonical_json(self.model_dump(mode="json", context=CANONICAL))

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


class PretrainSettings(Settings):
    model_name: str
    model: ImageModel | ShapeModel
    split: str
    seed: int


class EmbedSettings(Settings):
    """Exactly one of `descriptors`, `model_name` and `concatenate`."""

    representation: str
    split: str
    descriptors: Descriptor | None
    model_name: str | None
    concatenate: list[str] | None = None
    view: Literal["tiles", "shapes"]
    untrained: bool
    transductive: bool


class ClassifySettings(Settings):
    representation: str
    folds: int
    classify: Classify
    seed: int


class CompareSettings(Settings):
    representations: list[str]


class CollectSettings(Settings):
    representations: list[str]
    map_points: int
    seed: int


class ReportSettings(Settings):
    title: str
    licence: str
    reference: str | None
    report: Report
    unit: Unit
    representations: dict[str, dict[str, Any]]
    seed: int


class OverviewSettings(Section):
    algorithm: int
    studies: dict[str, str]

    def canonical(self) -> str:
        return canonical_json(self.model_dump(mode="json"))


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, text as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def raw_root(name: str, study: Study, config: Config) -> str:
    """Folder of a study's raw data."""
    if study.source.simulate:
        return f"{config.results}/{name}/raw"
    return str(Path(config.data_root) / study.source.root)


def splits(study: Study, representation: str) -> list[str]:
    """`fold-0 ...` for an encoder trained per fold; `all` where vectors do not depend on the fold."""
    entry = study.representations[representation]
    if entry.concatenate:
        return max((splits(study, part) for part in entry.concatenate), key=len)
    if entry.model is None or entry.transductive:
        return ["all"]
    return [f"fold-{i}" for i in range(study.folds.count)]


class RuleSettings:
    """The settings of every rule of one study; each method is named like its rule."""

    def __init__(self, name: str, study: Study, config: Config, config_dir: Path) -> None:
        self.name, self.study, self.config, self.config_dir = name, study, config, config_dir

    def _base(self, rule: str) -> dict[str, Any]:
        return {"study": self.name, "algorithm": ALGORITHM[rule]}

    def _root(self) -> str:
        return raw_root(self.name, self.study, self.config)

    def simulate(self) -> SimulateSettings:
        assert self.study.source.simulate is not None
        return SimulateSettings(**self._base("simulate"), simulation=self.study.source.simulate, seed=self.study.seed)

    def sheet(self) -> SheetSettings:
        # What a mask means, and what a simulation holds, matters to later and earlier steps, not to the sheet.
        masks = self.study.source.masks
        source = self.study.source.model_copy(
            update={
                "root": ".",
                "simulate": None,
                "pixel_size_um": None,
                "masks": Masks(files=masks.files) if masks and masks.files else None,
            }
        )
        return SheetSettings(
            **self._base("sheet"),
            root=self._root(),
            source=source,
            shards=self.study.shards,
            max_rejected_fraction=self.study.max_rejected_fraction,
        )

    def convert(self) -> ConvertSettings:
        assert self.study.tiles is not None
        return ConvertSettings(
            **self._base("convert"),
            root=self._root(),
            channels=list(self.study.source.channels),
            pixel_size_um=self.study.source.pixel_size_um,
            masks=self.study.source.masks,
            tiles=self.study.tiles,
            max_rejected_fraction=self.study.max_rejected_fraction,
        )

    def index(self) -> IndexSettings:
        return IndexSettings(**self._base("index"))

    def contours(self) -> ContoursSettings:
        assert self.study.shapes is not None
        source = self.study.source
        kind = "tiles" if self.study.tiles else "outlines" if source.outlines else "masks"
        return ContoursSettings(
            **self._base("contours"),
            source=kind,
            root=None if kind == "tiles" else self._root(),
            masks=source.masks if kind == "masks" else None,
            outlines=source.outlines,
            max_rejected_fraction=self.study.max_rejected_fraction,
            **self.study.shapes.model_dump(include={"points", "min_points", "border"}),
        )

    def distances(self) -> DistancesSettings:
        return DistancesSettings(**self._base("distances"))

    def describe(self) -> DescribeSettings:
        used = {r.descriptors for r in self.study.representations.values() if r.descriptors}
        return DescribeSettings(**self._base("describe"), descriptors=sorted(used - {"intensity"}))

    def folds(self) -> FoldsSettings:
        return FoldsSettings(
            **self._base("folds"), folds=self.study.folds, unit=self.study.classify.unit, seed=self.study.seed
        )

    def pretrain(self, model: str, split: str) -> PretrainSettings:
        loaded = load_model(model, self.study, self.config_dir)
        return PretrainSettings(
            study=self.name,
            algorithm=ALGORITHM["pretrain"],
            model_name=model,
            # Where a model trains is no reason to train it again.
            model=loaded.model_copy(update={"training": loaded.training.without_placement()}),
            split=split,
            seed=self.study.seed,
        )

    def embed(self, representation: str, split: str) -> EmbedSettings:
        entry = self.study.representations[representation]
        return EmbedSettings(
            **self._base("embed"),
            representation=representation,
            split=split,
            descriptors=entry.descriptors,
            model_name=entry.model,
            concatenate=entry.concatenate,
            view=view_of(entry, self.study, self.config_dir),
            untrained=entry.untrained,
            transductive=entry.transductive,
        )

    def classify(self, representation: str) -> ClassifySettings:
        return ClassifySettings(
            **self._base("classify"),
            representation=representation,
            folds=self.study.folds.count,
            classify=self.study.classify,
            seed=self.study.seed,
        )

    def compare(self) -> CompareSettings:
        return CompareSettings(**self._base("compare"), representations=list(self.study.representations))

    def collect(self) -> CollectSettings:
        return CollectSettings(
            **self._base("collect"),
            representations=list(self.study.representations),
            map_points=self.study.report.map_points,
            seed=self.study.seed,
        )

    def report(self) -> ReportSettings:
        return ReportSettings(
            **self._base("report"),
            title=self.study.title,
            licence=self.study.licence,
            reference=self.study.reference,
            report=self.study.report,
            unit=self.study.classify.unit,
            representations={k: r.model_dump(mode="json") for k, r in self.study.representations.items()},
            seed=self.study.seed,
        )


def overview_settings(studies: Mapping[str, Study]) -> OverviewSettings:
    """Settings of the page over all studies."""
    return OverviewSettings(
        algorithm=ALGORITHM["overview"], studies={name: study.title for name, study in studies.items()}
    )


def digest_of(settings: BaseModel) -> str:
    """sha256 of the canonical JSON of any settings, as hex."""
    return hashlib.sha256(canonical_json(settings.model_dump(mode="json")).encode()).hexdigest()
