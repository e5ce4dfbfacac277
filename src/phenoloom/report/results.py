"""Read the results of a study: what is there, and None for what is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from ..artifacts.layout import SHAPE_SUMMARY, ModelFolder, StudyFolder
from ..artifacts.manifest import read_manifest
from ..artifacts.parquet import read_result, read_result_schema, table_facts
from ..splits.split import Split

INDEX_COLUMNS = ("id", "plate", "well", "label", "shard", "position", "x", "y")


@dataclass(frozen=True)
class TrainedModel:
    """A trained model of one split.

    Attributes:
        model: name of the model.
        split: `fold-<k>` or `all`.
        card: the model card (`model.yaml`).
        metrics: columns of `metrics.csv` and, if there is one, of `throughput.csv`, by epoch.
        reconstructions: file of sample inputs and outputs.
    """

    model: str
    split: str
    card: dict[str, Any]
    metrics: pd.DataFrame | None
    reconstructions: Path | None


@dataclass(frozen=True)
class ShapeSpace:
    """Findings of the step `embed` about a model of contours on one split.

    Attributes:
        representation: name of the representation.
        split: `fold-<k>` or `all`.
        arrays: the arrays that `embedding.shape_space` describes.
    """

    representation: str
    split: str
    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class EmbeddingMaps:
    """2-D maps of embeddings.

    Attributes:
        obs: one row for each row of the index.
        points: coordinates (n, 2) by representation; NaN in rows that are not on the map.
        methods: how each map was made (`method`, `split`), by representation.
        provenance: settings and code of the file.
    """

    obs: pd.DataFrame
    points: dict[str, NDArray[np.float64]]
    methods: dict[str, dict[str, Any]]
    provenance: dict[str, Any]


class Results:
    """The results of a study, each read when it is first asked for.

    Args:
        folder: results of the study.
        benchmarks: Snakemake's benchmark files of the study, `<rule>/<job>.tsv`.
    """

    def __init__(self, folder: StudyFolder, benchmarks: Path) -> None:
        self.folder, self._benchmarks = folder, benchmarks

    @cached_property
    def sheet(self) -> pd.DataFrame | None:
        """One row for each image."""
        return read_table(self.folder.sheet)

    @property
    def sheet_facts(self) -> dict[str, Any]:
        """The manifest of the sheet: images, rows of the table, and files that are not read."""
        return self.manifests.get("sheet", [{}])[0]

    @property
    def image_count(self) -> int | None:
        """Number of images of the study, including those in quarantine."""
        listed = self.sheet_facts.get("expected", {}).get("images")
        return listed if listed is not None or self.sheet is None else len(self.sheet)

    @cached_property
    def index(self) -> pd.DataFrame | None:
        """One row for each tile or contour, with the columns that the report shows."""
        return read_table(self.folder.index, INDEX_COLUMNS)

    @cached_property
    def split(self) -> Split | None:
        """Units with their groups, folds and labels."""
        return Split.read(self.folder.folds) if self.folder.folds.exists() else None

    @property
    def fold_facts(self) -> dict[str, Any]:
        """Classes, dropped classes and the other facts that the table of folds states about itself."""
        return self.split.facts if self.split else {}

    @cached_property
    def scores(self) -> pd.DataFrame | None:
        """Scores of all representations, in tidy form."""
        return read_table(self.folder.scores)

    @cached_property
    def comparisons(self) -> pd.DataFrame | None:
        """Means and paired differences."""
        return read_table(self.folder.comparisons)

    @cached_property
    def quarantine(self) -> pd.DataFrame | None:
        """Images that could not be used; every value is text."""
        path = self.folder.quarantine
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) if path.exists() else None

    @cached_property
    def channels(self) -> list[str]:
        """Names of the channels of the tile store; empty if there is no store."""
        return [str(name) for name in self.convert_settings.get("channels", [])]

    @cached_property
    def convert_settings(self) -> dict[str, Any]:
        """Settings of the tile store; empty if there is no store."""
        settings: dict[str, Any] = self.manifests.get("convert", [{}])[0].get("settings", {})
        return settings

    @cached_property
    def manifests(self) -> dict[str, list[dict[str, Any]]]:
        """Manifests by step, in the order of the pipeline; one for each shard, or one for the whole step."""
        paths = {
            "sheet": [self.folder.sheet_manifest],
            "objects": [self.folder.objects_manifest],
            "convert": self.folder.tiles.manifests(),
            "contours": self.folder.shapes.manifests(),
            "distances": self.folder.distances.manifests(),
            "index": [self.folder.index_manifest],
            "folds": [self.folder.folds_manifest],
        }
        found = {step: [read_manifest(path) for path in listed if path.exists()] for step, listed in paths.items()}
        return {step: manifests for step, manifests in found.items() if manifests}

    @cached_property
    def models(self) -> list[TrainedModel]:
        """Trained models, by name and split."""
        return [_read_model(folder) for folder in self.folder.models()]

    @cached_property
    def maps(self) -> EmbeddingMaps | None:
        """2-D maps of the embeddings, from `embeddings.h5ad`."""
        path = self.folder.annotated_embeddings
        return _read_maps(path) if path.exists() else None

    def shape_spaces(self, representations: Sequence[str]) -> list[ShapeSpace]:
        """Read the shape space of the first split of each representation that has one."""
        found = [self.folder.embeddings.shape_summaries(name) for name in representations]
        return [_read_space(paths[0]) for paths in found if paths]

    def transferred(self, source: str, representations: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Any]] | None:
        """Read the scores of another study's encoders and probes on this study.

        Args:
            source: name of the other study.
            representations: those to read; the ones without scores are left out.

        Returns:
            The scores and the facts that their tables state, or None if there are no scores.
        """
        paths = [self.folder.transfer(source).scores(name) for name in representations]
        there = [path for path in paths if path.exists()]
        if not there:
            return None
        tables = [table for path in there if (table := read_table(path)) is not None]
        return pd.concat(tables, ignore_index=True), parquet_facts(there[0])

    @cached_property
    def benchmarks(self) -> pd.DataFrame | None:
        """One row for each measured job: its rule and the columns of Snakemake's benchmark file."""
        jobs = [_read_benchmark(path) for path in sorted(self._benchmarks.glob("*/*.tsv"))]
        return pd.concat(jobs, ignore_index=True) if jobs else None

    @cached_property
    def gpu_usage(self) -> dict[str, list[dict[str, Any]]]:
        """How jobs used their GPUs, by rule; empty lists if they had none."""
        trained = [folder.gpu_usage for folder in self.folder.models()]
        paths = {"pretrain": trained, "embed": self.folder.embeddings.gpu_usages()}
        return {
            rule: [json.loads(path.read_text(encoding="utf-8")) for path in listed if path.exists()]
            for rule, listed in paths.items()
        }


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
    """Read a Parquet table.

    Args:
        path: the table.
        columns: the columns to read; those that the table does not have are left out.

    Returns:
        The table, or None if there is no such file.

    Raises:
        PhenoloomError: if the file is not a Parquet table.
    """
    if not path.exists():
        return None
    present = columns and [name for name in read_result_schema(path).names if name in columns]
    table: pd.DataFrame = read_result(path, columns=present).to_pandas()
    return table


def parquet_facts(path: Path) -> dict[str, Any]:
    """Return the facts that a Parquet table states about itself; empty if it states none or does not exist."""
    if not path.exists():
        return {}
    return table_facts(read_result_schema(path))


def _read_model(folder: ModelFolder) -> TrainedModel:
    return TrainedModel(
        model=folder.model,
        split=folder.split,
        card=yaml.safe_load(folder.card.read_text(encoding="utf-8")) or {},
        metrics=_read_curve(folder) if folder.metrics.exists() else None,
        reconstructions=folder.reconstructions if folder.reconstructions.exists() else None,
    )


def _read_space(path: Path) -> ShapeSpace:
    with np.load(path, allow_pickle=False) as arrays:
        return ShapeSpace(path.parent.name, path.name.removesuffix(SHAPE_SUMMARY), dict(arrays))


def _read_curve(folder: ModelFolder) -> pd.DataFrame:
    metrics = pd.read_csv(folder.metrics)
    if not folder.throughput.exists():
        return metrics
    return metrics.merge(pd.read_csv(folder.throughput), "left", on="epoch")


def _read_maps(path: Path) -> EmbeddingMaps | None:
    # Imported here: it takes longer than a page without maps takes to render.
    import h5py
    from anndata.io import read_elem

    # Element by element: the vectors in the same file may be larger than memory.
    with h5py.File(path) as file:
        keys = [key for key in file["obsm"] if key.endswith(".map")]
        points = {key.removesuffix(".map"): np.asarray(read_elem(file["obsm"][key]), np.float64) for key in keys}
        obs, facts = read_elem(file["obs"]), read_elem(file["uns"])
    return EmbeddingMaps(obs, points, dict(facts.get("maps", {})), dict(facts)) if points else None


def _read_benchmark(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values=["-", "NA"]).assign(rule=path.parent.name, job=path.stem)
