"""Stacks and films from files to tiles, through the sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
from tests.helpers.images import ramp
from tests.helpers.provenance import provenance
from tests.helpers.steps import run_convert, run_index, run_sheet

from phenoloom.artifacts.manifest import read_manifest
from phenoloom.config.planes import Planes
from phenoloom.config.rule_settings import ConvertSettings, IndexSettings, SheetSettings
from phenoloom.config.source import Source
from phenoloom.config.study import Folds, Tiles
from phenoloom.core.errors import PhenoloomError
from phenoloom.splits.design import SplitDesign
from phenoloom.splits.folds import make_folds
from phenoloom.tiles.store import TileStore


def sheet_of(folder: Path, planes: dict[str, Any] | None, pattern: str, **source: Any) -> pd.DataFrame:
    settings = SheetSettings(
        algorithm=1,
        study="stacks",
        root=str(folder / "raw"),
        source=Source(files=pattern, planes=planes, **{"channels": {"DNA": "w1", "actin": "w2"}, **source}),
        shards=1,
        max_rejected_fraction=0.6,
    )
    run_sheet(settings, folder / "sheet.parquet")
    return pq.read_table(folder / "sheet.parquet").to_pandas()


def tiles_of(folder: Path, planes: dict[str, Any], size: int = 8) -> np.ndarray:
    settings = ConvertSettings(
        algorithm=1,
        study="stacks",
        root=str(folder / "raw"),
        channels=["DNA", "actin"],
        pixel_size_um=None,
        masks=None,
        tiles=Tiles(size=size),
        max_rejected_fraction=0.6,
        planes=Planes(**planes),
    )
    manifest = folder / "tiles" / "0000.json"
    manifest.parent.mkdir(exist_ok=True)
    run_convert(settings, folder / "sheet.parquet", manifest)
    store = TileStore(manifest.with_suffix(".zarr"))
    return store.read(np.arange(len(store)))


PATTERN = "{plate}_{well}_s{field}_z{z}_t{t}_{channel}.tif"


@pytest.fixture
def planes_on_disk(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Two fields, each of 2 time points, 3 focal planes and 2 channels in files of their own."""
    stacks = ramp(2, 2, 3, 2, 8, 8)
    (tmp_path / "raw").mkdir()
    for s, t, z, c in np.ndindex(2, 2, 3, 2):
        # Ten comes after nine, not after one.
        name = f"P_A01_s{s}_z{z + 8}_t{t}_w{c + 1}.tif"
        tifffile.imwrite(tmp_path / "raw" / name, stacks[s, t, z, c], photometric="minisblack")
    return tmp_path, stacks


def test_files_of_focal_planes_and_time_points_are_one_image(planes_on_disk: tuple[Path, np.ndarray]) -> None:
    folder, stacks = planes_on_disk
    policy = {"z": "last", "t": "first"}
    sheet = sheet_of(folder, policy, PATTERN)
    assert sheet["image_id"].tolist() == ["P/A01/0", "P/A01/1"]
    assert [list(grid) for grid in sheet["grid"]] == [[2, 3], [2, 3]]
    assert np.array_equal(tiles_of(folder, policy), stacks[:, 0, 2])
    assert np.array_equal(tiles_of(folder, {"z": "max", "t": "last"}), stacks[:, 1, 2])


def test_files_of_all_channels_are_put_together_too(tmp_path: Path) -> None:
    stack = ramp(3, 2, 8, 8)
    (tmp_path / "raw").mkdir()
    for z, image in enumerate(stack):
        tifffile.imwrite(tmp_path / "raw" / f"a_{z}.tif", image, photometric="minisblack")
    policy = {"z": "middle"}
    sheet_of(tmp_path, policy, "{image}_{z}.tif", channels=["DNA", "actin"])
    assert np.array_equal(tiles_of(tmp_path, policy), stack[1:2])


def test_all_planes_are_images_of_their_own_in_one_fold(planes_on_disk: tuple[Path, np.ndarray]) -> None:
    folder, stacks = planes_on_disk
    policy = {"z": "all", "t": "first"}
    sheet = sheet_of(folder, policy, PATTERN, columns={"label": "field"})
    assert sheet["image_id"].tolist() == [f"P/A01/{s}/z{z}" for s in (0, 1) for z in (8, 9, 10)]
    assert sheet["stack"].tolist() == ["P/A01/0"] * 3 + ["P/A01/1"] * 3
    assert np.array_equal(tiles_of(folder, policy), stacks[:, 0].reshape(6, 2, 8, 8))
    index, folds = folder / "index.parquet", folder / "folds.parquet"
    shards = [folder / "tiles" / "0000.json"]
    run_index(IndexSettings(algorithm=1, study="stacks"), folder / "sheet.parquet", shards, index)
    design = SplitDesign("image", Folds(scheme="leave-one-group-out", count=2, group="image"), seed=0)
    make_folds(design, index, folds, folder / "folds.json", provenance())
    assert pq.read_table(folds).to_pandas().groupby("group")["fold"].agg(["size", "nunique"]).to_numpy().tolist() == (
        [[3, 1], [3, 1]]
    )
    # A class in one stack alone cannot be learned without that stack: planes count as one group.
    assert "two classes" in read_manifest(folder / "folds.json")["unscored"]


def test_every_plane_of_a_stack_in_one_file_can_be_an_image(tmp_path: Path) -> None:
    stacks = ramp(2, 3, 2, 8, 8)
    (tmp_path / "raw").mkdir()
    for s, stack in enumerate(stacks):
        file = tmp_path / "raw" / f"{s}.ome.tif"
        tifffile.imwrite(file, stack, photometric="minisblack", metadata={"axes": "ZCYX"})
    policy = {"z": "all"}
    sheet = sheet_of(tmp_path, policy, "{image}.ome.tif", channels=["DNA", "actin"])
    assert sheet["image_id"].tolist() == [f"{s}/z{z:03d}" for s in (0, 1) for z in range(3)]
    assert sheet["stack"].tolist() == ["0"] * 3 + ["1"] * 3
    assert np.array_equal(tiles_of(tmp_path, policy), stacks.reshape(6, 2, 8, 8))


def test_a_stack_with_a_missing_plane_is_quarantined_with_its_name(planes_on_disk: tuple[Path, np.ndarray]) -> None:
    folder, _ = planes_on_disk
    (folder / "raw" / "P_A01_s1_z9_t1_w2.tif").unlink()
    sheet = sheet_of(folder, {"z": "max", "t": "max"}, PATTERN)
    assert sheet["image_id"].tolist() == ["P/A01/0"]
    (lost,) = read_manifest(folder / "sheet.json")["quarantine"]
    assert lost["reason"] == "there is no file for t '1', z '9', channel 'actin'; 1 of 12 planes are missing"


def test_planes_in_files_without_a_policy_are_refused(planes_on_disk: tuple[Path, np.ndarray]) -> None:
    folder, _ = planes_on_disk
    said = (
        r"say in `source.planes.z` what becomes of focal planes and in `source.planes.t` what becomes of time points$"
    )
    with pytest.raises(PhenoloomError, match=said):
        sheet_of(folder, None, PATTERN)
    with pytest.raises(
        PhenoloomError, match=r"Two files are one plane.*; say in `source.planes.t` what becomes of time"
    ):
        sheet_of(folder, {"z": "max"}, PATTERN)


def test_a_sheet_without_planes_has_no_columns_about_them(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for channel in ("w1", "w2"):
        tifffile.imwrite(tmp_path / "raw" / f"a_{channel}.tif", ramp(8, 8), photometric="minisblack")
    sheet = sheet_of(tmp_path, None, "{image}_{channel}.tif")
    assert not {"stack", "grid", "plane"} & set(sheet.columns)
