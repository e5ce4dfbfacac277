"""Where outlines come from: the masks of a tile store, mask files, or points. Each source yields batches in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from ..artifacts.manifest import Quarantine, read_manifest
from ..config.rule_settings import ContoursSettings
from ..core.errors import ImageError, PhenoloomError
from ..core.parallel import parallel_map
from ..images.labels import read_labels
from ..study.files import Root
from ..study.outline_files import read_outlines
from ..tiles.store import TileStore
from .polygons import Polygons
from .tracing import Traced, trace_labels, trace_masks

EMPTY = "mask without foreground"
TOO_SMALL = "object smaller than min_area_px"

_PIXELS_A_BATCH = 1 << 24
_OUTLINES_A_BATCH = 1024
_LARGEST_COORDINATE = 1e12


@dataclass
class Batch:
    """Outlines in px of the image, their columns of the table, and what was left out before there was an outline."""

    polygons: Polygons
    columns: dict[str, Sequence[Any] | NDArray[Any]]
    rejected: Counter[str] = field(default_factory=Counter)
    quarantine: Quarantine = field(default_factory=list)


Batches = tuple[int, Iterator[Batch]]


def batches(settings: ContoursSettings, rows: pa.Table, tiles: Path | None, threads: int) -> Batches:
    """How many batches the outlines of one shard make, and the batches; `rows` are the shard's rows of the sheet."""
    if settings.source == "tiles":
        if tiles is None:
            raise PhenoloomError("Contours come from the study's tiles, so the manifest of the tiles must be given")
        return _from_tiles(tiles, threads)
    return (_from_masks if settings.source == "masks" else _from_outlines)(settings, rows, threads)


def _from_tiles(manifest: Path, threads: int) -> Batches:
    read_manifest(manifest)
    store = TileStore(manifest.with_suffix(".zarr"))
    names = ["id", "image_id", "object", "y", "x", "border", "digest"]
    table = pq.read_table(manifest.with_suffix(".parquet"), columns=names)
    if (table["object"].to_numpy() < 0).any():
        raise PhenoloomError(
            f"{manifest} holds tiles on a grid, which show no single object; set `tiles.mode: objects`, "
            f"or remove `shapes` from the study"
        )
    size = min(4096, max(1, _PIXELS_A_BATCH // (store.shape[-1] * store.shape[-2])))
    starts = range(0, len(table), size)
    return len(starts), (_tile_batch(store, table.slice(start, size), start, threads) for start in starts)


def _tile_batch(store: TileStore, rows: pa.Table, start: int, threads: int) -> Batch:
    traced = trace_masks(store.read_masks(range(start, start + len(rows)), threads=threads) == 1)
    found = rows.take(pa.array(traced.objects))
    columns: dict[str, Any] = {name: found[name].combine_chunks() for name in ("id", "image_id", "object", "digest")}
    columns |= _facts(traced) | {"border": traced.border | found["border"].to_numpy()}
    polygons = traced.polygons.shifted(found["x"].to_numpy(), found["y"].to_numpy())
    empty = len(rows) - len(found)
    return Batch(polygons, columns, Counter({EMPTY: empty} if empty else {}))


def _from_masks(settings: ContoursSettings, rows: pa.Table, threads: int) -> Batches:
    if rows.num_rows and rows["mask"].null_count == rows.num_rows:
        raise PhenoloomError(
            "The sheet names no mask files, so there are no outlines; give `source.masks.files` in the study, or add "
            "`tiles`, whose conversion segments objects by threshold"
        )
    assert settings.root is not None
    root = Root(settings.root)

    def work(row: dict[str, Any]) -> Batch:
        try:
            return _from_mask(settings, root, row)
        except ImageError as error:
            return _unusable(row["image_id"], row["mask"] or "", str(error))

    return rows.num_rows, parallel_map(work, rows.select(["image_id", "mask"]).to_pylist(), threads)


def _from_mask(settings: ContoursSettings, root: Root, row: dict[str, Any]) -> Batch:
    assert settings.masks is not None
    if row["mask"] is None:
        raise ImageError("there is no mask file for it")
    labels = read_labels(root.path(row["mask"]), settings.masks)
    traced = trace_labels(labels)
    rejected: Counter[str] = Counter()
    if not len(traced.objects):
        if settings.masks.objects == "one":
            raise ImageError(EMPTY)
        rejected[EMPTY] += 1
    large = traced.area_px >= settings.masks.min_area_px
    if small := int(np.count_nonzero(~large)):
        rejected[TOO_SMALL] += small
    digest = xxhash.xxh3_128(np.array(labels.shape, np.int64).tobytes())
    digest.update(np.ascontiguousarray(labels).data)
    n = int(large.sum())
    columns: dict[str, Any] = {name: values[large] for name, values in _facts(traced).items()}
    columns |= {
        "id": [f"{row['image_id']}#{label:04d}" for label in traced.objects[large].tolist()],
        "image_id": [row["image_id"]] * n,
        "object": traced.objects[large],
        "digest": [digest.hexdigest()] * n,
    }
    return Batch(traced.polygons.select(large), columns, rejected)


def _from_outlines(settings: ContoursSettings, rows: pa.Table, threads: int) -> Batches:
    assert settings.root is not None
    assert settings.outlines is not None
    file = settings.outlines.path
    names, outlines = read_outlines(Root(settings.root).path(file), settings.outlines)
    used = list(zip(rows["image_id"].to_pylist(), rows["line"].to_pylist(), strict=True))
    if any(not 0 <= line < len(names) or names[line] != image_id for image_id, line in used):
        raise PhenoloomError(f"{file} has other outlines than when the sheet was made; rerun the step `sheet`")
    named = [(image_id, outlines[line]) for image_id, line in used]
    starts = range(0, len(named), _OUTLINES_A_BATCH)
    return len(starts), (outline_batch(named[start : start + _OUTLINES_A_BATCH], file) for start in starts)


def outline_batch(named: Sequence[tuple[str, NDArray[np.float64]]], file: str) -> Batch:
    """Outlines (id, points (k, 2)) as a batch; those without points or with coordinates of no use are quarantined."""
    usable = [(name, points) for name, points in named if _is_usable(points)]
    ids, n = [name for name, _ in usable], len(usable)
    reason = "outline without points, or with coordinates that are no finite numbers below 1e12 px"
    return Batch(
        Polygons.from_list([points for _, points in usable]),
        {
            "id": ids,
            "image_id": ids,
            "object": np.ones(n, np.int32),
            "components": np.ones(n, np.int16),
            "holes": np.zeros(n, np.int16),
            "border": np.zeros(n, bool),
            "digest": [_digest(points) for _, points in usable],
        },
        quarantine=[
            {"image_id": name, "file": file, "reason": reason} for name, points in named if not _is_usable(points)
        ],
    )


def _facts(traced: Traced) -> dict[str, NDArray[Any]]:
    largest = np.iinfo(np.int16).max
    return {
        "components": np.minimum(traced.components, largest),
        "holes": np.minimum(traced.holes, largest),
        "border": traced.border,
    }


def _unusable(image_id: str, file: str, reason: str) -> Batch:
    none = Polygons.from_list([])
    names = ("id", "image_id", "object", "components", "holes", "border", "digest")
    lost = [{"image_id": image_id, "file": file, "reason": reason}]
    return Batch(none, {name: [] for name in names}, quarantine=lost)


def _is_usable(points: NDArray[np.float64]) -> bool:
    return len(points) > 0 and bool((np.abs(points) < _LARGEST_COORDINATE).all())


def _digest(points: NDArray[np.float64]) -> str:
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(points, "<f8").data)
