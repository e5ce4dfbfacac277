"""The settings of every rule, taken from a study's sections: the one place that knows which rule needs which key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import PhenoloomError
from .base import Section
from .load import Lazy, load_model, load_study, view_of
from .representation import Mixture, Representation, families
from .rule_settings import (
    ALGORITHM,
    AuditSettings,
    ClassifySettings,
    CollectSettings,
    CompareSettings,
    ContoursSettings,
    ConvertSettings,
    DescribeSettings,
    DistancesSettings,
    EmbedSettings,
    FoldsSettings,
    IndexSettings,
    ObjectsSettings,
    OverviewSettings,
    PretrainSettings,
    ReportSettings,
    SheetSettings,
    SimulateSettings,
    TransferSettings,
    TransferSource,
    TuneSettings,
)
from .rule_sources import source_of_objects, source_of_sheet
from .run import Config
from .study import Study
from .training import Balance
from .transfer import not_transferred, transferred

S = TypeVar("S", bound=Section)


def raw_root(name: str, study: Study, config: Config) -> str:
    """Return the folder of a study's raw data."""
    if study.source.simulate:
        return f"{config.results}/{name}/raw"
    return str(Path(config.data_root) / study.source.root)


def splits(study: Study, representation: str) -> list[str]:
    """Return `fold-0`, `fold-1` ... for an encoder trained in each fold; `all` if vectors do not depend on the fold."""
    entry = study.representations[representation]
    if entry.concatenate:
        return max((splits(study, part) for part in entry.concatenate), key=len)
    if entry.model is None or entry.transductive:
        return ["all"]
    return [f"fold-{i}" for i in range(study.folds.count)]


def model_split(study: str, entry: Representation, split: str) -> str:
    """Return the split that the encoder of a table of vectors is trained for.

    An encoder that is not trained on the study serves all of its folds.
    """
    return split if entry.trained_here(study) else "all"


class RuleSettings:
    """The settings of every rule of one study; each method has the name of its rule.

    Attributes:
        name: Name of the study.
        study: The study.
        config: Configuration of the run.
        config_dir: Folder of the configuration.
        studies: All studies by name; by default those in `transfer`, read when they are needed.
    """

    def __init__(
        self, name: str, study: Study, config: Config, config_dir: Path, studies: Mapping[str, Study] | None = None
    ) -> None:
        self.name, self.study, self.config, self.config_dir = name, study, config, config_dir
        self.studies = studies or Lazy(study.transfer, lambda other: load_study(other, config_dir))

    def _common(self, rule: str) -> dict[str, Any]:
        return {"study": self.name, "algorithm": ALGORITHM[rule]}

    def _root(self) -> str:
        return raw_root(self.name, self.study, self.config)

    def _section(self, rule: str, key: str, section: S | None) -> S:
        """Return an optional section, which a rule cannot do without."""
        if section is None:
            raise PhenoloomError(
                f"{self.name}: `{rule}` needs the section `{key}`, which the study does not have; add it, or ask for "
                "other files"
            )
        return section

    def simulate(self) -> SimulateSettings:
        """Return the settings of `simulate`, for a simulated study."""
        simulation = self._section("simulate", "source.simulate", self.study.source.simulate)
        return SimulateSettings(**self._common("simulate"), simulation=simulation, seed=self.study.seed)

    def sheet(self) -> SheetSettings:
        """Return the settings of `sheet`."""
        return SheetSettings(
            **self._common("sheet"),
            root=self._root(),
            source=source_of_sheet(self.study.source),
            shards=self.study.shards,
            max_rejected_fraction=self.study.max_rejected_fraction,
        )

    def objects(self) -> ObjectsSettings:
        """Return the settings of `objects`, for a study with a table of objects or of points."""
        self._section("objects", "source.objects", self.study.source.object_rows)
        source = source_of_objects(self.study.source)
        return ObjectsSettings(**self._common("objects"), root=self._root(), source=source)

    def convert(self) -> ConvertSettings:
        """Return the settings of `convert`, for a study with tiles."""
        return ConvertSettings(
            **self._common("convert"),
            root=self._root(),
            channels=list(self.study.source.channels),
            pixel_size_um=self.study.source.pixel_size_um,
            masks=self.study.source.masks,
            tiles=self._section("convert", "tiles", self.study.tiles),
            max_rejected_fraction=self.study.max_rejected_fraction,
            planes=self.study.source.planes,
            image=self.study.source.image,
            level=self.study.source.level,
            places=self.study.source.places_objects,
            polarity=self.study.source.polarity,
        )

    def index(self) -> IndexSettings:
        """Return the settings of `index`."""
        return IndexSettings(**self._common("index"), shapes=self.study.shapes is not None)

    def contours(self) -> ContoursSettings:
        """Return the settings of `contours`, for a study with shapes."""
        shapes = self._section("contours", "shapes", self.study.shapes)
        source = self.study.source
        kind = "tiles" if self.study.tiles else "outlines" if source.outlines else "masks"
        return ContoursSettings(
            **self._common("contours"),
            source=kind,
            root=None if kind == "tiles" else self._root(),
            masks=source.masks if kind == "masks" else None,
            outlines=source.outlines,
            places=kind == "masks" and source.places_objects,
            max_rejected_fraction=self.study.max_rejected_fraction,
            **shapes.model_dump(include={"points", "min_points", "border"}),
        )

    def distances(self) -> DistancesSettings:
        """Return the settings of `distances`."""
        return DistancesSettings(**self._common("distances"))

    def describe(self) -> DescribeSettings:
        """Return the settings of `describe`: all descriptors but those of pixels."""
        used = {r.descriptors for r in self.study.representations.values() if r.descriptors}
        return DescribeSettings(**self._common("describe"), descriptors=sorted(used - {"intensity"}))

    def folds(self) -> FoldsSettings:
        """Return the settings of `folds`."""
        return FoldsSettings(
            **self._common("folds"), folds=self.study.folds, unit=self.study.classify.unit, seed=self.study.seed
        )

    def pretrain(self, model: str, split: str) -> PretrainSettings:
        """Return the settings of training a model on the train groups of a split."""
        trained = self._trained(model, split)
        if load_model(model, self.study, self.config_dir).tune is None:
            return trained
        return trained.model_copy(update={"search": self.tune(model, split).digest()})

    def _trained(self, model: str, split: str) -> PretrainSettings:
        loaded = load_model(model, self.study, self.config_dir)
        # A model is not trained again for other hardware, nor, alone, for another balance between studies.
        training = loaded.training.without_placement()
        entry = self.study.trained_as(model)
        mixture = None
        if entry and entry.trained_on:
            mixture = Mixture(studies=sorted(entry.trained_on), shared_groups=entry.shared_groups)
        else:
            training = training.model_copy(update={"balance": Balance()})
        return PretrainSettings(
            study=self.name,
            algorithm=ALGORITHM["pretrain"],
            model_name=model,
            model=loaded.model_copy(update={"training": training}),
            split=split,
            seed=self.study.seed,
            mixture=mixture,
        )

    def tune(self, model: str, split: str) -> TuneSettings:
        """Return the settings of the search before a training, for a model with `tune`."""
        found = load_model(model, self.study, self.config_dir)
        search = self._section("tune", f"models.{model}.tune", found.tune)
        # A search is not repeated for another number of jobs.
        shared = search.model_copy(update={"workers": 1})
        trained = self._trained(model, split)
        return TuneSettings(
            **self._common("tune"),
            tune=shared,
            **{name: getattr(trained, name) for name in ("model_name", "model", "split", "seed")},
        )

    def choose(self, model: str, split: str) -> TuneSettings:
        """Return the settings of choosing the best trial of a search."""
        return self.tune(model, split).model_copy(update={"algorithm": ALGORITHM["choose"]})

    def embed(self, representation: str, split: str) -> EmbedSettings:
        """Return the settings of embedding a representation with the encoder of a split."""
        entry = self.study.representations[representation]
        return EmbedSettings(
            **self._common("embed"),
            representation=representation,
            split=split,
            descriptors=entry.descriptors,
            model_name=entry.encoder,
            concatenate=entry.concatenate,
            view=view_of(entry, self.study, self.config_dir),
            untrained=entry.untrained,
        )

    def classify(self, representation: str) -> ClassifySettings:
        """Return the settings of scoring a representation."""
        return ClassifySettings(
            **self._common("classify"),
            representation=representation,
            folds=self.study.folds.count,
            classify=self.study.classify,
            seed=self.study.seed,
        )

    def transfer_embed(self, source: str, representation: str, split: str) -> EmbedSettings:
        """Return the settings of embedding this study with an encoder of another one."""
        entry = self.studies[source].representations[representation]
        update = {"source": source, "view": view_of(entry, self.studies[source], self.config_dir)}
        return self.embed(representation, split).model_copy(update=update)

    def transfer(self, source: str, representation: str) -> TransferSettings:
        """Return the settings of testing the encoders and probes of another study on this one."""
        return TransferSettings(
            **self._common("transfer"),
            source=source,
            representation=representation,
            folds=self.studies[source].folds.count,
            classify=self.study.classify,
            seed=self.study.seed,
        )

    def audit(self) -> AuditSettings:
        """Return the settings of scoring positions, plates and fields."""
        return AuditSettings(
            **self._common("audit"), folds=self.study.folds.count, classify=self.study.classify, seed=self.study.seed
        )

    def compare(self) -> CompareSettings:
        """Return the settings of `compare`."""
        return CompareSettings(
            **self._common("compare"),
            representations=list(self.study.representations),
            families=families(self.study.representations),
        )

    def collect(self) -> CollectSettings:
        """Return the settings of `collect`."""
        return CollectSettings(
            **self._common("collect"),
            representations=list(self.study.representations),
            map_points=self.study.report.map_points,
            seed=self.study.seed,
        )

    def report(self) -> ReportSettings:
        """Return the settings of `report`."""
        return ReportSettings(
            **self._common("report"),
            title=self.study.title,
            licence=self.study.licence,
            reference=self.study.reference,
            report=self.study.report,
            unit=self.study.classify.unit,
            representations={k: r.model_dump(mode="json") for k, r in self.study.representations.items()},
            families=families(self.study.representations),
            seed=self.study.seed,
            transfer={name: self._source(self.studies[name]) for name in self.study.transfer},
        )

    def _source(self, source: Study) -> TransferSource:
        own = self.study
        reasons = {name: not_transferred(name, own, source) for name in own.representations}
        return TransferSource(
            title=source.title,
            representations=transferred(own, source),
            left_out={name: reason for name, reason in reasons.items() if reason},
            window_px=(source.tiles and source.tiles.size, own.tiles and own.tiles.size),
            pixel_size_um=(source.source.pixel_size_um, own.source.pixel_size_um),
        )


def overview_settings(studies: Mapping[str, Study]) -> OverviewSettings:
    """Return the settings of `overview`."""
    return OverviewSettings(
        algorithm=ALGORITHM["overview"], studies={name: study.title for name, study in studies.items()}
    )
