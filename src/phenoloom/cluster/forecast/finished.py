"""Work and time of the finished jobs of a study, from its results."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ...artifacts.layout import ModelFolder, StudyFolder
from ...artifacts.manifest import read_manifest
from ...artifacts.parquet import intact
from ...config import Study, load_study, model_split
from ...config.representation import Representation
from ...core.errors import PhenoloomError
from ...models.checkpoint import Card, read_card
from ...models.cost import model_cost
from ...splits.split import Split
from ...study.shards import raw_bytes

Work = Callable[[StudyFolder, str], float | None]
"""Work of a job, from its study and its name in the folder of benchmarks; None where the results do not show it."""


@dataclass(frozen=True)
class FinishedJob:
    """One finished job.

    Attributes:
        work: its work, in the unit of its step.
        cpu_s: CPU seconds.
    """

    work: float
    cpu_s: float


def finished_jobs(folder: StudyFolder, config_dir: Path) -> Iterator[tuple[str, FinishedJob]]:
    """Yield (step, job) for every job of a study that left results from which its work can be counted."""
    known = (config_dir / "studies" / f"{folder.name}.yaml").exists()
    study = load_study(folder.name, config_dir) if known else None
    for path in folder.benchmark_files():
        rule, name = path.parent.name, path.stem
        if rule == "embed":
            step, work = _embedding(folder, name, study)
        else:
            step = "convert-grid" if rule == "convert" and study and _is_grid(study) else rule
            work = _WORK[rule](folder, name) if rule in _WORK else None
        if work is not None:
            yield step, FinishedJob(work, _cpu_seconds(path))


def _is_grid(study: Study) -> bool:
    return study.tiles is not None and study.tiles.mode == "grid" and study.source.masks is None


def _cpu_seconds(path: Path) -> float:
    """Return the CPU seconds of a job, the mean over its repeats."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            values = [float(row["cpu_time"]) for row in csv.DictReader(file, delimiter="\t")]
    except (KeyError, ValueError) as error:
        raise PhenoloomError(f"{path} is not a benchmark of Snakemake ({error!r}); delete it") from None
    if not values:
        raise PhenoloomError(f"{path} is empty; delete it")
    return sum(values) / len(values)


def _count(manifest: Path, what: str) -> float | None:
    return float(read_manifest(manifest)["found"][what]) if manifest.exists() else None


def _contours(folder: StudyFolder, shard: str) -> float | None:
    return _count(folder.shapes.manifest(shard), "contours")


def _traced(folder: StudyFolder, shard: str) -> float | None:
    """Return the contours of tile masks; those of mask files take the reading of the files, too."""
    return _contours(folder, shard) if folder.tiles.path.exists() else None


def _rows(table: Path) -> float | None:
    if not table.exists():
        return None
    with intact(table):
        return float(pq.read_metadata(table).num_rows)


def _megabytes(folder: StudyFolder, shard: str) -> float | None:
    """Return the MB of a shard's raw files."""
    return raw_bytes(folder.sheet, shard) / 1e6 if folder.tiles.manifest(shard).exists() else None


def _card(model: ModelFolder) -> Card | None:
    return read_card(model.path) if model.card.exists() else None


def _trained(folder: StudyFolder, name: str) -> float | None:
    """Return the GFLOP of one training: the epochs that ran; rows of validation have no backward pass."""
    card = _card(folder.model(*_name_and_split(name)))
    if card is None:
        return None
    rows = card.train_rows + card.validation_rows / 3
    return card.epochs_run * rows * model_cost(card.model, card.size).training / 1e9


def _embedding(folder: StudyFolder, name: str, study: Study | None) -> tuple[str, float | None]:
    """Return the step of an embedding and its work: GFLOP with a model; rows where descriptors are only copied."""
    representation, split = _name_and_split(name)
    entry = study.representations.get(representation) if study else None
    if entry is None:
        return "embed-descriptors", None
    rows = _rows(folder.embeddings.table(representation, split))
    if entry.encoder is None or rows is None:
        return "embed" if entry.model else "embed-descriptors", rows
    return "embed", embedding_gflop(rows, folder, entry, split)


def embedding_gflop(rows: float, folder: StudyFolder, entry: Representation, split: str) -> float | None:
    """Return the GFLOP of embedding rows with the encoder of a split; None without its model card."""
    card = _card(folder.model(str(entry.encoder), model_split(folder.name, entry, split)))
    return None if card is None else rows * model_cost(card.model, card.size).embedding / 1e9


def _probed(folder: StudyFolder, scores: Path) -> float | None:
    """Return units times folds; None without scores."""
    if not folder.folds.exists() or not _rows(scores):
        return None
    split = Split.read(folder.folds)
    return float(len(split.units) * len(split.names))


def _name_and_split(name: str) -> tuple[str, str]:
    """Split `<name>-all` or `<name>-fold-<k>` into its parts."""
    head, mark, fold = name.rpartition("-fold-")
    return (head, f"fold-{fold}") if mark else (name.removesuffix("-all"), "all")


_WORK: Mapping[str, Work] = {
    "sheet": lambda folder, _: _rows(folder.sheet),
    "objects": lambda folder, _: _rows(folder.objects),
    "convert": _megabytes,
    "contours": _traced,
    "distances": _contours,
    "describe": _contours,
    "index": lambda folder, _: _rows(folder.index),
    "folds": lambda folder, _: _rows(folder.index),
    "pretrain": _trained,
    "classify": lambda folder, representation: _probed(folder, folder.representation_scores(representation)),
    "audit": lambda folder, _: _probed(folder, folder.audit),
}
