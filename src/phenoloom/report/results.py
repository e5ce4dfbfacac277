"""Reading a study's results folder: whatever is there, and None for what is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from ..artifacts.manifest import read_manifest
from ..artifacts.parquet import table_facts
from ..core.errors import PhenoloomError
from ..splits.split import Split

INDEX = ("id", "plate", "well", "label", "shard", "position", "x", "y")


@dataclass(frozen=True)
class Run:
    """One trained encoder: its card (`model.yaml`), its curve and its sample reconstructions.

    `metrics` are the columns of `metrics.csv` and, where it is there, `throughput.csv`, by epoch.
    """

    model: str
    split: str
    card: dict[str, Any]
    metrics: pd.DataFrame | None
    reconstructions: Path | None


@dataclass(frozen=True)
class ShapeSpace:
    """What a model of contours knows of shapes, of one split: the arrays that `shape_summary` names."""

    representation: str
    split: str
    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Maps:
    """2-D maps: `obs` has a row for each row of the index, `points` its coordinates (n, 2) by representation, NaN for
    rows that are not on the map, `made` how each map was made (`method`, `split`), `card` what the file says of itself.
    """

    obs: pd.DataFrame
    points: dict[str, NDArray[np.float64]]
    made: dict[str, dict[str, Any]]
    card: dict[str, Any]


class Results:
    """Lazy access to `results/<study>` and to the folder of its Snakemake benchmarks (`<rule>/<job>.tsv`)."""

    def __init__(self, folder: Path, benchmarks: Path) -> None:
        self.folder, self._benchmarks = folder, benchmarks

    @cached_property
    def sheet(self) -> pd.DataFrame | None:
        """Rows of images."""
        return read_table(self.folder / "sheet.parquet")

    @property
    def image_count(self) -> int | None:
        """Images of the study, those in quarantine too."""
        listed = self.manifests.get("sheet", [{}])[0].get("expected", {}).get("images")
        return listed if listed is not None or self.sheet is None else len(self.sheet)

    @cached_property
    def index(self) -> pd.DataFrame | None:
        """Rows of tiles or shapes, with the columns that the report shows."""
        return read_table(self.folder / "index.parquet", INDEX)

    @cached_property
    def split(self) -> Split | None:
        """Units with their groups, folds and labels."""
        path = self.folder / "folds.parquet"
        return Split.read(path) if path.exists() else None

    @property
    def fold_facts(self) -> dict[str, Any]:
        """Classes, dropped classes and the rest of what the folds say about themselves."""
        return self.split.facts if self.split else {}

    @cached_property
    def scores(self) -> pd.DataFrame | None:
        """Tidy scores of all representations."""
        return read_table(self.folder / "scores.parquet")

    @cached_property
    def comparisons(self) -> pd.DataFrame | None:
        """Means and paired differences."""
        return read_table(self.folder / "comparisons.parquet")

    @cached_property
    def quarantine(self) -> pd.DataFrame | None:
        """Images that could not be used; every value is text."""
        path = self.folder / "quarantine.tsv"
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) if path.exists() else None

    @cached_property
    def channels(self) -> list[str]:
        """Channel names of the tile store; empty where there is none."""
        return [str(name) for name in self.convert_settings.get("channels", [])]

    @cached_property
    def convert_settings(self) -> dict[str, Any]:
        """Settings that the tile store was made with; empty where there is none."""
        settings: dict[str, Any] = self.manifests.get("convert", [{}])[0].get("settings", {})
        return settings

    @cached_property
    def manifests(self) -> dict[str, list[dict[str, Any]]]:
        """Manifests by stage, in the order of the flow; a stage has one manifest or one a shard."""
        stages = {
            "sheet": [self.folder / "sheet.json"],
            "convert": sorted((self.folder / "tiles").glob("*.json")),
            "contours": sorted((self.folder / "shapes").glob("*.json")),
            "distances": sorted((self.folder / "distances").glob("*.json")),
            "index": [self.folder / "index.json"],
            "folds": [self.folder / "folds.json"],
        }
        found = {stage: [read_manifest(path) for path in paths if path.exists()] for stage, paths in stages.items()}
        return {stage: manifests for stage, manifests in found.items() if manifests}

    @cached_property
    def runs(self) -> list[Run]:
        """Trained encoders, by model and split."""
        cards = sorted((self.folder / "models").glob("*/*/model.yaml"))
        return [_read_run(card) for card in cards]

    @cached_property
    def maps(self) -> Maps | None:
        """2-D maps of the embeddings, from `embeddings.h5ad`."""
        path = self.folder / "embeddings.h5ad"
        return _read_maps(path) if path.exists() else None

    def shape_spaces(self, representations: Sequence[str]) -> list[ShapeSpace]:
        """Of those of the representations that have one, that of the first split."""
        found = [sorted((self.folder / "embeddings" / name).glob("*.shapes.npz")) for name in representations]
        return [_read_space(paths[0]) for paths in found if paths]

    def transferred(self, source: str, representations: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Any]] | None:
        """Scores of another study's encoders and probes on this one, and what they say of themselves; or None."""
        paths = [self.folder / "transfer" / source / f"{name}.parquet" for name in representations]
        there = [path for path in paths if path.exists()]
        if not there:
            return None
        tables = [table for path in there if (table := read_table(path)) is not None]
        return pd.concat(tables, ignore_index=True), parquet_facts(there[0])

    @cached_property
    def benchmarks(self) -> pd.DataFrame | None:
        """A row a measured job: its rule and the columns of Snakemake's benchmark file."""
        jobs = [_read_benchmark(path) for path in sorted(self._benchmarks.glob("*/*.tsv"))]
        return pd.concat(jobs, ignore_index=True) if jobs else None

    @cached_property
    def device_use(self) -> dict[str, list[dict[str, Any]]]:
        """How jobs used their GPUs, by rule; empty where there were none."""
        found = {
            "pretrain": sorted((self.folder / "models").glob("*/*/device.json")),
            "embed": sorted((self.folder / "embeddings").glob("*/*.device.json")),
        }
        return {rule: [json.loads(path.read_text(encoding="utf-8")) for path in paths] for rule, paths in found.items()}

    def stores(self, view: str) -> dict[str, Path]:
        """Zarr stores of the view `tiles` or `shapes` that have a manifest, by shard."""
        manifests = sorted((self.folder / view).glob("*.json"))
        return {path.stem: path.with_suffix(".zarr") for path in manifests}


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
    """A Parquet table, or None where there is none; of `columns` those that it has."""
    if not path.exists():
        return None
    try:
        present = columns and [name for name in pq.read_schema(path).names if name in columns]
        table: pd.DataFrame = pq.read_table(path, columns=present).to_pandas()
    except pa.ArrowInvalid as error:
        raise PhenoloomError(f"{path} is not a Parquet table ({error}); delete it and rerun its step") from None
    return table


def parquet_facts(path: Path) -> dict[str, Any]:
    """What a step says about itself in the schema metadata of its table; empty where it says nothing."""
    if not path.exists():
        return {}
    return table_facts(pq.read_schema(path))


def _read_run(card: Path) -> Run:
    metrics, reconstructions = card.with_name("metrics.csv"), card.with_name("reconstructions.npz")
    return Run(
        model=card.parent.parent.name,
        split=card.parent.name,
        card=yaml.safe_load(card.read_text(encoding="utf-8")) or {},
        metrics=_read_curve(metrics) if metrics.exists() else None,
        reconstructions=reconstructions if reconstructions.exists() else None,
    )


def _read_space(path: Path) -> ShapeSpace:
    with np.load(path, allow_pickle=False) as arrays:
        return ShapeSpace(path.parent.name, path.name.partition(".")[0], dict(arrays))


def _read_curve(path: Path) -> pd.DataFrame:
    metrics, throughput = pd.read_csv(path), path.with_name("throughput.csv")
    return metrics.merge(pd.read_csv(throughput), "left", on="epoch") if throughput.exists() else metrics


def _read_maps(path: Path) -> Maps | None:
    # Imported here: it takes longer than a page without maps takes to render.
    import h5py
    from anndata.io import read_elem

    # Element by element: the vectors beside the maps may be larger than memory.
    with h5py.File(path) as file:
        keys = [key for key in file["obsm"] if key.endswith(".map")]
        points = {key.removesuffix(".map"): np.asarray(read_elem(file["obsm"][key]), np.float64) for key in keys}
        obs, card = read_elem(file["obs"]), read_elem(file["uns"])
    return Maps(obs, points, dict(card.get("maps", {})), dict(card)) if points else None


def _read_benchmark(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values=["-", "NA"]).assign(rule=path.parent.name, job=path.stem)
