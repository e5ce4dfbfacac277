"""Made-up contours, and finished stores of contours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from phenoloom.artifacts.manifest import Manifest, write_manifest
from phenoloom.artifacts.provenance import Provenance
from phenoloom.shapes.store import CONVENTIONS, TABLE, ArrayWriter, write_table

MADE_BY = Provenance("t", {}, "0" * 64)


def blobs(n: int, points: int = 64, seed: int = 0) -> NDArray[np.float64]:
    """Return smooth asymmetric outlines (n, points, 2)."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(points) / points
    waves = (rng.normal(size=(n, 1)) / k * np.cos(k * angle + rng.uniform(0, 6, (n, 1))) for k in range(2, 8))
    radius = 20 + 2 * sum(waves)
    return np.stack([1.4 * radius * np.cos(angle), radius * np.sin(angle)], axis=2)


def circle(radius: float, points: int = 64) -> NDArray[np.float64]:
    """Return one circle (1, points, 2) about the origin."""
    angle = 2 * np.pi * np.arange(points) / points
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)[None]


def write_contours(folder: Path, contours: NDArray[np.floating[Any]], shard: str = "0000") -> Path:
    """Write the finished store of a shard, `shapes/<shard>.json`; contours are called `cell 0`, `cell 1`, ..."""
    manifest = folder / "shapes" / f"{shard}.json"
    writer = ArrayWriter(manifest.with_suffix(".zarr"), "contours", contours.shape[1:], {"conventions": CONVENTIONS})
    writer.append(contours)
    known = {
        "id": pa.array([f"cell {i}" for i in range(len(contours))], pa.string()),
        "scale": pa.array(np.sqrt(np.square(contours).sum(axis=2).mean(axis=1)).astype(np.float32)),
    }
    columns = [known.get(field.name, pa.nulls(len(contours), field.type)) for field in TABLE]
    content = writer.close() + write_table(manifest, pa.table(columns, schema=TABLE))
    write_manifest(
        manifest, Manifest("contours", MADE_BY, expected={}, found={}, content=content, arrays=writer.arrays())
    )
    return manifest
