"""Divide a study into shards: blocks of whole plates, balanced by bytes, one job each."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ..artifacts.parquet import read_result
from ..core.errors import PhenoloomError
from .files import natural


def assign_shards(
    plates: Sequence[str | None], wells: Sequence[str | None], sizes: Sequence[int], count: int
) -> list[str]:
    """Return the shard ("0000" ...) of each image.

    Whole plates stay together; where there are fewer plates than shards, whole wells do; where there are fewer wells,
    or none are known, images are dealt one by one. Blocks go to the emptiest shard in order of falling size (LPT rule:
    Graham, SIAM J. Appl. Math. 17, 1969: at most 4/3 of the best balance). Shards are numbered in the order of their
    first image.

    Args:
        plates: Plate of each image; None where it is unknown.
        wells: Well of each image.
        sizes: Bytes of each image.
        count: Number of shards.
    """
    if count > len(sizes):
        raise PhenoloomError(f"`shards` is {count}, but there are only {len(sizes)} images; lower `shards`")
    blocks = next(b for b in _blockings(plates, wells) if len(set(b)) >= count)
    total: dict[str, int] = {}
    for block, size in zip(blocks, sizes, strict=True):
        total[block] = total.get(block, 0) + size
    heap = [(0, 0, shard) for shard in range(count)]
    chosen: dict[str, int] = {}
    for block in sorted(total, key=lambda b: (-total[b], natural(b))):
        size, members, shard = heapq.heappop(heap)
        chosen[block] = shard
        heapq.heappush(heap, (size + total[block], members + 1, shard))
    number: dict[int, int] = {}
    return [f"{number.setdefault(chosen[block], len(number)):04d}" for block in blocks]


def _blockings(plates: Sequence[str | None], wells: Sequence[str | None]) -> list[list[str]]:
    """Return ways to divide the study into blocks, the coarsest first."""
    by_image = [str(i) for i in range(len(plates))]
    by_plate = [plate if plate is not None else "" for plate in plates]
    by_well = [f"{plate}/{well}" for plate, well in zip(by_plate, wells, strict=True)]
    return [
        *([by_plate] if any(plate is not None for plate in plates) else []),
        *([by_well] if any(well is not None for well in wells) else []),
        by_image,
    ]


def shard_rows(sheet: Path, shard: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the rows of one shard in the order of the sheet, with all columns or those named."""
    return read_result(sheet, columns=columns, filters=[("shard", "=", shard)])


def raw_bytes(sheet: Path, shard: str) -> int:
    """Return the bytes of a shard's raw files: its store is about as large."""
    return int(pc.sum(shard_rows(sheet, shard, ["bytes"])["bytes"]).as_py() or 0)
