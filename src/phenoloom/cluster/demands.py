"""What jobs ask a cluster for: memory and time that grow with their inputs, threads, and which jobs run as one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..artifacts.image_memory import conversion_mb, tracing_mb
from ..artifacts.inputs import Inputs
from ..artifacts.manifest import read_manifest
from ..config.rules import splits
from ..config.study import Study

WRAPPERS_MB = 300
"""Memory of the Snakemakes that a cluster runs around a command."""

CONTOURS_MB = 1500
"""Memory of `contours` without images."""

EMBEDDINGS_A_JOB = 10
"""Embeddings that one job may hold: they run at once, and ask for the memory and the threads of all of them."""

SHARDS_A_GROUP = 100
"""With more shards a job that waits for all of them takes longer than seconds and needs no company. Besides, Snakemake
counts all that a group waits for each time a shard is done: of a thousand shards a million times.
"""

MANY_VECTORS_MB = 100
"""Probes of fewer vectors take seconds and need no thread for each fold."""


def sizes_mb(paths: Iterable[str | Path]) -> list[float]:
    """Return the MB of each file that exists; others come from another job of the same group and count as nothing."""
    # Strings, because a large plan asks for a hundred thousand files.
    return [os.stat(path).st_size / 1e6 for path in paths if os.path.isfile(path)]  # noqa: PTH113, PTH116


@dataclass(frozen=True)
class Growing:
    """An amount of memory (MB) or time (minutes) that grows with a job's inputs and with each attempt.

    Attributes:
        base: the amount without inputs.
        per_mb: what each MB of input adds.
        tables: tables of the study that are read without being inputs; `{study}` is replaced.
        inputs: how sizes of inputs count: all together (`sum`), or the largest where they are read one after another
            (`max`); None: not at all.
    """

    base: float
    per_mb: float = 0.0
    tables: tuple[str, ...] = ()
    inputs: Callable[[list[float]], float] | None = sum

    def amount(self, study: str, paths: Iterable[str | Path], attempt: int) -> int:
        """Return the amount for one attempt at a job, doubled with each attempt after the first.

        Args:
            study: Name of the study, for `tables`.
            paths: Inputs of the job.
            attempt: Number of the attempt, from 1.
        """
        read = 0.0
        if self.per_mb:
            read += sum(sizes_mb(table.format(study=study) for table in self.tables))
            read += self.inputs([0.0, *sizes_mb(paths)]) if self.inputs else 0.0
        return int((self.base + self.per_mb * read) * 2 ** (attempt - 1))


@cache
def _largest_images(manifest: str, _written: int) -> dict[str, tuple[float, float]]:
    """Return the MB and megapixels of the largest image of each shard; a plan asks for the same manifest often."""
    sizes: dict[str, tuple[float, float]] = read_manifest(Path(manifest)).get("largest_image", {})
    return sizes


def image_mb(study: Study, rule: str, manifest: str | Path, shard: str, threads: int) -> int:
    """Return the MB that a step needs for the largest image of a shard.

    Args:
        study: The study.
        rule: `convert`, which reads images, or `contours`, which may read mask files.
        manifest: Manifest of the sheet; before it is written nothing is known of the images.
        shard: Name of the shard.
        threads: Threads of the job.
    """
    path, masks = str(manifest), study.source.masks
    known = _largest_images(path, os.stat(path).st_mtime_ns) if os.path.isfile(path) else {}  # noqa: PTH113, PTH116
    mb, megapixels = known.get(shard, (0.0, 0.0))
    if rule == "convert":
        return int(conversion_mb(mb, megapixels, masks, threads))
    return CONTOURS_MB + (0 if study.tiles else int(tracing_mb(megapixels, threads)))


def preparation_group(study: Study, apart: str | None) -> str | None:
    """Return the group of a step from the raw data to the folds: `apart`, or one for all steps in a study of one shard.

    Raw data of other kinds than simulated: the sheet is made before, as it says how much memory the images need.

    Each of them takes seconds in a small study, and a cluster job itself costs seconds. The price: where one step fails
    for good, Snakemake deletes what the others of its group have made, of one shard.
    """
    if study.shards > 1:
        return apart
    return "prepare" if study.source.simulate else "convert"


def split_group(study: Study) -> str | None:
    """Return the group of index and folds."""
    return preparation_group(study, "split" if study.shards <= SHARDS_A_GROUP else None)


def follows_contours(study: Inputs, representation: str) -> bool:
    """Return whether a model goes along the contour: a processor embeds a thousand contours a second with it."""
    model = study.settings.study.representations[representation].model
    return model is not None and study.model(model).encoder == "cyclic-resnet"


def embedding_group(study: Inputs, representation: str) -> str | None:
    """Return the group of what is embedded in seconds: all folds of a representation and its probes are one job.

    They belong together anyway: the probes wait for all folds. `--group-components`, which would put folds of different
    models and studies into one job, makes them wait for each other's trainings. A concatenation is in no group
    with its parts, because one of them may be trained for days.
    """
    entry, shards = study.settings.study.representations[representation], study.settings.study.shards
    if len(splits(study.settings.study, representation)) > EMBEDDINGS_A_JOB:
        return None
    if entry.concatenate:
        return "concatenate"
    if entry.descriptors:
        return "probe" if shards <= SHARDS_A_GROUP else None
    return "probe" if follows_contours(study, representation) else None


def embeds_beside_others(study: Inputs, representation: str) -> bool:
    """Return whether several embeddings of a representation run in one job, each with less memory than alone."""
    return len(splits(study.settings.study, representation)) > 1 and bool(embedding_group(study, representation))


def probe_threads(folds: int, paths: Iterable[str | Path]) -> int:
    """Return the threads of probes on vectors at `paths`: one a fold where there is work, as folds run side by side."""
    return folds if sum(sizes_mb(paths)) > MANY_VECTORS_MB else 1
