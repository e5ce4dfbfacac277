"""The memory that conversion takes for large images, against what its job asks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from phenoloom.artifacts.image_memory import ahead, at_once, conversion_mb
from phenoloom.config.rule_settings import ConvertSettings
from phenoloom.config.source import Masks
from phenoloom.config.study import Tiles
from phenoloom.images.choice import Choice
from phenoloom.images.size import largest

CONVERT = r"""
import re, sys
from pathlib import Path
from tests.helpers.steps import run_convert
from phenoloom.config.rule_settings import ConvertSettings
folder = Path(sys.argv[1])
run_convert(ConvertSettings.parse(sys.argv[2]), folder / "sheet.parquet", folder / "tiles" / "0000.json", 2)
# Not `getrusage`: its peak counts what the parent held when it started this process.
print(int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6)
"""
SHEET = pa.schema(
    [
        ("image_id", pa.string()),
        ("files", pa.list_(pa.string())),
        ("mask", pa.string()),
        ("shard", pa.string()),
        ("bytes", pa.int64()),
    ]
)


def images(folder: Path, side: int, number: int) -> list[Path]:
    """RGB images with objects, and masks beside them."""
    rng = np.random.default_rng(0)
    part = rng.integers(20, 60, (500, 500)).astype(np.uint8)
    y, x = np.mgrid[:500, :500]
    for cy, cx in rng.integers(60, 440, (8, 2)):
        part[(y - cy) ** 2 + (x - cx) ** 2 < 900] += 120
    plane = np.tile(part, (side // 500, side // 500))
    rows = []
    for i in range(number):
        tifffile.imwrite(folder / f"{i}.tif", np.stack([plane] * 3, -1), photometric="rgb", compression="lzw")
        tifffile.imwrite(folder / f"{i}_mask.tif", (plane > 100).astype(np.uint8), compression="lzw")
        size = (folder / f"{i}.tif").stat().st_size
        rows.append(
            {"image_id": str(i), "files": [f"{i}.tif"], "mask": f"{i}_mask.tif", "shard": "0000", "bytes": size}
        )
    pq.write_table(pa.Table.from_pylist(rows, SHEET), folder / "sheet.parquet")
    return [folder / f"{i}.tif" for i in range(number)]


def peak_mb(folder: Path, masks: Masks | None, mode: Literal["grid", "objects"], repository: Path) -> float:
    settings = ConvertSettings(
        algorithm=1,
        study="large",
        root=str(folder),
        channels=["red", "green", "blue"],
        pixel_size_um=None,
        masks=masks,
        tiles=Tiles(mode=mode),
        max_rejected_fraction=0.0,
    )
    command = [sys.executable, "-c", CONVERT, str(folder), settings.canonical()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository, check=True)
    return float(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("masks", "mode"),
    [(None, "grid"), (Masks(), "objects"), (Masks(objects="components"), "objects"), (Masks(files="m"), "objects")],
    ids=["grid", "watershed", "components", "mask files"],
)
def test_conversion_of_large_images_takes_no_more_memory_than_its_job_asks_for(
    tmp_path: Path, repository: Path, masks: Masks | None, mode: Literal["grid", "objects"]
) -> None:
    files = images(tmp_path, 5000, 3)
    mb, megapixels = largest([[file] for file in files], Choice())
    assert (mb, megapixels) == (75, 25)
    assert peak_mb(tmp_path, masks, mode, repository) <= conversion_mb(mb, megapixels, masks, 2)


def test_small_images_ask_for_what_they_always_did_and_the_largest_for_what_they_need() -> None:
    assert conversion_mb(0, 0, None, 2) == 800
    assert conversion_mb(2.0, 1.0, None, 2) == 800
    grid = conversion_mb(1728, 576, None, 2)
    assert 3 * 1728 < grid < 4.5 * 1728
    segmented = conversion_mb(144, 144, Masks(), 2)
    assert 41 * 144 < segmented < 60 * 144


def test_large_images_are_worked_on_one_at_a_time_and_small_ones_by_all_threads() -> None:
    assert (at_once(1, 4), ahead(1, 4)) == (4, 16)
    assert (at_once(60, 4), ahead(60, 4)) == (2, 2)
    assert (at_once(5000, 4), ahead(5000, 4)) == (1, 1)
