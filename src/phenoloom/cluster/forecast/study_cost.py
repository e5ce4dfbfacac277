"""What one study of a table would cost, run like another study."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ...artifacts.jobs import jobs_of
from ...config import load_model
from ...config.model import ImageModel, ShapeModel
from ...config.rules import RuleSettings, splits
from ...config.run import Config
from ...config.study import Study
from ...core.errors import PhenoloomError
from ...models.cost import ModelCost, model_cost
from ...shapes.descriptors import DESCRIPTORS
from .cost import Assumptions, Cost, cpu_cost, network_cost
from .sizes import SAMPLE_BYTES, StudySize, recommended_shards

COMPRESSION = 1.9
"""Bytes of tiles and masks over their bytes in the store (lz4): 1.97 to 2.27 on the studies measured."""

_CONTOURS_A_FILE = 4096
_TRAINED_SHARE = 0.9
"""Share of the rows outside the test fold that training takes; validation takes the others."""

_FILES_A_JOB = 3
"""Each job leaves a log, a benchmark and a record of Snakemake."""


@dataclass(frozen=True)
class _Network:
    """A model of the study, and its operations an item."""

    model: ImageModel | ShapeModel
    cost: ModelCost


class StudyCost:
    """One study of the table.

    Attributes:
        size: plates, images and bytes.
        rows: tiles of the study, or its objects where it has no grid.
        shards: those of the table, or as many as are recommended.
    """

    def __init__(self, size: StudySize, pattern: Study, config_dir: Path, assumptions: Assumptions) -> None:
        self.size, self._assumptions = size, assumptions
        self.shards = size.shards or recommended_shards(size.plates, size.bytes)
        self._study = pattern.model_copy(update={"shards": self.shards})
        self.rows = _rows(size, pattern, assumptions)
        self._channels = max(1, round(size.channels))
        self._networks = self._load_networks(config_dir)
        self._jobs = Counter(job.rule for job in jobs_of(RuleSettings("", self._study, Config(), config_dir)))

    def _load_networks(self, config_dir: Path) -> dict[str, _Network]:
        points = self._study.shapes.points if self._study.shapes else 0
        found = {}
        for name in sorted({r.model for r in self._study.representations.values() if r.model}):
            model = load_model(name, self._study, config_dir)
            found[name] = _Network(model, model_cost(model, self._channels if model.view == "tiles" else points))
        return found

    @property
    def vector_bytes(self) -> float:
        """Bytes of the vectors of all representations and splits."""
        tables = ((name, len(splits(self._study, name))) for name in self._study.representations)
        return self.rows * 4.0 * sum(count * self._vector_length(name) for name, count in tables)

    def by_rule(self) -> dict[str, Cost]:
        """Return the cost of each rule that has jobs."""
        disk = self._disk()
        costs = {}
        for rule, jobs in self._jobs.items():
            space, files = disk.get(rule, (0.0, jobs))
            costs[rule] = Cost(jobs, disk=space, files=files + _FILES_A_JOB * jobs) + self._time(rule, jobs)
        return costs

    def _time(self, rule: str, jobs: int) -> Cost:
        match rule:
            case "pretrain":
                return self._training()
            case "tune":
                return self._searching()
            case "embed":
                return self._embedding()
        study, size = self._study, self.size
        grid = study.tiles is not None and study.tiles.mode == "grid" and study.source.masks is None
        work = {
            "sheet": size.images,
            "convert": size.bytes / 1e6,
            "classify": self._units() * study.folds.count * jobs,
            "audit": self._units() * study.folds.count,
            "collect": self.rows * len(study.representations),
        }.get(rule, self.rows)
        rate = self._assumptions.rates.get("convert-grid" if rule == "convert" and grid else rule)
        return cpu_cost(rate, jobs, work) if rate else Cost()

    def _units(self) -> int:
        """Return the number of units that are classified; a study has no more wells than images."""
        by_row = self._study.classify.unit in {"object", "tile"}
        return self.rows if by_row else min(self.rows, self.size.images)

    def _trained_rows(self, *, transductive: bool) -> float:
        """Return the rows of one epoch: of all folds, or of all but the test fold."""
        folds = 1 if transductive else 1 - 1 / self._study.folds.count
        return self.rows * _TRAINED_SHARE * folds

    def _trainings(self) -> list[tuple[_Network, float, int]]:
        """Return each trained network once, with its rows and its number of trainings."""
        found: dict[tuple[str | None, bool], tuple[_Network, float, int]] = {}
        for name, entry in self._study.representations.items():
            if entry.model:
                rows = self._trained_rows(transductive=entry.transductive)
                training = (self._networks[entry.model], rows, len(splits(self._study, name)))
                found.setdefault((entry.encoder, entry.transductive), training)
        return list(found.values())

    def _training(self) -> Cost:
        """Return the cost of all trainings, as if none stopped early."""
        total = Cost()
        for network, rows, jobs in self._trainings():
            epochs = self._assumptions.epochs or network.model.training.epochs
            operations = rows * epochs * network.cost.training * jobs
            total += self._operations("pretrain", jobs, operations, network.model.training.threads)
        return total

    def _searching(self) -> Cost:
        """Return the cost of the trials of all searches, as if none stopped early."""
        total = Cost()
        for network, rows, count in self._trainings():
            training, tune = network.model.training, network.model.tune
            if tune is None:
                continue
            epochs = tune.epochs or self._assumptions.epochs or training.epochs
            operations = rows * epochs * network.cost.training * tune.trials * count
            total += self._operations("pretrain", count * tune.workers, operations, training.threads)
        return total

    def _embedding(self) -> Cost:
        """Return the cost of all vectors: operations of networks, and copies of descriptors."""
        total = Cost()
        for name, entry in self._study.representations.items():
            jobs = len(splits(self._study, name))
            if entry.model is None:
                total += cpu_cost(self._assumptions.rates["embed-descriptors"], jobs, jobs * self.rows)
            else:
                operations = self.rows * self._networks[entry.model].cost.embedding * jobs
                total += self._operations("embed", jobs, operations, threads=1)
        return total

    def _operations(self, step: str, jobs: int, operations: float, threads: int) -> Cost:
        rate, gpu_tflops = self._assumptions.rates[step], self._assumptions.gpu_tflops
        return network_cost(rate, jobs, operations / 1e9, threads, gpu_tflops)

    def _disk(self) -> dict[str, tuple[float, int]]:
        """Return the bytes and files that each rule writes; the smallest tables are left out."""
        folds, shards = self._study.folds.count, self.shards
        parameters = sum(network.cost.parameters for network in self._networks.values())
        return {
            "sheet": (self.size.images * 100.0, 2),
            "index": (self.rows * 100.0, 3),
            "folds": (self.rows * 30.0, 2),
            "describe": (self.rows * 4.0 * self._described(), shards),
            "pretrain": (parameters * 4.0 * folds, 5 * folds * len(self._networks)),
            "embed": (self.vector_bytes, sum(len(splits(self._study, name)) for name in self._study.representations)),
            "collect": (self.vector_bytes, 1),
            **self._tile_stores(),
            **self._contour_stores(),
        }

    def _tile_stores(self) -> dict[str, tuple[float, int]]:
        tiles, masks = self._study.tiles, self._study.source.masks
        if tiles is None:
            return {}
        stored = tiles.size**2 * (self._channels * SAMPLE_BYTES + (1 if masks else 0)) / COMPRESSION
        blocks = math.ceil(self.rows / tiles.tiles_per_shard_file) + self.shards
        return {"convert": (self.rows * (stored + 150.0), blocks * (2 if masks else 1) + 5 * self.shards)}

    def _contour_stores(self) -> dict[str, tuple[float, int]]:
        if self._study.shapes is None:
            return {}
        points, blocks = self._study.shapes.points, math.ceil(self.rows / _CONTOURS_A_FILE) + self.shards
        return {
            "contours": (self.rows * (points * 8.0 + 60), blocks + 4 * self.shards),
            "distances": (self.rows * points**2 * 4.0, blocks * max(1, points**2 // 4096) + 3 * self.shards),
        }

    def _described(self) -> int:
        """Return the number of descriptors of an outline that are computed."""
        used = {entry.descriptors for entry in self._study.representations.values() if entry.descriptors}
        return sum(len(DESCRIPTORS[name].names) for name in used if name in DESCRIPTORS)

    def _vector_length(self, representation: str) -> int:
        """Return the number of features of a representation."""
        entry = self._study.representations[representation]
        if entry.concatenate:
            return sum(self._vector_length(part) for part in entry.concatenate)
        if entry.model:
            return self._networks[entry.model].model.latent
        if entry.descriptors == "intensity":
            return 2 * self._channels
        return len(DESCRIPTORS[str(entry.descriptors)].names)


def _rows(size: StudySize, study: Study, assumptions: Assumptions) -> int:
    """Return the tiles of a study, or its objects where it has no grid; refuse a study without a number of objects."""
    if study.tiles and study.tiles.mode == "grid":
        if size.tiles is not None:
            return size.tiles
        return round(size.samples / (study.tiles.stride or study.tiles.size) ** 2)
    if size.objects is not None:
        return size.objects
    if assumptions.per_megapixel is None:
        raise PhenoloomError(
            f"Study {size.name} has a row an object, and the table does not say how many objects there are; "
            "add a column `objects`, or give --objects-per-megapixel"
        )
    return round(size.samples / 1e6 * assumptions.per_megapixel)
