"""How fast the steps are: measured on finished studies where their jobs were large enough to tell, else documented.

CPU seconds of a job = start + work / rate. Work is counted in a unit of the step: MB of raw files, objects, rows,
operations of a model.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ...artifacts.manifest import read_manifest
from ...config import Study, load_study, model_split
from ...config.representation import Representation
from ...core.errors import PhenoloomError
from ...models.checkpoint import read_card
from ...models.cost import model_cost
from ...splits.split import Split
from ...study.shards import raw_bytes

Work = Callable[[Path, str], float | None]

# A fit says something of a rate where the work, not the start of the process, fills the largest job.
_LEAST_SHARE = 0.5
_LEAST_SPREAD = 2.0
_FAR, _FAR_FACTOR = 10.0, 3.0
_LEAST_FACTOR, _MOST_FACTOR = 1.25, 10.0


@dataclass(frozen=True)
class Rate:
    """`start` seconds and `each` seconds a unit, of one core; the truth lies within `factor` either way."""

    unit: str
    start: float
    each: float
    factor: float
    source: str
    largest: float = 0.0

    def seconds(self, jobs: float, work: float) -> float:
        """CPU seconds of `jobs` jobs that do `work` together."""
        return jobs * self.start + work * self.each

    def factor_at(self, jobs: float, work: float) -> float:
        """Uncertainty of such jobs: a fit says less of jobs far larger than those it was made on."""
        beyond = self.largest and work > _FAR * self.largest * jobs
        return max(self.factor, _FAR_FACTOR) if beyond else self.factor


_SIMULATED = "measured on 2 CPU cores, simulated fields of 1080 px"
_REPEATED = "measured on one CPU core, a simulated study's tables repeated to 1,127,100 rows"

DEFAULTS: Mapping[str, Rate] = {
    "sheet": Rate("images", 0.6, 3e-4, 5, "measured on 1,400 small images, where the start of the process dominates"),
    "convert": Rate("MB of files", 2.2, 0.046, 3, f"{_SIMULATED}: threshold, watershed and a tile an object"),
    "convert-grid": Rate(
        "MB of files", 2.2, 0.003, 3, "bench_convert.py --quick: LZW, deflate and raw TIFFs on a grid"
    ),
    "contours": Rate("objects", 0.9, 5e-5, 5, "bench_contours.py --quick, crops of tile masks"),
    "distances": Rate("objects", 0.9, 1.5e-4, 5, "bench_distances.py --quick at 256 points, doubled for writing"),
    "describe": Rate(
        "objects", 0.9, 2.2e-4, 3, "bench_descriptors.py --quick: region properties, spectrum and Fourier"
    ),
    "index": Rate("rows", 0.5, 2.1e-6, 3, _REPEATED),
    "folds": Rate(
        "rows", 1.0, 1.2e-5, 3, "measured on one CPU core, a simulated study's table repeated to 601,120 rows"
    ),
    "pretrain": Rate("GFLOP", 9.4, 0.0177, 3, "measured on 43 trainings of simulated and public studies on CPU cores"),
    "embed": Rate("GFLOP", 3.6, 0.0153, 3, "measured on 82 jobs of simulated and public studies on CPU cores"),
    "embed-descriptors": Rate("rows", 1.0, 3.7e-6, 3, _REPEATED),
    "classify": Rate(
        "rows x folds", 3.9, 1.7e-3, 5, "measured up to 7,514 rows x folds; forests grow faster than rows"
    ),
    "collect": Rate("rows x vectors", 15.0, 5e-6, 5, "15 s for the map; writing taken as the embedding of descriptors"),
}


@dataclass(frozen=True)
class Job:
    """One finished job: its work in the unit of its rule, and what it took."""

    work: float
    cpu_s: float


def measured_rates(results: Path, config_dir: Path, defaults: Mapping[str, Rate]) -> tuple[dict[str, Rate], list[str]]:
    """The rate of each step: fitted to all finished studies of `results` where that is possible, else the default.

    The second value says which studies could not be used, and why.
    """
    jobs: dict[str, list[Job]] = {step: [] for step in defaults}
    unread = []
    for benchmarks in sorted((results / "benchmarks").glob("*/")):
        if not (results / benchmarks.name / "sheet.json").exists():
            continue
        try:
            for step, job in list(_jobs(results / benchmarks.name, benchmarks, config_dir)):
                jobs[step].append(job)
        except PhenoloomError as error:
            unread.append(f"{benchmarks.name} is not measured: {error}")
    return {step: fit(jobs[step], default) for step, default in defaults.items()}, unread


def fit(jobs: Sequence[Job], default: Rate) -> Rate:
    """Least squares of CPU seconds on work; the default where the jobs are too few, too alike or too small to tell."""
    works = [job.work for job in jobs]
    if not works or max(works) < _LEAST_SPREAD * min(works):
        return default
    work, seconds = (np.array([getattr(job, name) for job in jobs]) for name in ("work", "cpu_s"))
    each, start = np.polyfit(work, seconds, 1)
    start = max(0.0, float(start))
    if each <= 0 or each * work.max() < _LEAST_SHARE * (start + each * work.max()):
        return default
    large = work >= work.max() / 2
    errors = np.abs(np.log(np.maximum(seconds[large] - start, 1e-3) / (each * work[large])))
    factor = max(_LEAST_FACTOR, math.exp(2 * float(errors.max())))
    if factor > _MOST_FACTOR:
        return default
    largest = f"largest {work.max():.3g} {default.unit} in {seconds[work.argmax()]:.3g} CPU-s"
    return Rate(
        default.unit,
        start,
        float(each),
        factor,
        f"measured on {len(jobs)} jobs of the results ({largest})",
        float(work.max()),
    )


def _jobs(study: Path, benchmarks: Path, config_dir: Path) -> Iterator[tuple[str, Job]]:
    """Every job of a study whose work its results tell."""
    known = (config_dir / "studies" / f"{study.name}.yaml").exists()
    entries = load_study(study.name, config_dir).representations if known else {}
    grid = known and _is_grid(load_study(study.name, config_dir))
    for path in sorted(benchmarks.glob("*/*.tsv")):
        rule, name = path.parent.name, path.stem
        if rule == "embed":
            representation, split = _two(name)
            entry = entries.get(representation)
            step = "embed" if entry and entry.model else "embed-descriptors"
            work = _embedded(study, representation, split, entry) if entry else None
        else:
            step = "convert-grid" if rule == "convert" and grid else rule
            work = _WORK[rule](study, name) if rule in _WORK else None
        if work is not None:
            yield step, Job(work, _cpu_seconds(path))


def _is_grid(study: Study) -> bool:
    return study.tiles is not None and study.tiles.mode == "grid" and study.source.masks is None


def _cpu_seconds(path: Path) -> float:
    """CPU seconds of a job, the mean over its repeats."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            values = [float(row["cpu_time"]) for row in csv.DictReader(file, delimiter="\t")]
    except (KeyError, ValueError) as error:
        raise PhenoloomError(f"{path} is not a benchmark of Snakemake ({error!r}); delete it") from None
    if not values:
        raise PhenoloomError(f"{path} is empty; delete it")
    return sum(values) / len(values)


def _found(folder: str, what: str) -> Work:
    """Counts of a shard's manifest."""

    def work(study: Path, shard: str) -> float | None:
        path = study / folder / f"{shard}.json"
        return float(read_manifest(path)["found"][what]) if path.exists() else None

    return work


def _traced(study: Path, shard: str) -> float | None:
    """Contours of tile masks; those of mask files take the reading of the files, too."""
    return _found("shapes", "contours")(study, shard) if (study / "tiles").exists() else None


def _rows(table: Path) -> float | None:
    return float(pq.read_metadata(table).num_rows) if table.exists() else None


def _megabytes(study: Path, shard: str) -> float | None:
    """MB of a shard's raw files."""
    if not (study / "tiles" / f"{shard}.json").exists():
        return None
    return raw_bytes(study / "sheet.parquet", shard) / 1e6


def _trained(study: Path, name: str) -> float | None:
    """GFLOP of one training: the epochs that ran, rows of validation without their backward pass."""
    model, split = _two(name)
    folder = study / "models" / model / split
    if not (folder / "model.yaml").exists():
        return None
    card = read_card(folder)
    rows = card.train_rows + card.validation_rows / 3
    return card.epochs_run * rows * model_cost(card.model, card.size).training / 1e9


def _embedded(study: Path, representation: str, split: str, entry: Representation) -> float | None:
    """GFLOP of embedding all rows with a model; rows, where descriptors are only copied."""
    rows = _rows(study / "embeddings" / representation / f"{split}.parquet")
    if rows is None or entry.encoder is None:
        return rows
    folder = study / "models" / entry.encoder / model_split(study.name, entry, split)
    if not (folder / "model.yaml").exists():
        return None
    card = read_card(folder)
    return rows * model_cost(card.model, card.size).embedding / 1e9


def _probed(study: Path, representation: str) -> float | None:
    """Units times folds."""
    path = study / "folds.parquet"
    if not path.exists() or not (study / "scores" / f"{representation}.parquet").exists():
        return None
    split = Split.read(path)
    return float(len(split.units) * len(split.names))


def _two(name: str) -> tuple[str, str]:
    """`<name>-all` or `<name>-fold-<k>` in its parts."""
    head, mark, fold = name.rpartition("-fold-")
    return (head, f"fold-{fold}") if mark else (name.removesuffix("-all"), "all")


_WORK: Mapping[str, Work] = {
    "sheet": lambda study, _: _rows(study / "sheet.parquet"),
    "convert": _megabytes,
    "contours": _traced,
    "distances": _found("shapes", "contours"),
    "describe": _found("shapes", "contours"),
    "index": lambda study, _: _rows(study / "index.parquet"),
    "folds": lambda study, _: _rows(study / "index.parquet"),
    "pretrain": _trained,
    "classify": _probed,
}
