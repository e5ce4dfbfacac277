"""Convert raw TIFFs to a tile store: `phenoloom convert` against dask, tensorstore and the limit of the machine.

Images have 4 channels of 1080 x 1080 uint16: blobs with camera noise. Tiles of 216 px cover every pixel, so that all
alternatives store the same pixels. Only `phenoloom convert` measures tiles, looks for duplicates and writes a table;
"the store alone" does what the others do.

Usage: python benchmarks/bench_convert.py [--quick]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorstore
import tifffile
import zarr
from scipy.ndimage import gaussian_filter

from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.study import Tiles
from phenoloom.core.parallel import AHEAD_PER_THREAD
from phenoloom.images.reader import ImageFiles, Reader
from phenoloom.tiles.convert import convert_shard
from phenoloom.tiles.crop import crop, grid_windows
from phenoloom.tiles.shard_file import Layout, better_shuffle
from phenoloom.tiles.store import TileWriter
from phenoloom.tiles.tiler import Conversion

CHANNELS, SIZE, TILE = 4, 1080, 216
READER = Reader(CHANNELS)
KINDS = {"raw": None, "deflate": "zlib", "lzw": "lzw"}
OURS, STORE = "phenoloom convert", "phenoloom, the store alone"
LIMIT, ENCODE = "limit: decode + memcpy", "decode + encode, no writing"
PLAIN, SHARDED = "dask from_zarr(aszarr), plain zarr", "dask from_zarr(aszarr), sharded zarr"
TENSORSTORE = "tensorstore, decoded by imagecodecs"
TARGETS = [
    (OURS, PLAIN, 2.5),
    (OURS, SHARDED, 2.5),
    # Out of reach where encoding alone takes more than a third of decoding's time: see the ceiling.
    (OURS, LIMIT, 0.75),
    (OURS, TENSORSTORE, 1.0),
    (STORE, TENSORSTORE, 1.0),
]
ENCODE_TARGET = {"raw": 0.6, "deflate": 0.75, "lzw": 0.75}
MEMORY_MB = 512


def camera_image(rng: np.random.Generator) -> np.ndarray:
    """Cell-like blobs on an offset with shot and read noise, (c, h, w) uint16."""
    blobs = np.stack([gaussian_filter(rng.normal(size=(SIZE, SIZE)), 10) for _ in range(CHANNELS)])
    light = 200 + 3000 * np.clip(blobs / blobs.std() - 1, 0, None)
    return np.clip(rng.poisson(light) + rng.normal(100, 3, light.shape), 0, 65535).astype(np.uint16)


@cache
def layout() -> Layout:
    """That of the store of these images."""
    sample = camera_image(np.random.default_rng(1))[:, :512, :512]
    return Layout((CHANNELS, TILE, TILE), np.dtype(np.uint16), 128, "lz4", better_shuffle(sample, "lz4"))


def make_study(folder: Path, kind: str, images: int) -> list[Path]:
    rng = np.random.default_rng(0)
    scene = camera_image(rng)
    folder.mkdir(parents=True)
    files = [folder / f"{i:04d}.tif" for i in range(images)]
    for i, file in enumerate(files):
        tifffile.imwrite(file, np.roll(scene, 37 * i, axis=2), photometric="minisblack", compression=KINDS[kind])
    schema = pa.schema(
        [("image_id", pa.string()), ("files", pa.list_(pa.string())), ("mask", pa.string()), ("shard", pa.string())]
    )
    rows = [{"image_id": f.stem, "files": [f.name], "mask": None, "shard": "0000"} for f in files]
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "sheet.parquet")
    return files


def phenoloom(folder: Path, out: Path, threads: int) -> None:
    # Stated: to find it from noise takes 16 images a shard, which would be most of what is measured with few images.
    channels = [f"c{i}" for i in range(CHANNELS)]
    conversion = Conversion(folder, channels, READER, Tiles(size=TILE), polarity="bright")
    made_by = Provenance("bench", {}, "")
    convert_shard(conversion, folder / "sheet.parquet", "0000", out / "0000.json", made_by, threads)


def store_alone(files: list[Path], out: Path, threads: int) -> None:
    """Read, cut, encode and write, in order, as `convert` does; no more."""
    with (
        TileWriter(out / "store.zarr", layout()) as store,
        ThreadPoolExecutor(threads) as pool,
    ):

        def work(file: Path) -> list[dict[str, bytes]]:
            image = READER.read(ImageFiles([file]))
            return [store.encode(crop(image, window, TILE)) for window in grid_windows(SIZE, SIZE, TILE, TILE)]

        waiting: deque[Future[list[dict[str, bytes]]]] = deque()
        for file in files:
            waiting.append(pool.submit(work, file))
            if len(waiting) > AHEAD_PER_THREAD * threads:
                store.extend(waiting.popleft().result())
        for encoded in waiting:
            store.extend(encoded.result())
        store.close({})


def in_threads(work: Callable[[Path], None], files: list[Path], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, files))


def decode_and_copy(files: list[Path], threads: int) -> None:
    targets = [np.ones((CHANNELS, SIZE, SIZE), np.uint16) for _ in range(threads)]

    def work(file: Path) -> None:
        target = targets.pop()
        np.copyto(target, READER.read(ImageFiles([file])))
        targets.append(target)

    in_threads(work, files, threads)


def decode_and_encode(files: list[Path], threads: int) -> None:
    encode = layout().encode

    def work(file: Path) -> None:
        image = READER.read(ImageFiles([file]))
        for y in range(0, SIZE, TILE):
            for x in range(0, SIZE, TILE):
                encode(image[:, y : y + TILE, x : x + TILE])

    in_threads(work, files, threads)


def lazy(files: list[Path]) -> da.Array:
    return da.stack([da.from_zarr(tifffile.imread(file, aszarr=True)) for file in files])


def dask_plain(files: list[Path], out: Path, threads: int) -> None:
    with dask.config.set(scheduler="threads", num_workers=threads):
        lazy(files).to_zarr(str(out / "plain.zarr"))


def dask_sharded(files: list[Path], out: Path, threads: int) -> None:
    shard = (1, CHANNELS, SIZE, SIZE)
    target = zarr.create_array(
        out / "sharded.zarr",
        shape=(len(files), *shard[1:]),
        dtype=np.uint16,
        chunks=(1, CHANNELS, TILE, TILE),
        shards=shard,
    )
    with dask.config.set(scheduler="threads", num_workers=threads):
        da.store(lazy(files).rechunk(shard), target, lock=False)


def with_tensorstore(files: list[Path], out: Path, threads: int) -> None:
    """The same inner chunks and codec as ours; one shard an image, which spares it from reading shards again."""
    side = SIZE // TILE
    tile = [CHANNELS, TILE, TILE]
    codecs = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "blosc", "configuration": layout().blosc},
    ]
    sharding = {"name": "sharding_indexed", "configuration": {"chunk_shape": [1, *tile], "codecs": codecs}}
    chunks = {"name": "regular", "configuration": {"chunk_shape": [side * side, *tile]}}
    array = tensorstore.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(out / "tensorstore.zarr")},
            "metadata": {
                "shape": [len(files) * side * side, *tile],
                "data_type": "uint16",
                "chunk_grid": chunks,
                "codecs": [sharding],
            },
        },
        create=True,
        context=tensorstore.Context({"data_copy_concurrency": {"limit": threads}}),
    ).result()

    def work(number: int) -> None:
        image = READER.read(ImageFiles([files[number]])).reshape(CHANNELS, side, TILE, side, TILE)
        tiles = image.transpose(1, 3, 0, 2, 4).reshape(side * side, *tile)
        array[number * side * side : (number + 1) * side * side].write(tiles).result()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(len(files))))


def measured(work: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(kind: str, root: Path, images: int, rounds: int, threads: int) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of each way, in interleaved rounds."""
    folder, out = root / kind, root / "out"
    files = make_study(folder, kind, images)
    ways: dict[str, Callable[[], None]] = {
        OURS: lambda: phenoloom(folder, out, threads),
        STORE: lambda: store_alone(files, out, threads),
        LIMIT: lambda: decode_and_copy(files, threads),
        ENCODE: lambda: decode_and_encode(files, threads),
        PLAIN: lambda: dask_plain(files, out, threads),
        SHARDED: lambda: dask_sharded(files, out, threads),
        TENSORSTORE: lambda: with_tensorstore(files, out, threads),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, work in ways.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            seconds = measured(work)
            if round_:  # the first round warms caches and imports
                times[name].append(seconds)
    return {name: (statistics.median(w for w, _ in t), statistics.median(c for _, c in t)) for name, t in times.items()}


def peak_memory_mb(folder: Path, out: Path, threads: int) -> float:
    """Peak resident memory of a fresh process that converts the study."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, __file__, "--memory-of", str(folder), str(out), "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        phenoloom(Path(arguments.memory_of[0]), Path(arguments.memory_of[1]), arguments.threads)
        # Not ru_maxrss, which starts with the peak of the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
        return
    images, rounds = (24, 3) if arguments.quick else (48, 5)
    megabytes = images * CHANNELS * SIZE * SIZE * 2 / 1e6
    with tempfile.TemporaryDirectory() as temporary:
        for kind in KINDS:
            times = compare(kind, Path(temporary), images, rounds, arguments.threads)
            print(f"\n{kind} TIFF, {images} images, {arguments.threads} threads, medians of {rounds} rounds")
            for name, (wall, cpu) in times.items():
                print(f"  {name:38s} {megabytes / wall:7.0f} MB/s {megabytes / cpu:7.0f} MB/CPU-s")
            for ours, other, target in [*TARGETS, (OURS, ENCODE, ENCODE_TARGET[kind])]:
                wall, cpu = (times[other][i] / times[ours][i] for i in (0, 1))
                verdict = "met" if cpu >= target else "NOT met"
                print(f"  {ours} / {other}: {wall:.2f} wall {cpu:.2f} CPU   target {target:.2f} CPU {verdict}")
            # No converter that compresses and writes can be faster than these, however little else it does.
            for ceiling, other in ((STORE, ENCODE), (ENCODE, LIMIT)):
                wall, cpu = (times[other][i] / times[ceiling][i] for i in (0, 1))
                print(f"  ceiling: {ceiling} / {other}: {wall:.2f} wall {cpu:.2f} CPU")
        memory = peak_memory_mb(Path(temporary) / "raw", Path(temporary) / "out", arguments.threads)
        verdict = "met" if memory < MEMORY_MB else "NOT met"
        print(f"\npeak memory of phenoloom convert: {memory:.0f} MB, target {MEMORY_MB} MB {verdict}")


if __name__ == "__main__":
    main()
