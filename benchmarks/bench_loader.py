"""Deliver batches of 64 tiles to a training step: phenoloom's threads against a DataLoader over zarr-python.

All read the same tiles in the same shuffled order and deliver tensors of the camera's dtype. `plain` is an array with
the defaults of zarr-python (a file for each tile, Zstandard); the others read phenoloom's store. Runs alternate; the
results are medians of wall and processor seconds, including those of workers.

Usage: python benchmarks/bench_loader.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch
import zarr
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from phenoloom.data.loader import Loader, cut, shuffled
from phenoloom.tiles.shard_file import Layout, better_shuffle
from phenoloom.tiles.store import TileStore, TileWriter

BATCH, WORKERS = 64, 2
CHANNELS, SIZE = 4, 224
PLAIN, SHARDED = "DataLoader over zarr-python, plain", "DataLoader over zarr-python"
OURS, TARGET = "our threads", 10


class StoreSource:
    """All tiles of one store."""

    def __init__(self, store: TileStore) -> None:
        self.store, self.item, self.dtype = store, store.shape[1:], store.dtype

    def __len__(self) -> int:
        return len(self.store)

    def read(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Decode `rows` into `out`."""
        self.store.read(rows, out)


class ZarrDataset(Dataset[Tensor]):
    """What a user would write: one tile an item, read by zarr-python, opened once a worker."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tiles: Any = None

    def __getitem__(self, row: int) -> Tensor:
        if self.tiles is None:
            self.tiles = zarr.open_group(self.path, mode="r")["tiles"]
        return torch.from_numpy(self.tiles[row])


class StoreDataset(Dataset[Tensor]):
    """Our store in worker processes: shows what the threads save beside the decoder."""

    def __init__(self, path: Path) -> None:
        self.store = TileStore(path)

    def __getitem__(self, row: int) -> Tensor:
        return torch.from_numpy(self.store.read([row])[0])


def blobs(generator: np.random.Generator) -> np.ndarray:
    """A blob a channel with the camera's noise, (c, y, x) uint16."""
    y, x = np.mgrid[:SIZE, :SIZE]
    centre = generator.uniform(60, 160, (CHANNELS, 2, 1, 1))
    blob = 6000 * np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / 1200)
    return generator.poisson(blob + 200).astype(np.uint16)


def write_stores(path: Path, plain: Path, count: int) -> list[bytes]:
    """Blobs, which compress as images of a microscope do, in both stores; returns the encoded tiles."""
    generator = np.random.default_rng(0)
    item = (CHANNELS, SIZE, SIZE)
    shuffle = better_shuffle(blobs(np.random.default_rng(1)), "lz4")
    writer = TileWriter(path, Layout(item, np.dtype("uint16"), 128, "lz4", shuffle))
    encoded = []
    array = zarr.open_group(plain, mode="w").create_array("tiles", shape=(count, *item), chunks=(1, *item), dtype="u2")
    for row in range(count):
        tile = blobs(generator)
        array[row] = tile
        encoded.append(writer.encode(tile))
        writer.append(encoded[-1])
    writer.close({"channels": [str(i) for i in range(CHANNELS)]})
    return [item["tiles"] for item in encoded]


def plan_of(count: int, epoch: int) -> list[np.ndarray]:
    """One shuffled epoch."""
    return shuffled(np.arange(count), BATCH, 0, epoch)


def threads(path: Path, count: int) -> Callable[[int], Iterator[Tensor]]:
    loader = Loader(StoreSource(TileStore(path)), WORKERS)
    return lambda epoch: loader.batches(plan_of(count, epoch))


def processes(dataset: Dataset[Tensor], count: int) -> Callable[[int], Iterator[Tensor]]:
    order: list[list[int]] = [rows.tolist() for rows in cut(np.arange(count), BATCH)]
    loader = DataLoader(dataset, batch_sampler=order, num_workers=WORKERS, persistent_workers=True, prefetch_factor=2)

    def epoch_of(epoch: int) -> Iterator[Tensor]:
        order[:] = [rows.tolist() for rows in plan_of(count, epoch)]
        return iter(loader)

    return epoch_of


def decompress(encoded: list[bytes]) -> Callable[[int], Iterator[Tensor]]:
    """No reading, no threads, one buffer: no loader of these files can cost less."""
    out = np.empty((BATCH, CHANNELS, SIZE, SIZE), np.uint16)

    def epoch_of(epoch: int) -> Iterator[Tensor]:
        for rows in plan_of(len(encoded), epoch):
            for row, tile in zip(rows, out, strict=False):
                imagecodecs.blosc_decode(encoded[row], numthreads=1, out=tile.reshape(-1).view(np.uint8))
            yield torch.from_numpy(out[: len(rows)])

    return epoch_of


def cpu_seconds() -> float:
    """CPU seconds of this process and of its living worker processes."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for pid in [os.getpid(), *children()]:
        values = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(values[11]) + int(values[12])) / ticks
    return total


def children() -> list[int]:
    """Process ids of the workers."""
    return [int(p) for p in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def measure(epoch_of: Callable[[int], Iterator[Tensor]], epoch: int) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and the sum of one pixel of each tile, which shows that all ways read the same."""
    wall, cpu, total = time.perf_counter(), cpu_seconds(), 0
    for batch in epoch_of(epoch):
        total += int(batch[:, 0, 0, 0].to(torch.int64).sum())
    return time.perf_counter() - wall, cpu_seconds() - cpu, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few tiles, three runs")
    quick = parser.parse_args().quick
    count, runs = (384, 3) if quick else (1536, 7)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiles.zarr"
        plain = Path(folder) / "plain.zarr"
        encoded = write_stores(path, plain, count)
        ways = {
            PLAIN: processes(ZarrDataset(plain), count),
            SHARDED: processes(ZarrDataset(path), count),
            "DataLoader over our store": processes(StoreDataset(path), count),
            OURS: threads(path, count),
            "limit: decompress only": decompress(encoded),
        }
        for epoch_of in ways.values():
            measure(epoch_of, 0)
        results: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ways}
        for run in range(1, runs + 1):
            for name, epoch_of in ways.items():
                results[name].append(measure(epoch_of, run))
        assert len({tuple(r[2] for r in rows) for rows in results.values()}) == 1, "the ways read different tiles"
    medians = {name: [statistics.median(r[i] for r in rows) for i in (0, 1)] for name, rows in results.items()}
    base, limit, ours = medians[SHARDED], medians["limit: decompress only"], medians[OURS]
    print(f"{count} tiles of {CHANNELS} x {SIZE} x {SIZE} uint16, batches of {BATCH}, {WORKERS} workers or threads")
    for name, (wall, cpu) in medians.items():
        print(f"{name:34} {count / wall:8.0f} tiles/s  {base[0] / wall:5.1f}x wall  {base[1] / cpu:5.1f}x CPU")
    for name in (PLAIN, SHARDED):
        wall, cpu = (theirs / mine for theirs, mine in zip(medians[name], ours, strict=True))
        verdict = "met" if cpu >= TARGET else "NOT met"
        print(f"target: {OURS} >= {TARGET} x {name}: {verdict} ({wall:.1f}x wall, {cpu:.1f}x CPU)")
    print(
        f"bound: {WORKERS} threads that do nothing but decompress are {WORKERS * base[0] / limit[0]:.1f}x wall and "
        f"{base[1] / limit[1]:.1f}x CPU of {SHARDED}; ours uses {limit[1] / ours[1]:.0%} of its CPU time for that"
    )


if __name__ == "__main__":
    main()
