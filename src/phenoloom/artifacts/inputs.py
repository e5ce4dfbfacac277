"""What each job of a study waits for, and the options of its command that follow from the configuration.

A job that writes a table writes its manifest last, so that the manifest speaks for both: jobs wait for the manifest and
find the table beside it. A deleted table is noticed all the same, because the workflow wants every output. Naming the
tables too would be a third of all inputs of a large plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..config.load import load_model, view_of
from ..config.model import ImageModel, ShapeModel
from ..config.rules import RuleSettings, model_split, splits
from ..config.study import Study
from ..config.transfer import has_encoder, transferred
from .layout import ResultsFolder, ShardFolder

Files = dict[str, list[Path]]
"""Inputs of a job by name, in order."""


def shards_of(study: Study) -> list[str]:
    """Return the names of the shards."""
    return [f"{number:04d}" for number in range(study.shards)]


class Inputs:
    """The inputs of every rule of one study; each method is named like its rule and takes its wildcards.

    Attributes:
        settings: the study's configuration.
        folder: the study's results.
    """

    def __init__(self, settings: RuleSettings) -> None:
        self.settings, self._study = settings, settings.study
        self._models: dict[str, ImageModel | ShapeModel] = {}
        self._listed: dict[Path, list[Path]] = {}
        self.folder = ResultsFolder(Path(settings.config.results)).study(settings.name)

    def of(self, rule: str, wildcards: Mapping[str, str]) -> Files:
        """Return the inputs of a job; `wildcards` are without the study."""
        inputs: Callable[..., Files] = getattr(self, rule)
        return inputs(**wildcards)

    def options(self, rule: str, wildcards: Mapping[str, str]) -> list[str]:
        """Return the arguments of a job's command that depend on what the study declares."""
        if rule == "pretrain":
            return self._other_studies(wildcards["model"])
        files = self.of(rule, wildcards)
        if rule in {"convert", "contours", "index"}:
            named = [(name, path) for name in ("tiles", "objects") for path in files.get(name, [])]
            return [text for name, path in named for text in (f"--{name}", str(path))]
        if rule not in {"embed", "transfer_embed"}:
            return []
        options: list[str] = []
        if "model" in files:
            view = self._view(wildcards["representation"])
            options += ["--model", *map(str, files["model"]), "--stores", str(self.folder.view(view).path)]
        for name in ("descriptors", "parts"):
            options += [f"--{name}", *map(str, files[name])] if name in files else []
        return options

    def model(self, model: str) -> ImageModel | ShapeModel:
        """Return a model as the study changes it."""
        if model not in self._models:
            self._models[model] = load_model(model, self._study, self.settings.config_dir)
        return self._models[model]

    def stores(self, model: str) -> Path:
        """Return the folder of the stores that a model trains on."""
        return self.folder.view(self.model(model).view).path

    def simulate(self) -> Files:
        """Wait for nothing: simulated images come from settings alone."""
        return {}

    def sheet(self) -> Files:
        """Wait for the files that name the images; images are not tracked one by one."""
        source = self._study.source
        if source.simulate:
            return {"raw": [self.folder.simulation]}
        root = Path(self.settings.sheet().root)
        tracked = [source.table and source.table.path, source.listing, source.outlines and source.outlines.path]
        return {"raw": [root / path for path in tracked if path]}

    def objects(self) -> Files:
        """Wait for the sheet, and for the table of objects or points."""
        source = self._study.source
        table, raw = source.object_rows, [self.folder.simulation]
        if table and not source.simulate:
            raw = [Path(self.settings.objects().root) / table.path]
        return {"sheet": [self.folder.sheet_manifest], "raw": raw}

    def convert(self, shard: str) -> Files:
        """Wait for the sheet, which says which images a shard has, and for the places of objects."""
        return {"sheet": [self.folder.sheet_manifest], **self._places()}

    def contours(self, shard: str) -> Files:
        """Wait for the masks of tiles; without tiles for the sheet, which lists mask files or points of outlines."""
        if self._study.tiles:
            return {"tiles": [self.folder.tiles.manifest(shard)]}
        return {"sheet": [self.folder.sheet_manifest], **self._places()}

    def distances(self, shard: str) -> Files:
        """Wait for the contours of the shard."""
        return {"shapes": [self.folder.shapes.manifest(shard)]}

    def describe(self, shard: str) -> Files:
        """Wait for the contours of the shard."""
        return {"shapes": [self.folder.shapes.manifest(shard)]}

    def index(self) -> Files:
        """Wait for all shards of the view that gives the study its rows."""
        stores = self.folder.tiles if self._study.tiles else self.folder.shapes
        return {
            "sheet": [self.folder.sheet],
            "manifest": [self.folder.sheet_manifest],
            **self._objects(),
            "shards": self._manifests(stores),
        }

    def folds(self) -> Files:
        """Wait for the index."""
        return {"index": [self.folder.index], "manifest": [self.folder.index_manifest]}

    def tune(self, model: str, split: str, worker: str) -> Files:
        """Wait for the folds, and for the stores that the model trains on."""
        return {"folds": [self.folder.folds_manifest], "stores": self._unindexed(self.model(model).view)}

    def choose(self, model: str, split: str) -> Files:
        """Wait for all workers of the search."""
        tune = self.model(model).tune
        search = self.folder.search(model, split)
        return {"workers": [search.worker(number) for number in range(tune.workers if tune else 0)]}

    def chosen(self, model: str, split: str) -> list[Path]:
        """Return the settings that a search has chosen, for a model that declares one."""
        return [self.folder.search(model, split).chosen] if self.model(model).tune else []

    def pretrain(self, model: str, split: str) -> Files:
        """Wait for folds and stores, also of the other studies that the model is trained on.

        Their tables, `other_tables`, are read; a change shows in their manifests, among `other_manifests`.
        """
        view, others = self.model(model).view, self._others(model)
        chosen = self.chosen(model, split)
        return {
            **({"chosen": chosen} if chosen else {}),
            "folds": [self.folder.folds_manifest],
            "stores": self._unindexed(view),
            "other_tables": [path for other in others for path in (other.folder.index, other.folder.folds)],
            "other_manifests": [
                path for other in others for path in (other.folder.folds_manifest, *other._unindexed(view))
            ],
        }

    def embed(self, representation: str, split: str) -> Files:
        """Wait for other representations, descriptors, or a model and the stores of its view; and for the folds."""
        entry = self._study.representations[representation]
        files: Files = {}
        if entry.concatenate:
            tables = {part: [s for s in splits(self._study, part) if s in ("all", split)] for part in entry.concatenate}
            files["parts"] = [self.folder.embeddings.table(part, s) for part, found in tables.items() for s in found]
        elif entry.encoder:
            trained = self.folder.model(entry.encoder, model_split(self.settings.name, entry, split))
            # The stores come along with the weights that were trained on them.
            files["stores"] = (
                [] if entry.trained_here(self.settings.name) else self._unindexed(self._view(representation))
            )
            files |= {"weights": [trained.weights], "model": [trained.card]}
        elif entry.descriptors != "intensity":
            files["descriptors"] = [self.folder.descriptors.table(shard) for shard in shards_of(self._study)]
        return {**files, "folds": [self.folder.folds_manifest]}

    def embeddings(self, representation: str) -> list[Path]:
        """Return the vectors of a representation, a table a split."""
        return [self.folder.embeddings.table(representation, split) for split in splits(self._study, representation)]

    def classify(self, representation: str) -> Files:
        """Wait for the vectors of a representation, and for the folds."""
        return {"embeddings": self.embeddings(representation), "folds": [self.folder.folds_manifest]}

    def audit(self) -> Files:
        """Wait for the folds; the index is read with them."""
        return {"index": [self.folder.index], "folds": [self.folder.folds_manifest]}

    def compare(self) -> Files:
        """Wait for the scores of each representation, and of positions and plates."""
        scores = [self.folder.representation_scores(name) for name in self._study.representations]
        return {"scores": scores, "audit": [self.folder.audit]}

    def collect(self) -> Files:
        """Wait for all vectors, and for the folds."""
        tables = [path for name in self._study.representations for path in self.embeddings(name)]
        return {"embeddings": tables, "folds": [self.folder.folds_manifest]}

    def transfer_embed(self, source: str, representation: str, split: str) -> Files:
        """Wait for parts, or for a model of `source` and the stores of this study's rows; and for the folds."""
        trained = self._other(source)
        entry = trained._study.representations[representation]
        files: Files = {}
        if entry.concatenate:
            tables = [path for part in entry.concatenate for path in self.transfer_embeddings(source, part)]
            files["parts"] = [path for path in tables if path.stem in ("all", split)]
        elif entry.encoder:
            view = trained._view(representation)
            model = trained.folder.model(entry.encoder, split)
            files = {"stores": self._unindexed(view), "weights": [model.weights], "model": [model.card]}
        return {**files, "folds": [self.folder.folds_manifest]}

    def transfer_embeddings(self, source: str, representation: str) -> list[Path]:
        """Return the vectors that the encoders of `source` give this study's rows; descriptors are the study's own."""
        trained = self.settings.studies[source]
        if not has_encoder(representation, trained):
            return self.embeddings(representation)
        tables = self.folder.transfer(source).embeddings
        return [tables.table(representation, split) for split in splits(trained, representation)]

    def transfer(self, source: str, representation: str) -> Files:
        """Wait for vectors of both studies as the encoders of `source` make them, and for the folds of both."""
        trained = self._other(source)
        return {
            "embeddings": self.transfer_embeddings(source, representation),
            "source_embeddings": trained.embeddings(representation),
            "folds": [self.folder.folds_manifest],
            "source_index": [trained.folder.index],
            "source_folds": [trained.folder.folds],
            "source_folds_manifest": [trained.folder.folds_manifest],
        }

    def report(self) -> Files:
        """Wait for scores, vectors, tests of other studies' encoders, and stores that no vector comes from.

        The page reads nearly every output. The others come along, because scores and vectors come from them; naming
        them again takes more than a tenth of a large plan's time.
        """
        study, folder = self._study, self.folder
        paths = [folder.scores, folder.comparisons, folder.annotated_embeddings]
        followed = self.settings.describe().descriptors or "shapes" in map(self._view, study.representations)
        if study.shapes and not followed:
            paths += self._manifests(folder.shapes)
        if study.shapes and study.shapes.store_distances:
            paths += self._manifests(folder.distances)
        for source in study.transfer:
            tested = transferred(study, self.settings.studies[source])
            paths += [folder.transfer(source).scores(name) for name in tested]
        return {"results": paths}

    def _objects(self) -> Files:
        return {"objects": [self.folder.objects_manifest]} if self._study.source.object_rows else {}

    def _places(self) -> Files:
        # Numbers of objects are joined later, so that a changed label is no reason to read images again.
        return self._objects() if self._study.source.places_objects else {}

    def _view(self, representation: str) -> str:
        return view_of(self._study.representations[representation], self._study, self.settings.config_dir)

    def _manifests(self, stores: ShardFolder) -> list[Path]:
        if stores.path not in self._listed:
            self._listed[stores.path] = [stores.manifest(shard) for shard in shards_of(self._study)]
        return self._listed[stores.path]

    def _unindexed(self, view: str) -> list[Path]:
        """Return the manifests of the stores of a view, unless the index was made from them.

        Naming all of them again for each model and fold would be more than half of all inputs of a large plan.
        """
        indexed = "tiles" if self._study.tiles else "shapes"
        return [] if view == indexed else self._manifests(self.folder.view(view))

    def _other(self, study: str) -> Inputs:
        """Return the inputs of another study of the same run."""
        own = self.settings
        return Inputs(RuleSettings(study, own.studies[study], own.config, own.config_dir, own.studies))

    def _others(self, model: str) -> list[Inputs]:
        """Return the other studies that the model is trained on."""
        entry = self._study.trained_as(model)
        names = sorted(set(entry.trained_on) - {self.settings.name}) if entry else []
        return [self._other(name) for name in names]

    def _other_studies(self, model: str) -> list[str]:
        """Name the other studies that the model is trained on, with their index, folds and stores."""
        view, options = self.model(model).view, []
        for other in self._others(model):
            folder = other.folder
            options += ["--also", folder.name, *map(str, (folder.index, folder.folds, folder.view(view).path))]
        return options
