"""Outlines of objects to contours: closed, of equal point count, in one standard order, centred, with their scale.

Of an object with several components the largest is taken (`components` counts them), holes are ignored (`holes` counts
them), contact with the border is flagged or the object dropped, and an outline may touch or cross itself. What is left
out is counted by reason. Points are distinct if they differ from the next one.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from ..artifacts.manifest import Manifest, Quarantine, read_manifest, refuse_too_many, remove_shard, write_manifest
from ..artifacts.provenance import Provenance
from ..config.rule_settings import ContoursSettings
from ..core.progress import progress
from ..study.shards import shard_rows
from .polygons import Floats, Polygons, centred, perimeters, resample, signed_areas, standard_order, without_repeats
from .sources import Batch, batches
from .store import CONVENTIONS, TABLE, ArrayWriter, write_table

AT_BORDER = "object touches the border"
TOO_FEW_POINTS = "outline with fewer than min_points distinct points"
NO_AREA = "outline that encloses no area"

# An area below this share of the squared perimeter is rounding, or a curve that runs back along itself.
_LEAST_AREA = 1e-9


def extract_contours(
    settings: ContoursSettings, sheet: Path, shard: str, tiles: Path | None, manifest: Path, threads: int
) -> None:
    """Write the contours of one shard: `<manifest>.zarr`, its table, and the manifest last.

    `tiles` is the manifest of the shard's tile store where the study has tiles. Memory holds a few batches of outlines
    and the rows of the table, whatever the size of the shard.
    """
    remove_shard(manifest)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    rows = shard_rows(sheet, shard)
    writer = ArrayWriter(manifest.with_suffix(".zarr"), "contours", (settings.points, 2), {"conventions": CONVENTIONS})
    tables: list[pa.Table] = []
    rejected: Counter[str] = Counter()
    quarantine: Quarantine = []
    objects = 0
    total, parts = batches(settings, rows, tiles, threads)
    for batch in progress(parts, total, f"contours of shard {shard}", "batch"):
        objects += len(batch.polygons) + batch.rejected.total()
        quarantine += batch.quarantine
        rejected += batch.rejected
        contours, table = _accepted(settings, batch, rejected)
        writer.append(contours)
        tables.append(table)
    refuse_too_many(quarantine, rows.num_rows, settings.max_rejected_fraction, f"Contours of shard {shard}")
    content = writer.close() + write_table(manifest, pa.concat_tables([TABLE.empty_table(), *tables]))
    write_manifest(
        manifest,
        Manifest(
            "contours",
            Provenance.of(settings),
            expected={"images": rows.num_rows, "contours": objects},
            found={"images": rows.num_rows - len(quarantine), "contours": writer.count},
            rejected=rejected,
            quarantine=quarantine,
            arrays=writer.arrays(),
            content=xxhash.xxh3_128_hexdigest(content.encode()),
            facts={"source": settings.source, **_origin(settings, tiles)},
        ),
    )


def _origin(settings: ContoursSettings, tiles: Path | None) -> dict[str, Any]:
    """How the tiles were made whose masks were traced: a model of the contours says so, for new images."""
    if settings.source != "tiles" or tiles is None:
        return {}
    manifest = read_manifest(tiles)
    return {"tiles": {"settings": manifest["settings"], "dtype": manifest["dtype"]}}


def standard_contours(polygons: Polygons, points: int) -> tuple[Floats, Floats, Floats]:
    """Contours (n, points, 2) in the store's conventions, their centroids (n, 2) and scales (n,).

    Polygons must have no repeated vertices and at least two; see `without_repeats`.
    """
    contours = np.empty((len(polygons), points, 2))
    centres, scales = np.empty((len(polygons), 2)), np.empty(len(polygons))
    for where, batch in polygons.batches():
        ordered = standard_order(batch, signed_areas(batch) < 0)
        contours[where], centres[where], scales[where] = centred(resample(ordered, points))
    return contours, centres, scales


def _accepted(settings: ContoursSettings, batch: Batch, rejected: Counter[str]) -> tuple[Floats, pa.Table]:
    """Contours and table rows of the outlines that follow the policy; the others are counted in `rejected`."""
    polygons = without_repeats(batch.polygons)
    keep = np.ones(len(polygons), bool)

    def drop(where: np.ndarray, reason: str) -> None:
        if count := int(np.count_nonzero(keep & where)):
            rejected[reason] += count
        keep[where] = False

    if settings.border == "drop":
        drop(np.asarray(batch.columns["border"], bool), AT_BORDER)
    drop(polygons.counts < settings.min_points, TOO_FEW_POINTS)
    some = polygons.select(keep)
    flat = np.zeros(len(polygons), bool)
    flat[keep] = np.abs(signed_areas(some)) <= _LEAST_AREA * perimeters(some) ** 2
    drop(flat, NO_AREA)
    contours, centres, scales = standard_contours(polygons.select(keep), settings.points)
    columns = {name: pa.array(values).filter(pa.array(keep)) for name, values in batch.columns.items()}
    columns |= {
        "scale": pa.array(scales.astype(np.float32)),
        "centre_y": pa.array(centres[:, 1].astype(np.float32)),
        "centre_x": pa.array(centres[:, 0].astype(np.float32)),
        "vertices": pa.array(polygons.counts[keep]),
    }
    return contours, pa.table([columns[f.name].cast(f.type) for f in TABLE], schema=TABLE)
