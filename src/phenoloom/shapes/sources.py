"""Sources of outlines: the masks of a tile store, mask files, or a file of points; each yields batches in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from ..artifacts.manifest import Rejected, read_manifest
from ..artifacts.parquet import intact
from ..config.source import Masks, Outlines
from ..core.errors import ImageError, PhenoloomError
from ..core.parallel import parallel_map
from ..images.labels import read_labels
from ..images.objects import LeftOut, of_run_lengths
from ..study.files import Root
from ..study.outline_files import read_outlines
from ..study.points import LocatedPoints, PointTable
from ..tiles.store import TileStore
from .batch import Batch, Batches, OutlineSource, SourceKind
from .polygons import Polygons, concatenate
from .tracing import Traced, trace_labels, trace_masks

_PIXELS_A_BATCH = 1 << 24
_MOST_TILES_A_BATCH = 4096
_OUTLINES_A_BATCH = 1024
_TILE_COLUMNS = (
    *("id", "image_id", "object", "y", "x", "border", "digest", "height_px", "width_px", "position", "runs"),
)
_LARGEST_COORDINATE = 1e12


def outline_source(
    kind: SourceKind,
    tiles: Path | None,
    root: str | None,
    masks: Masks | None,
    outlines: Outlines | None,
    objects: Path | None = None,
) -> OutlineSource:
    """Return the source of a kind.

    Args:
        kind: Which source.
        tiles: Manifest of the shard's tile store; for `tiles`.
        root: Folder of the raw data; for `masks` and `outlines`.
        masks: How mask files are read; for `masks`.
        outlines: File of points and its format; for `outlines`.
        objects: Manifest of the table of objects, if it has points in the objects of masks.

    Raises:
        PhenoloomError: What the source needs was not given.
    """
    if kind == "tiles" and tiles is not None:
        return TileMasks(tiles)
    if kind == "masks" and root is not None and masks is not None:
        return MaskFiles(Root(root), masks, objects)
    if kind == "outlines" and root is not None and outlines is not None:
        return PointFile(Root(root), outlines)
    needed = {"tiles": "the manifest of the tiles", "masks": "`root` and `masks`", "outlines": "`root` and `outlines`"}
    raise PhenoloomError(f"Contours come from the study's {kind}, so {needed[kind]} must be given")


@dataclass(frozen=True)
class TileMasks:
    """The masks that a tile store holds beside its tiles, one object each."""

    manifest: Path
    kind: Literal["tiles"] = "tiles"

    def batches(self, rows: pa.Table, threads: int) -> Batches:
        """Return the outlines of all objects of the shard, also of those without a tile; see `OutlineSource`."""
        read_manifest(self.manifest)
        store = TileStore(self.manifest.with_suffix(".zarr"))
        with intact(path := self.manifest.with_suffix(".parquet")):
            table = pq.ParquetFile(path)
        size = min(_MOST_TILES_A_BATCH, max(1, _PIXELS_A_BATCH // (store.shape[-1] * store.shape[-2])))
        lengths = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        return sum(-(-length // size) for length in lengths), self._parts(store, table, size, threads)

    def _parts(self, store: TileStore, table: pq.ParquetFile, size: int, threads: int) -> Iterator[Batch]:
        for group in range(table.num_row_groups):
            with intact(self.manifest.with_suffix(".parquet")):
                rows = table.read_row_group(group, columns=_TILE_COLUMNS)
            if (rows["object"].to_numpy() < 0).any():
                raise PhenoloomError(
                    f"{self.manifest} holds tiles on a grid, which show no single object; set `tiles.mode: objects`, "
                    f"or remove `shapes` from the study"
                )
            for start in range(0, len(rows), size):
                yield _of_objects(store, rows.slice(start, size), threads)

    def facts(self) -> dict[str, Any]:
        """Return how the tiles were made: a model of the contours needs it to make those of new images."""
        manifest = read_manifest(self.manifest)
        return {"tiles": {name: manifest[name] for name in ("settings", "dtype", "polarity")}}


@dataclass(frozen=True)
class MaskFiles:
    """The mask files that the sheet names, one an image, and the table of objects with points in them."""

    root: Root
    masks: Masks
    objects: Path | None = None
    kind: Literal["masks"] = "masks"

    def batches(self, rows: pa.Table, threads: int) -> Batches:
        """Return a batch for each image; one that cannot be used is quarantined. See `OutlineSource`."""
        if rows.num_rows and rows["mask"].null_count == rows.num_rows:
            raise PhenoloomError(
                "The sheet names no mask files, so there are no outlines; give `source.masks.files` in the study, or "
                "add `tiles`, whose conversion segments objects by threshold"
            )
        points = None
        if self.objects is not None and rows.num_rows:
            points = PointTable(self.objects.with_suffix(".parquet"), rows["shard"][0].as_py())
        images = rows.select(["image_id", "mask"]).to_pylist()
        return rows.num_rows, parallel_map(lambda row: self._image(row, points), images, threads)

    def facts(self) -> dict[str, Any]:
        """Return nothing: the settings say it all."""
        return {}

    def _image(self, row: dict[str, Any], points: PointTable | None) -> Batch:
        try:
            return self._outlines(row, points)
        except ImageError as error:
            return _unusable(row["image_id"], row["mask"] or "", str(error))

    def _outlines(self, row: dict[str, Any], points: PointTable | None) -> Batch:
        if row["mask"] is None:
            raise ImageError("there is no mask file for it")
        labels = read_labels(self.root.path(row["mask"]), self.masks)
        traced = trace_labels(labels)
        rejected: Rejected = Counter()
        if not len(traced.objects):
            if self.masks.objects == "one":
                raise ImageError(LeftOut.EMPTY_MASK)
            rejected[LeftOut.EMPTY_MASK, row["image_id"]] += 1
        large = traced.area_px >= self.masks.min_area_px
        if small := int(np.count_nonzero(~large)):
            rejected[LeftOut.TOO_SMALL, row["image_id"]] += small
        digest = xxhash.xxh3_128(np.array(labels.shape, np.int64).tobytes())
        digest.update(np.ascontiguousarray(labels).data)
        n = int(large.sum())
        columns: dict[str, Any] = {name: values[large] for name, values in _counts(traced).items()}
        columns |= {
            "id": [f"{row['image_id']}#{label:04d}" for label in traced.objects[large].tolist()],
            "image_id": [row["image_id"]] * n,
            "object": traced.objects[large],
            "digest": [digest.hexdigest()] * n,
        }
        batch = Batch(traced.polygons.select(large), columns, rejected)
        if points is not None:
            located = LocatedPoints(points.of(row["image_id"]), labels)
            columns["points"] = pa.array(located.rows_of(traced.objects[large].tolist()), pa.list_(pa.int64()))
            batch.lost.update(located.lost)
        return batch


@dataclass(frozen=True)
class PointFile:
    """One file with the points of all outlines of the study; each outline is an image of the sheet."""

    root: Root
    outlines: Outlines
    kind: Literal["outlines"] = "outlines"

    def batches(self, rows: pa.Table, threads: int) -> Batches:
        """Return the outlines of the sheet's rows; see `OutlineSource`."""
        file = self.outlines.path
        names, outlines = read_outlines(self.root.path(file), self.outlines)
        used = list(zip(rows["image_id"].to_pylist(), rows["line"].to_pylist(), strict=True))
        if any(not 0 <= line < len(names) or names[line] != image_id for image_id, line in used):
            raise PhenoloomError(f"{file} has other outlines than when the sheet was made; rerun the step `sheet`")
        named = [(image_id, outlines[line]) for image_id, line in used]
        starts = range(0, len(named), _OUTLINES_A_BATCH)
        return len(starts), (_of_points(named[start : start + _OUTLINES_A_BATCH], file) for start in starts)

    def facts(self) -> dict[str, Any]:
        """Return nothing: the settings say it all."""
        return {}


def _of_objects(store: TileStore, rows: pa.Table, threads: int) -> Batch:
    """Trace the objects in rows of the tiles' table: the masks of their tiles, or those that the table holds."""
    # What the tiles leave out at the border of the image is left out here too, and was counted there.
    rows = rows.filter(pc.or_(pc.greater_equal(rows["position"], 0), pc.is_valid(rows["runs"])))
    tiled = rows["position"].to_numpy() >= 0
    masks = store.read_masks(rows["position"].to_numpy()[tiled], threads=threads)
    traced = trace_masks(masks == 1)
    large = rows.filter(pa.array(~tiled)).select(["runs", "height_px", "width_px"])
    parts = [_trace_runs(*row.values()) for row in large.to_pylist()]
    # Back in the order of the rows: those of tiles first, then the others.
    places = np.concatenate([np.flatnonzero(tiled)[traced.objects], np.flatnonzero(~tiled)])
    order = np.argsort(places)
    found = rows.take(pa.array(places[order]))
    columns: dict[str, Any] = {
        name: found[name].combine_chunks() for name in ("id", "image_id", "object", "digest", "border")
    }
    for name in ("components", "holes"):
        counts = np.concatenate([getattr(part, name) for part in (traced, *parts)])
        columns[name] = np.minimum(counts, np.iinfo(np.int16).max)[order]
    polygons = concatenate([part.polygons for part in (traced, *parts)]).take(order)
    empty = np.ones(len(rows), bool)
    empty[places] = False
    rejected = Counter(
        (str(LeftOut.EMPTY_MASK), image) for image in rows["image_id"].filter(pa.array(empty)).to_pylist()
    )
    return Batch(polygons.shifted(found["x"].to_numpy(), found["y"].to_numpy()), columns, rejected)


def _trace_runs(runs: Sequence[int], height: int, width: int) -> Traced:
    return trace_masks(of_run_lengths(np.asarray(runs), height, width)[None])


def _of_points(named: Sequence[tuple[str, NDArray[np.float64]]], file: str) -> Batch:
    """Outlines (id, points (k, 2)) as a batch; quarantine those without points or with coordinates out of range."""
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


def _counts(traced: Traced) -> dict[str, NDArray[Any]]:
    largest = np.iinfo(np.int16).max
    return {
        "components": np.minimum(traced.components, largest),
        "holes": np.minimum(traced.holes, largest),
        "border": traced.border,
    }


def _unusable(image_id: str, file: str, reason: str) -> Batch:
    names = ("id", "image_id", "object", "components", "holes", "border", "digest")
    lost = [{"image_id": image_id, "file": file, "reason": reason}]
    return Batch(Polygons.from_list([]), {name: [] for name in names}, quarantine=lost)


def _is_usable(points: NDArray[np.float64]) -> bool:
    return len(points) > 0 and bool((np.abs(points) < _LARGEST_COORDINATE).all())


def _digest(points: NDArray[np.float64]) -> str:
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(points, "<f8").data)
