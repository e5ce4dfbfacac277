"""Small studies on disk for the tests of training and embedding: real stores, indexes and folds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from phenoloom.artifacts.parquet import table_metadata
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.model import ImageModel, ShapeModel
from phenoloom.config.rule_settings import ContoursSettings, ConvertSettings, PretrainSettings, Settings
from phenoloom.config.source import Masks
from phenoloom.config.study import Tiles
from phenoloom.data.study_input import StudyInput
from phenoloom.tiles.shard_file import Layout
from phenoloom.tiles.store import TileWriter
from tests.helpers.manifests import put_manifest

CLASSES = ("disc", "ring")


def cell(kind: str, size: int, generator: np.random.Generator) -> np.ndarray:
    """A (2, size, size) uint16 image of a disc or a ring of random place and brightness, with camera noise."""
    y, x = np.mgrid[:size, :size] / size - 0.5 + generator.uniform(-0.1, 0.1, (2, 1, 1))
    radius = np.hypot(y, x)
    shape = np.exp(-((radius / 0.16) ** 2)) if kind == "disc" else np.exp(-(((radius - 0.24) / 0.07) ** 2))
    planes = 30000 + 20000 * generator.uniform(0.5, 1.5) * np.stack([shape, np.roll(shape, 3, 0)])
    return (planes + generator.normal(0, 4000, planes.shape)).clip(0, 65535).astype(np.uint16)


def polygon(kind: str, points: int, generator: np.random.Generator) -> np.ndarray:
    """A closed contour (points, 2) with three or five lobes, in a random pose and size, in px."""
    angle = np.arange(points) * 2 * np.pi / points
    radius = 20 * (1 + 0.3 * np.cos((3 if kind == "disc" else 5) * angle + generator.uniform(0, 6)))
    radius *= generator.uniform(0.8, 1.2) * (1 + 0.03 * generator.standard_normal(points))
    contour = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return (contour - contour.mean(0)).astype(np.float32)


def study_input(folder: Path, view: str, name: str = "toy") -> StudyInput:
    """The files of a `StudyOnDisk` in a folder."""
    stores = tuple(sorted((folder / view).glob("*.json")))
    return StudyInput(name, folder / "index.parquet", folder / "folds.parquet", stores)


class StudyOnDisk:
    """`wells` wells of `per_well` objects in alternating classes; well i lies in fold i % folds, `shards` shards."""

    def __init__(
        self,
        folder: Path,
        *,
        wells: int = 8,
        per_well: int = 6,
        shards: int = 2,
        size: int = 40,
        folds: int = 4,
        channels: tuple[str, ...] = ("DNA", "actin"),
        plate: str = "P",
        dtype: str = "uint16",
        seed: int = 0,
    ) -> None:
        self.folder, self.size, self.folds_count = folder, size, folds
        self.channels, self.plate, self.dtype, self.seed = channels, plate, np.dtype(dtype), seed
        folder.mkdir(parents=True, exist_ok=True)
        self.rows: list[dict[str, Any]] = []
        for shard in range(shards):
            self._write_shard(f"{shard:04d}", [w for w in range(wells) if w % shards == shard], per_well)
        self.index, self.folds = folder / "index.parquet", folder / "folds.parquet"
        pq.write_table(pa.Table.from_pylist(self.rows), self.index)
        self.write_folds()

    @property
    def tiles(self) -> list[Path]:
        return sorted((self.folder / "tiles").glob("*.json"))

    @property
    def shapes(self) -> list[Path]:
        return sorted((self.folder / "shapes").glob("*.json"))

    def input(self, view: str = "tiles", name: str = "toy") -> StudyInput:
        """The files that a model of a view reads."""
        return study_input(self.folder, view, name)

    def write_folds(self, unit: str = "object", drop: frozenset[str] = frozenset()) -> None:
        """Folds by well; units in `drop` are left out."""
        units = {}
        for row in self.rows:
            name = {"object": row["id"], "image": row["image_id"], "well": f"{row['plate']}/{row['well']}"}[unit]
            fold = int(row["well"][1:]) % self.folds_count
            units[name] = {"id": name, "group": f"{self.plate}/{row['well']}", "label": row["label"], "fold": fold}
        table = pa.Table.from_pylist([units[name] for name in sorted(units) if name not in drop])
        classes = dict(Counter(row["label"] for row in units.values()))
        facts = {"unit": unit, "group": "well", "count": self.folds_count, "multi_label": False, "classes": classes}
        pq.write_table(table.replace_schema_metadata(table_metadata(facts)), self.folds)

    def _write_shard(self, shard: str, wells: list[int], per_well: int) -> None:
        tiles, shapes = self.folder / "tiles" / shard, self.folder / "shapes" / shard
        writer = TileWriter(
            tiles.with_suffix(".zarr"),
            Layout((len(self.channels), self.size, self.size), self.dtype, per_file=16, compression="lz4"),
        )
        contours, facts = [], []
        position = 0
        for well in wells:
            for item in range(per_well):
                kind, image = CLASSES[well % 2], f"{self.plate}/W{well:02d}/0"
                generator = np.random.default_rng([well, item, *([self.seed] if self.seed else [])])
                tile = self._tile(kind, generator)
                writer.append(writer.encode(tile))
                row = {"id": f"{image}#{item:04d}", "image_id": image, "plate": self.plate, "well": f"W{well:02d}"}
                row |= {"field": "0", "object": item, "label": kind, "shard": shard, "position": position}
                row["foreground"] = np.float32((well % 4 + 1) / 8)
                row["digest"] = f"{self.plate}-{self.seed}-{well}"
                row["channel_mean"] = tile.mean((1, 2)).astype(np.float32).tolist()
                row["channel_std"] = tile.std((1, 2)).astype(np.float32).tolist()
                self.rows.append(row)
                contour = polygon(kind, 32, generator)
                contours.append(contour)
                scale = float(np.sqrt((contour**2).sum(1).mean()))
                facts.append({"id": row["id"], "scale": np.float32(scale)})
                position += 1
        content = writer.close({"channels": list(self.channels), "pixel_size_um": 0.5})
        convert = ConvertSettings(
            algorithm=1,
            study="toy",
            root="raw",
            channels=list(self.channels),
            pixel_size_um=0.5,
            masks=Masks(min_area_px=20),
            tiles=Tiles(mode="objects", size=self.size),
            max_rejected_fraction=0.1,
        )
        self._manifest(tiles, "convert", convert, content, dtype=str(self.dtype), polarity=None)
        shapes.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(shapes.with_suffix(".zarr"), zarr_format=3)
        group.create_array("contours", data=np.stack(contours))
        pq.write_table(pa.Table.from_pylist(facts), shapes.with_suffix(".parquet"))
        traced = ContoursSettings(
            algorithm=1,
            study="toy",
            source="tiles",
            root=None,
            masks=None,
            outlines=None,
            points=32,
            min_points=8,
            border="drop",
            max_rejected_fraction=0.1,
        )
        made = {"settings": convert.model_dump(mode="json"), "dtype": str(self.dtype), "polarity": None}
        arrays = {"contours": {"shape": [len(contours), 32, 2], "dtype": "float32"}}
        self._manifest(shapes, "contours", traced, shard, tiles=made, arrays=arrays)

    def _tile(self, kind: str, generator: np.random.Generator) -> np.ndarray:
        """A tile with a plane for each channel, in the camera's type."""
        planes = cell(kind, self.size, generator)[np.arange(len(self.channels)) % 2]
        return planes if self.dtype == np.uint16 else (planes >> 8).astype(self.dtype)

    @staticmethod
    def _manifest(path: Path, stage: str, settings: Settings, content: str, **facts: Any) -> None:
        put_manifest(path.with_suffix(".json"), stage, settings, content=content, **facts)


def image_settings(split: str = "fold-0", seed: int = 0, **changes: Any) -> PretrainSettings:
    """A small VQ-VAE; `training` updates its training section, other keys replace the model's."""
    training = {"epochs": 3, "batch_size": 8, "warmup_epochs": 1, "threads": 1, "precision": "float32"}
    training |= changes.pop("training", {})
    objective = {"name": "vqvae", "codes": 16, "code_dim": 8, "revive_after": 4} | changes.pop("objective", {})
    values = {"view": "tiles", "width": 4, "input_size": 32, "latent": 16, **changes}
    model = ImageModel(**values, objective=objective, training=training)
    return PretrainSettings(algorithm=1, study="toy", model_name="vqvae-resnet18", model=model, split=split, seed=seed)


def shape_settings(split: str = "fold-0", seed: int = 0, **changes: Any) -> PretrainSettings:
    """A small shape autoencoder."""
    training = {"epochs": 3, "batch_size": 8, "warmup_epochs": 1, "threads": 1, "precision": "float32"}
    training |= changes.pop("training", {})
    values = {"view": "shapes", "width": 4, "latent": 8, "objective": {"name": "ae"}, **changes}
    model = ShapeModel(**values, training=training)
    return PretrainSettings(algorithm=1, study="toy", model_name="shape-ae", model=model, split=split, seed=seed)


def made_by(study: str = "toy") -> Provenance:
    """Provenance of a result of a test."""
    return Provenance(study, {}, "0" * 64)
