"""Convert one shard of a study: raw images to a tile store, a table of tiles and a manifest, in one pass.

An image is one task (read, segment, crop, measure, encode) of `core.parallel`. Tiles are appended in the order of the
sheet, and an image is read only when those some way before it are written: memory is bounded by the number of threads,
and the result does not depend on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.image_memory import ahead, at_once
from ..artifacts.manifest import (
    Manifest,
    Quarantine,
    Rejected,
    by_image,
    refuse_too_many,
    remove_shard,
    write_manifest,
)
from ..artifacts.parquet import intact, read_result_schema
from ..artifacts.provenance import Provenance
from ..core.atomic import atomic_path
from ..core.errors import ImageError, PhenoloomError
from ..core.parallel import parallel_map
from ..core.progress import progress
from ..core.spread import spread_positions
from ..images.size import MOST_HEADERS, largest
from ..study.points import LostPoints
from ..study.shards import shard_rows
from .measure import ChannelStatistics
from .polarity import MOST_TRIED, field_polarity
from .shard_file import Layout, better_shuffle
from .store import TileWriter
from .table import IN_TABLE, TileTable
from .tiler import Conversion, TiledImage, Tiler

_BATCH_ROWS = 1 << 16

SAMPLE_PX = 512
"""Side of the middle of the first image, on which ways to compress are tried."""


def convert_shard(
    conversion: Conversion, sheet: Path, shard: str, manifest: Path, made_by: Provenance, threads: int = 1
) -> None:
    """Convert the images of one shard; write `.zarr` and `.parquet` beside the manifest, and the manifest last.

    Images that cannot be used are quarantined with their reason; a shard without any tile is empty and no error.

    Args:
        conversion: How images become tiles.
        sheet: The sheet of the study.
        shard: Name of the shard.
        manifest: Where the manifest is written.
        made_by: Study and settings, for the manifest.
        threads: Threads that work on images.

    Raises:
        PhenoloomError: More than the fraction `max_rejected_fraction` of the images is in quarantine, no image of the
            study can be read, or the output cannot be written.
    """
    # Parallelism is over images: more threads inside OpenCV would only compete with them.
    cv2.setNumThreads(1)
    remove_shard(manifest)
    rows = shard_rows(sheet, shard, _columns(sheet)).to_pylist()
    if not rows:
        raise PhenoloomError(f"{sheet} has no images of shard {shard!r}; check the number of the shard")
    sample = _reference_sample(conversion, sheet)
    decided = field_polarity(conversion, _spread_rows(sheet))
    if decided is not None:
        conversion = replace(conversion, polarity=decided.polarity)
    with (
        _writer(conversion, sample, manifest.with_suffix(".zarr")) as store,
        atomic_path(manifest.with_suffix(".parquet")) as temporary,
        TileTable(temporary) as table,
    ):
        tiler = Tiler(conversion, sample.dtype, store, conversion.points(shard))
        written = _Written(store, table, len(conversion.channels))
        image_mb, _ = largest(_largest_files(conversion, rows), conversion.reader.choice)
        workers = at_once(image_mb, threads)
        tiled = parallel_map(tiler.tile, rows, workers, ahead(image_mb, threads))
        for row, image in zip(rows, progress(tiled, len(rows), f"convert {shard}", "images"), strict=True):
            written.add(row, image)
        where = f"{manifest.parent.name}/{shard}"
        refuse_too_many(written.quarantine, len(rows), conversion.max_rejected_fraction, where)
        facts = written.facts(conversion)
        content = store.close(facts)
    write_manifest(
        manifest,
        Manifest(
            "convert",
            made_by,
            expected={"images": len(rows)},
            found={"images": len(rows) - len(written.quarantine), "tiles": len(store)},
            content=content,
            rejected=written.rejected,
            quarantine=written.quarantine,
            arrays=store.arrays(),
            facts={
                "shard": shard,
                "channels": conversion.channels,
                "dtype": sample.dtype.name,
                "statistics": facts["statistics"],
                "rejected_by_image": by_image(written.by_image),
                **({"points": written.lost.facts()} if conversion.objects else {}),
                "polarity": decided and decided.facts(),
            },
        ),
    )


@dataclass
class _Written:
    """The store and the table of a shard, and what was counted while they were written."""

    store: TileWriter
    table: TileTable
    channels: int
    quarantine: Quarantine = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    by_image: Rejected = field(default_factory=Counter)
    lost: LostPoints = field(default_factory=LostPoints)

    def __post_init__(self) -> None:
        self.statistics = ChannelStatistics(self.channels)

    def add(self, row: dict[str, Any], image: TiledImage) -> None:
        """Append the tiles of the image in a row of the sheet, or its reason; in the order of the sheet."""
        if image.reason:
            self.quarantine.append(
                {"image_id": row["image_id"], "file": "; ".join(row["files"]), "reason": image.reason}
            )
        self.rejected.update(image.rejected)
        self.lost.add(image.lost)
        for reason in image.rejected.keys() - IN_TABLE:
            self.by_image[reason, row["image_id"]] += image.rejected[reason]
        self.store.extend(image.encoded)
        if image.measured is not None:
            self.statistics.add(image.measured)
            self.table.append(row["image_id"], image)

    def facts(self, conversion: Conversion) -> dict[str, Any]:
        """Return what the store states about itself in its attributes."""
        # A blank plate is no mistake; `index` refuses a study in which nothing at all is left.
        summaries = self.statistics.summary() if len(self.store) else []
        return {
            "channels": conversion.channels,
            "pixel_size_um": conversion.pixel_size_um,
            "statistics": dict(zip(conversion.channels, summaries, strict=bool(summaries))),
        }


def _columns(sheet: Path) -> list[str]:
    """Return the columns of the sheet that matter here."""
    known = read_result_schema(sheet).names
    return [name for name in ("image_id", "files", "mask", "grid", "plane", "bytes") if name in known]


def _sheet_rows(sheet: Path) -> Iterator[dict[str, Any]]:
    """Yield rows of the sheet in its order, read as they are needed."""
    with intact(sheet), pq.ParquetFile(sheet) as file:
        for batch in file.iter_batches(1024, columns=_columns(sheet)):
            yield from batch.to_pylist()


def _largest_files(conversion: Conversion, rows: list[dict[str, Any]]) -> list[list[Path]]:
    """Return the files of the images with the largest files of a shard."""
    chosen = sorted(rows, key=lambda row: -row.get("bytes", 0))[:MOST_HEADERS]
    return [[conversion.root / file for file in row["files"]] for row in chosen]


def _spread_rows(sheet: Path) -> Iterator[dict[str, Any]]:
    """Yield rows from all over the sheet, the same for all shards."""
    with pq.ParquetFile(sheet) as file:
        positions = list(islice(spread_positions(file.metadata.num_rows), MOST_TRIED))
        rows, start = dict[int, dict[str, Any]](), 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=_columns(sheet)):
            here = [position for position in positions if start <= position < start + len(batch)]
            rows |= {position: batch.slice(position - start, 1).to_pylist()[0] for position in here}
            start += len(batch)
    yield from (rows[position] for position in positions)


def _reference_sample(conversion: Conversion, sheet: Path) -> NDArray[Any]:
    """Return the middle (c, h, w) of the sheet's first readable image.

    All shards agree on it, and so on the type of pixels and on how they compress.
    """
    reason = ""
    for row in _sheet_rows(sheet):
        try:
            image = conversion.read(row)
        except ImageError as error:
            reason = reason or f" (the first: {error})"
            continue
        y, x = (max(0, (side - SAMPLE_PX) // 2) for side in image.shape[1:])
        # A copy, so that the image need not be held as long as its middle.
        return image[:, y : y + SAMPLE_PX, x : x + SAMPLE_PX].copy()
    raise PhenoloomError(
        f"not one image of {sheet} can be read from {conversion.root}{reason}; check `source.root` and the channels"
    )


def _writer(conversion: Conversion, sample: NDArray[Any], path: Path) -> TileWriter:
    """Open a store for tiles, and for masks of one object (uint8) or labels (int32) where the study has masks."""
    tiles, size = conversion.tiles, (conversion.tiles.size, conversion.tiles.size)
    per_file, compression = tiles.tiles_per_shard_file, tiles.compression
    shuffle = better_shuffle(sample, compression)
    layout = Layout((len(conversion.channels), *size), sample.dtype, per_file, compression, shuffle)
    # Masks are so small that they are better read fast.
    mask = np.dtype(np.uint8 if tiles.mode == "objects" else np.int32)
    masks = None if conversion.masks is None else Layout(size, mask, per_file, compression)
    return TileWriter(path, layout, masks)
