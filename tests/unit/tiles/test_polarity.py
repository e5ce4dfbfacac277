from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from tests.helpers.steps import run_convert

from phenoloom.artifacts.manifest import read_manifest
from phenoloom.config.rule_settings import ConvertSettings
from phenoloom.config.source import Masks
from phenoloom.config.study import Tiles
from phenoloom.images.objects import LeftOut
from phenoloom.models.preprocessing import preparation_of
from phenoloom.tiles.polarity import polarity_sentence
from phenoloom.tiles.store import TileStore

OBJECTS, GRID = Tiles(mode="objects", size=48), Tiles(size=32, min_foreground=0.1)
PLACES = [(40, 40), (40, 110), (110, 45), (105, 115)]


def field(*, dark: bool, seed: int, objects: int = 4) -> np.ndarray:
    """A field of 150 x 150 px with objects of radius 12 px at known places."""
    plane = np.full((150, 150), 180 if dark else 30, np.float32)
    for y, x in PLACES[:objects]:
        cv2.circle(plane, (x, y), 12, 90 if dark else 130, -1)
    noise = np.random.default_rng(seed).normal(0, 3, plane.shape)
    return np.clip(cv2.GaussianBlur(plane, (0, 0), 1) + noise, 0, 255).astype(np.uint8)


def convert(
    folder: Path,
    images: list[np.ndarray],
    tiles: Tiles,
    polarity: Literal["auto", "bright", "dark"] = "auto",
    masks: Masks | None = None,
) -> dict[str, Any]:
    """Convert images of one channel in two shards; return the manifest of the second."""
    rows = []
    for number, image in enumerate(images):
        tifffile.imwrite(folder / f"{number}.tif", image)
        shard = f"{number * 2 // len(images):04d}"
        rows.append({"image_id": str(number), "files": [f"{number}.tif"], "mask": None, "shard": shard})
    schema = pa.schema([("image_id", pa.string()), ("files", pa.list_(pa.string())), ("mask", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, schema.append(pa.field("shard", pa.string()))), folder / "sheet.parquet")
    settings = ConvertSettings(
        algorithm=1,
        study="test",
        root=str(folder),
        channels=["red"],
        pixel_size_um=None,
        masks=masks,
        tiles=tiles,
        max_rejected_fraction=0.0,
        polarity=polarity,
    )
    decided = [run_convert(settings, folder / "sheet.parquet", at(folder, shard)) for shard in ("0000", "0001")]
    assert len(decided) == 2
    assert read_manifest(at(folder, "0000"))["polarity"] == read_manifest(at(folder, "0001"))["polarity"]
    return read_manifest(at(folder, "0001"))


def at(folder: Path, shard: str) -> Path:
    return folder / "tiles" / f"{shard}.json"


@pytest.mark.parametrize("dark", [False, True])
def test_objects_darker_than_the_field_are_objects_as_brighter_ones_are(tmp_path: Path, dark: bool) -> None:
    manifest = convert(tmp_path, [field(dark=dark, seed=s) for s in range(4)], OBJECTS, masks=Masks())
    assert manifest["found"]["tiles"] == 8
    assert (manifest["polarity"]["polarity"], manifest["polarity"]["found"]) == ("dark" if dark else "bright", True)
    area = (TileStore(at(tmp_path, "0001").with_suffix(".zarr")).read_masks(range(8)) == 1).sum((1, 2))
    np.testing.assert_allclose(area, np.pi * 12.5**2, rtol=0.12)


@pytest.mark.parametrize("dark", [False, True])
def test_a_grid_keeps_the_tiles_with_objects_and_leaves_out_the_empty_field(tmp_path: Path, dark: bool) -> None:
    shape = np.full((160, 160), 180 if dark else 30, np.uint8)
    for y, x in ((16, 16), (48, 112), (144, 144)):
        cv2.circle(shape, (x, y), 9, 90 if dark else 130, -1)
    manifest = convert(tmp_path, [shape] * 2, GRID)
    table = pq.read_table(at(tmp_path, "0001").with_suffix(".parquet")).to_pylist()
    # The last window of an axis ends with the image, so that none is lost.
    assert {(row["y"] // 32, row["x"] // 32) for row in table} == {(0, 0), (1, 3), (4, 4)}
    assert manifest["rejected"] == {LeftOut.BACKGROUND: 22}


@pytest.mark.parametrize("dark", [False, True])
def test_one_decision_holds_for_a_study_with_empty_fields_and_with_one_that_looks_inverted(
    tmp_path: Path, dark: bool
) -> None:
    images = [field(dark=dark, seed=s, objects=0 if s < 3 else 4) for s in range(8)]
    images[5] = 255 - field(dark=dark, seed=5)
    manifest = convert(tmp_path, images, OBJECTS, masks=Masks(objects="components", min_area_px=300))
    assert manifest["polarity"]["polarity"] == ("dark" if dark else "bright")


def test_what_a_study_states_counts_and_no_image_is_asked(tmp_path: Path) -> None:
    manifest = convert(tmp_path, [field(dark=True, seed=s) for s in range(2)], OBJECTS, "bright", Masks())
    assert manifest["polarity"] == {"polarity": "bright", "found": False, "clear": True}
    assert manifest["found"]["tiles"] == 0


def test_fields_without_objects_are_taken_as_fluorescence_and_the_sentence_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    facts = convert(tmp_path, [rng.poisson(50, (256, 256)).astype(np.uint8)] * 2, GRID)["polarity"]
    assert (facts["polarity"], facts["clear"]) == ("bright", False)
    assert polarity_sentence(facts) == (
        "objects are taken as brighter than the field, as no image that was looked at shows which they are; if they "
        "are darker, set source.polarity: dark"
    )


def test_a_model_repeats_on_new_images_what_was_decided_for_its_own(tmp_path: Path) -> None:
    convert(tmp_path, [field(dark=True, seed=s) for s in range(2)], OBJECTS, masks=Masks())
    made = preparation_of([at(tmp_path, "0000")])
    assert made.convert is not None
    assert made.convert.polarity == "dark"
