"""Convert one shard of a study: raw images to a tile store, a table of tiles and a manifest, in one pass.

An image is one task (read, segment, crop, measure, encode) of `core.parallel`. Tiles are appended in the order of the
sheet, and an image is read only when those some way before it are written: memory is bounded by the number of threads,
and the result does not depend on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.manifest import Manifest, Quarantine, refuse_too_many, remove_shard, write_manifest
from ..artifacts.provenance import Provenance
from ..config.rule_settings import ConvertSettings
from ..core.atomic import atomic_path
from ..core.errors import ImageError, PhenoloomError
from ..core.parallel import parallel_map
from ..core.progress import progress
from ..images.labels import read_labels
from ..images.projection import Where
from ..images.reader import AS_THE_STUDY, Reading
from ..images.segment import segment
from ..images.threshold import foreground_threshold
from ..study.shards import shard_rows
from .crop import Place, around_objects, cut, grid, inside
from .measure import ChannelStatistics, Measures, Measuring, image_digest
from .shard_file import better_shuffle
from .store import TileWriter
from .table import TileTable

BACKGROUND = "tile with less foreground than min_foreground"

SAMPLE_PX = 512
"""Side of the middle of the first image, on which ways to compress are tried."""


@dataclass(slots=True)
class Converted:
    """What one image gives: its tiles in order, or the reason why it gives none."""

    reason: str = ""
    digest: str = ""
    places: list[Place] = field(default_factory=list)
    encoded: list[dict[str, bytes]] = field(default_factory=list)
    foreground: list[float] = field(default_factory=list)
    measures: Measures | None = None
    rejected: Counter[str] = field(default_factory=Counter)


def convert_shard(
    settings: ConvertSettings,
    sheet: Path,
    shard: str,
    manifest: Path,
    threads: int,
    reading: Reading = AS_THE_STUDY,
) -> None:
    """Convert the images of one shard; writes `.zarr` and `.parquet` beside the manifest, which comes last.

    Images that cannot be used are quarantined with their reason, and a shard of which no tile is left is empty. Raises
    PhenoloomError if images in quarantine are more than `max_rejected_fraction` of the shard, or if the output cannot
    be written.
    """
    # Parallelism is over images: more threads inside OpenCV would only compete with them.
    cv2.setNumThreads(1)
    remove_shard(manifest)
    rows = shard_rows(sheet, shard, _columns(sheet)).to_pylist()
    if not rows:
        raise PhenoloomError(f"{sheet} has no images of shard {shard!r}; check the number of the shard")
    sample = _reference_sample(settings, sheet, reading)
    conversion = _Conversion(settings, sample.dtype, reading)
    with (
        _writer(settings, sample, manifest.with_suffix(".zarr")) as store,
        atomic_path(manifest.with_suffix(".parquet")) as temporary,
        TileTable(temporary) as table,
    ):
        sink = _Sink(store, table, ChannelStatistics(len(settings.channels)))
        converted = parallel_map(lambda row: conversion.convert(row, store), rows, threads)
        for row, image in zip(rows, progress(converted, len(rows), f"convert {shard}", "images"), strict=True):
            sink.write(row, image)
        where = f"{manifest.parent.name}/{shard}"
        refuse_too_many(sink.quarantine, len(rows), settings.max_rejected_fraction, where)
        # A blank plate is no mistake; `index` refuses a study in which nothing at all is left.
        statistics = dict(zip(settings.channels, sink.statistics.summary(), strict=True)) if len(store) else {}
        attributes = {"channels": settings.channels, "pixel_size_um": settings.pixel_size_um}
        content = store.close({**attributes, "statistics": statistics})
    write_manifest(
        manifest,
        Manifest(
            "convert",
            Provenance.of(settings),
            expected={"images": len(rows)},
            found={"images": len(rows) - len(sink.quarantine), "tiles": len(store)},
            content=content,
            rejected=sink.rejected,
            quarantine=sink.quarantine,
            arrays=store.arrays(),
            facts={
                "shard": shard,
                "channels": settings.channels,
                "dtype": conversion.dtype.name,
                "statistics": statistics,
            },
        ),
    )


class _Conversion:
    """The work on one image; keeps no state, so that images may be converted in any order."""

    def __init__(self, settings: ConvertSettings, dtype: np.dtype[Any], reading: Reading) -> None:
        self.settings, self.dtype, self.reading = settings, dtype, reading
        self.root = Path(settings.root)
        masks = settings.masks
        name = settings.channels[0] if masks is None or masks.channel is None else masks.channel
        if name not in settings.channels:
            raise PhenoloomError(
                f"`source.masks.channel` is {name!r}, but the channels are "
                f"{', '.join(settings.channels)}; name one of these"
            )
        self.foreground_channel = settings.channels.index(name)

    def convert(self, row: dict[str, Any], encoder: TileWriter) -> Converted:
        """Read, measure, cut and encode one image."""
        try:
            image = self._image(row)
            labels = self._labels(row, image)
            return self._tiles(image, labels, encoder)
        except ImageError as error:
            return Converted(reason=str(error))

    def _image(self, row: dict[str, Any]) -> NDArray[Any]:
        image = _read(self.settings, row, self.reading)
        if image.dtype != self.dtype:
            raise ImageError(
                f"expected pixels of type {self.dtype.name} like the study's first image, found {image.dtype.name}"
            )
        return image

    def _labels(self, row: dict[str, Any], image: NDArray[Any]) -> NDArray[np.int32] | None:
        masks = self.settings.masks
        if masks is None:
            return None
        if masks.files is None:
            return segment(image[self.foreground_channel], masks)
        if row["mask"] is None:
            raise ImageError("expected a mask file, found none in the sheet")
        try:
            labels = read_labels(self.root / row["mask"], masks)
        except ImageError as error:
            raise ImageError(f"its mask {row['mask']}: {error}") from None
        if labels.shape != image.shape[1:]:
            raise ImageError(
                f"expected a mask of {image.shape[1]} x {image.shape[2]} px like its image, "
                f"found {labels.shape[0]} x {labels.shape[1]} px in {row['mask']}"
            )
        return labels

    def _tiles(self, image: NDArray[Any], labels: NDArray[np.int32] | None, encoder: TileWriter) -> Converted:
        tiles, result, measuring = self.settings.tiles, Converted(), Measuring()
        places = self._places(image, labels, result.rejected)
        plane = image[self.foreground_channel]
        # One comparison for the whole plane: tiles that overlap share it, and counting bytes costs little.
        above = (plane > foreground_threshold(plane)).view(np.uint8) if labels is None else None
        for place in places:
            # The mask of an object's tile shows that object alone; a neighbour in the window is background.
            mask = None if labels is None else cut(labels, place, tiles.size)
            if mask is not None and place.object >= 0:
                mask = (mask == place.object).astype(np.uint8)
            part = inside(image, place, tiles.size)
            seen = mask if above is None else inside(above, place, tiles.size)
            foreground = cv2.countNonZero(seen) / (part.shape[1] * part.shape[2])
            if place.object < 0 and foreground < tiles.min_foreground:
                result.rejected[BACKGROUND] += 1
                continue
            tile = cut(image, place, tiles.size)
            result.places.append(place)
            result.foreground.append(foreground)
            # Measured first: the copy of the tile still lies in the cache.
            measuring.add(tile if part.shape == tile.shape else part)
            result.encoded.append(encoder.encode(tile, mask))
        result.measures = measuring.finish(len(image))
        result.digest = image_digest(image) if result.places else ""
        return result

    def _places(self, image: NDArray[Any], labels: NDArray[np.int32] | None, rejected: Counter[str]) -> list[Place]:
        tiles, masks = self.settings.tiles, self.settings.masks
        if tiles.mode == "grid":
            return grid(image.shape[1], image.shape[2], tiles.size, tiles.stride or tiles.size)
        if labels is None or masks is None:
            raise PhenoloomError("`tiles.mode: objects` needs `source.masks`; `masks: {}` segments the first channel")
        return around_objects(labels, tiles.size, masks.min_area_px, tiles.border == "keep", rejected)


@dataclass
class _Sink:
    """Takes converted images in the order of the sheet."""

    store: TileWriter
    table: TileTable
    statistics: ChannelStatistics
    quarantine: Quarantine = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)

    def write(self, row: dict[str, Any], image: Converted) -> None:
        """Append the tiles of the image in a row of the sheet, or its reason."""
        if image.reason:
            self.quarantine.append(
                {"image_id": row["image_id"], "file": "; ".join(row["files"]), "reason": image.reason}
            )
        self.rejected.update(image.rejected)
        self.store.extend(image.encoded)
        if image.measures is not None:
            self.statistics.add(image.measures)
            self.table.append(row["image_id"], image.places, image.foreground, image.measures, image.digest)


def _columns(sheet: Path) -> list[str]:
    """The columns of the sheet that matter here."""
    known = pq.read_schema(sheet).names
    return [name for name in ("image_id", "files", "mask", "grid", "plane") if name in known]


def _sheet_rows(sheet: Path) -> Iterator[dict[str, Any]]:
    """Rows of the sheet in its order, read as they are needed."""
    with pq.ParquetFile(sheet) as file:
        for batch in file.iter_batches(1024, columns=_columns(sheet)):
            yield from batch.to_pylist()


def _read(settings: ConvertSettings, row: dict[str, Any], reading: Reading) -> NDArray[Any]:
    """The image of a row of the sheet, (c, h, w)."""
    files = [Path(settings.root) / file for file in row["files"]]
    return reading.read(files, len(settings.channels), settings.planes, Where.of(row))


def _reference_sample(settings: ConvertSettings, sheet: Path, reading: Reading) -> NDArray[Any]:
    """The middle (c, h, w) of the sheet's first readable image: all shards agree on its type and how it compresses."""
    reason = ""
    for row in _sheet_rows(sheet):
        try:
            image = _read(settings, row, reading)
        except ImageError as error:
            reason = reason or f" (the first: {error})"
            continue
        y, x = (max(0, (side - SAMPLE_PX) // 2) for side in image.shape[1:])
        # A copy, so that the image need not be held as long as its middle.
        return image[:, y : y + SAMPLE_PX, x : x + SAMPLE_PX].copy()
    raise PhenoloomError(
        f"not one image of {sheet} can be read from {settings.root}{reason}; check `source.root` and the channels"
    )


def _writer(settings: ConvertSettings, sample: NDArray[Any], path: Path) -> TileWriter:
    """A store for the tiles, and for masks of one object (uint8) or labels (int32) where the study has masks."""
    tiles = settings.tiles
    mask = np.dtype(np.uint8 if tiles.mode == "objects" else np.int32)
    return TileWriter(
        path,
        (len(settings.channels), tiles.size, tiles.size),
        sample.dtype,
        per_file=tiles.tiles_per_shard_file,
        compression=tiles.compression,
        shuffle=better_shuffle(sample, tiles.compression),
        mask_dtype=None if settings.masks is None else mask,
    )
