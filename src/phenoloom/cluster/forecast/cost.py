"""What a table of studies would cost: jobs, core-hours, GPU-hours, disk and files of each rule.

One study file is the pattern for all of them: its views, models, folds and representations decide which jobs run. Jobs
are counted as the workflow plans them; time is jobs and work times rates; disk is counted from array shapes.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...artifacts.jobs import jobs_of
from ...config import load_model
from ...config.rules import RuleSettings, splits
from ...config.run import Config
from ...config.search import Tune
from ...config.study import Study
from ...core.errors import PhenoloomError
from ...models.cost import ModelCost, model_cost
from ...shapes.descriptors import DESCRIPTORS
from .rates import Rate
from .sizes import SAMPLE_BYTES, StudySize, recommended_shards

COMPRESSION = 1.9
"""Bytes of tiles and masks over their bytes in the store (lz4): 1.97 to 2.27 on the studies measured."""
GPU_FACTOR = 3.0
_CONTOURS_A_FILE = 4096
_TRAINED_SHARE = 0.9


@dataclass(frozen=True)
class Assumptions:
    """What the forecast is told, not shown: `epochs` replaces that of every model, `gpu_tflops` is what a GPU sustains.

    `per_megapixel` is the number of objects in a million pixels of one channel.
    """

    rates: Mapping[str, Rate]
    gpu_tflops: float
    per_megapixel: float | None = None
    epochs: int | None = None


@dataclass
class Cost:
    """Cost of one rule; hours as (low, expected, high)."""

    jobs: int = 0
    core_hours: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gpu_hours: tuple[float, float, float] = (0.0, 0.0, 0.0)
    disk: float = 0.0
    files: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.jobs + other.jobs,
            _added(self.core_hours, other.core_hours),
            _added(self.gpu_hours, other.gpu_hours),
            self.disk + other.disk,
            self.files + other.files,
        )


@dataclass(frozen=True)
class Forecast:
    """Cost by rule over all studies, and the study with most rows."""

    by_rule: Mapping[str, Cost]
    studies: int
    raw_bytes: int
    rows: int
    most_rows: int
    most_rows_study: str
    most_vector_bytes: float
    shards: int
    most_shards: int

    @property
    def total(self) -> Cost:
        """Sum over the rules."""
        return sum(self.by_rule.values(), Cost())


def forecast(sizes: Sequence[StudySize], pattern: Study, config_dir: Path, told: Assumptions) -> Forecast:
    """The cost of studies of these sizes, each run like `pattern`; raises PhenoloomError where a size is not known."""
    if not sizes:
        raise PhenoloomError("There is no study to forecast; give a table with at least one")
    source = pattern.source.model_copy(update={"simulate": None})
    pattern = pattern.model_copy(update={"source": source, "transfer": []})
    searches = _searches(pattern, config_dir)
    by_rule: dict[str, Cost] = defaultdict(Cost)
    all_of = []
    for size in sizes:
        shards = size.shards or recommended_shards(size.plates, size.bytes)
        study = pattern.model_copy(update={"shards": shards})
        channels = max(1, round(size.channels))
        models = _models(pattern, config_dir, channels)
        jobs = Counter(job.rule for job in jobs_of(RuleSettings("", study, Config(), config_dir)))
        one = _One(size, study, _rows(size, study, told), channels, models, searches, told, jobs)
        all_of.append(one)
        for rule, cost in one.costs().items():
            by_rule[rule] += cost
    largest = max(all_of, key=lambda one: one.rows)
    return Forecast(
        by_rule=dict(by_rule),
        studies=len(sizes),
        raw_bytes=sum(size.bytes for size in sizes),
        rows=sum(one.rows for one in all_of),
        most_rows=largest.rows,
        most_rows_study=largest.size.name,
        most_vector_bytes=largest.vector_bytes,
        shards=sum(one.study.shards for one in all_of),
        most_shards=max(one.study.shards for one in all_of),
    )


def _rows(size: StudySize, study: Study, told: Assumptions) -> int:
    """Tiles of a study, or its objects where it has no tiles."""
    if study.tiles and study.tiles.mode == "grid":
        if size.tiles is not None:
            return size.tiles
        return round(size.samples / (study.tiles.stride or study.tiles.size) ** 2)
    if size.objects is not None:
        return size.objects
    if told.per_megapixel is None:
        raise PhenoloomError(
            f"Study {size.name} is tiled by objects, and the table does not say how many there are; "
            "add a column `objects`, or give --objects-per-megapixel"
        )
    return round(size.samples / 1e6 * told.per_megapixel)


Models = Mapping[str, tuple[ModelCost, int, int, int, bool]]


def _models(pattern: Study, config_dir: Path, channels: int) -> Models:
    """By model: cost, epochs, threads, latent values, and whether it looks at tiles."""
    found = {}
    for name in sorted({r.model for r in pattern.representations.values() if r.model}):
        model = load_model(name, pattern, config_dir)
        tiles = model.view == "tiles"
        points = pattern.shapes.points if pattern.shapes else 0
        cost = model_cost(model, channels if tiles else points)
        found[name] = (cost, model.training.epochs, model.training.threads, model.latent, tiles)
    return found


def _searches(pattern: Study, config_dir: Path) -> dict[str, Tune]:
    """The searches for settings, by the models that declare one."""
    names = {r.model for r in pattern.representations.values() if r.model}
    return {name: tune for name in sorted(names) if (tune := load_model(name, pattern, config_dir).tune)}


def _values(pattern: Study, representation: str, channels: int, models: Models) -> int:
    """Length of a representation's vector."""
    entry = pattern.representations[representation]
    if entry.concatenate:
        return sum(_values(pattern, part, channels, models) for part in entry.concatenate)
    if entry.model:
        return models[entry.model][3]
    if entry.descriptors == "intensity":
        return 2 * channels
    return len(DESCRIPTORS[str(entry.descriptors)].names)


@dataclass(frozen=True)
class _One:
    """One study of the table."""

    size: StudySize
    study: Study
    rows: int
    channels: int
    models: Models
    searches: Mapping[str, Tune]
    told: Assumptions
    jobs: Mapping[str, int]

    @property
    def _units(self) -> int:
        """What is classified; a study has no more wells than images."""
        return self.rows if self.study.classify.unit in {"object", "tile"} else min(self.rows, self.size.images)

    @property
    def vector_bytes(self) -> float:
        """Bytes of the vectors of all representations and splits."""
        return self.rows * 4.0 * self._vectors()[0]

    def costs(self) -> dict[str, Cost]:
        """Cost of each rule that has jobs; every job leaves a log, a benchmark and a record of each output."""
        disk = self._disk()
        costs = {}
        for rule, jobs in self.jobs.items():
            space, files = disk.get(rule, (0.0, jobs))
            cost = Cost(jobs, disk=space, files=files + 3 * jobs)
            costs[rule] = cost + self._time(rule, jobs)
        return costs

    def _time(self, rule: str, jobs: int) -> Cost:
        if rule in {"pretrain", "embed", "tune"}:
            return self._searching() if rule == "tune" else self._networks(rule)
        grid = self.study.tiles is not None and self.study.tiles.mode == "grid" and self.study.source.masks is None
        step = "convert-grid" if rule == "convert" and grid else rule
        work = {
            "sheet": self.size.images,
            "convert": self.size.bytes / 1e6,
            "classify": self._units * self.study.folds.count * jobs,
            "collect": self.rows * len(self.study.representations),
        }.get(rule, self.rows)
        rate = self.told.rates.get(step)
        return Cost() if rate is None else Cost(core_hours=_hours(rate.seconds(jobs, work), rate.factor_at(jobs, work)))

    def _networks(self, rule: str) -> Cost:
        """Training and embedding: operations on a GPU where one is assumed, else on CPU cores."""
        total, share = Cost(), _TRAINED_SHARE * (1 - 1 / self.study.folds.count)
        done = set()
        for name, entry in self.study.representations.items():
            jobs = len(splits(self.study, name))
            if entry.model is None:
                if rule == "embed":
                    rate, rows = self.told.rates["embed-descriptors"], jobs * self.rows
                    total += Cost(core_hours=_hours(rate.seconds(jobs, rows), rate.factor_at(jobs, rows)))
                continue
            cost, epochs, threads, _, _ = self.models[entry.model]
            if rule == "pretrain" and (entry.encoder, entry.transductive) in done:
                continue
            done.add((entry.encoder, entry.transductive))
            part = _TRAINED_SHARE if entry.transductive else share
            items = part * (self.told.epochs or epochs) * cost.training if rule == "pretrain" else cost.embedding
            operations = self.rows * items * jobs
            total += self._operations(rule, jobs, operations / 1e9, threads if rule == "pretrain" else 1)
        return total

    def _searching(self) -> Cost:
        """Trials of all searches, as if none were stopped early."""
        total, share = Cost(), _TRAINED_SHARE * (1 - 1 / self.study.folds.count)
        entries = self.study.representations.items()
        trained = {
            (r.model, r.transductive): len(splits(self.study, n)) for n, r in entries if r.model in self.searches
        }
        for (model, transductive), count in trained.items():
            tune, (cost, epochs, threads, _, _) = self.searches[str(model)], self.models[str(model)]
            each = (tune.epochs or self.told.epochs or epochs) * cost.training * tune.trials
            operations = self.rows * (_TRAINED_SHARE if transductive else share) * each * count
            total += self._operations("pretrain", count * tune.workers, operations / 1e9, threads)
        return total

    def _operations(self, rule: str, jobs: int, gflop: float, threads: int) -> Cost:
        rate = self.told.rates[rule]
        if not self.told.gpu_tflops:
            return Cost(core_hours=_hours(rate.seconds(jobs, gflop), rate.factor_at(jobs, gflop)))
        seconds = rate.seconds(jobs, 0) + gflop / self.told.gpu_tflops / 1e3
        hours = _hours(seconds, GPU_FACTOR)
        return Cost(gpu_hours=hours, core_hours=tuple(threads * value for value in hours))  # type: ignore[arg-type]

    def _disk(self) -> dict[str, tuple[float, int]]:
        """Bytes and files that each rule writes; the smallest tables are left out."""
        study, shards, rows = self.study, self.study.shards, self.rows
        found: dict[str, tuple[float, int]] = {"index": (rows * 100.0, 3), "folds": (rows * 30.0, 2)}
        found["sheet"] = (self.size.images * 100.0, 2)
        if study.tiles:
            tile = study.tiles.size**2
            stored = tile * (self.channels * SAMPLE_BYTES + (1 if study.source.masks else 0)) / COMPRESSION
            blocks = math.ceil(rows / study.tiles.tiles_per_shard_file) + shards
            files = blocks * (2 if study.source.masks else 1) + 5 * shards
            found["convert"] = (rows * (stored + 150.0), files)
        if study.shapes:
            points = study.shapes.points
            blocks = math.ceil(rows / _CONTOURS_A_FILE) + shards
            found["contours"] = (rows * (points * 8.0 + 60), blocks + 4 * shards)
            found["distances"] = (rows * points**2 * 4.0, blocks * max(1, points**2 // 4096) + 3 * shards)
        found["describe"] = (rows * 4.0 * self._described(), shards)
        files = self._vectors()[1]
        found["embed"] = (self.vector_bytes, files)
        found["collect"] = (self.vector_bytes, 1)
        trained = [(self.models[m][0], m) for m in self.models]
        per_model = sum(cost.parameters * 4.0 for cost, _ in trained)
        found["pretrain"] = (per_model * study.folds.count, 5 * study.folds.count * len(trained))
        return found

    def _described(self) -> int:
        used = {r.descriptors for r in self.study.representations.values() if r.descriptors}
        return sum(len(DESCRIPTORS[name].names) for name in used if name in DESCRIPTORS)

    def _vectors(self) -> tuple[int, int]:
        """Values a row over all representations and splits, and their files."""
        values = files = 0
        for name in self.study.representations:
            tables = len(splits(self.study, name))
            values += tables * _values(self.study, name, self.channels, self.models)
            files += tables
        return values, files


def _hours(seconds: float, factor: float) -> tuple[float, float, float]:
    return seconds / factor / 3600, seconds / 3600, seconds * factor / 3600


def _added(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
