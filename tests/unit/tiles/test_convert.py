from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
import xxhash
from tests.helpers.steps import run_convert

from phenoloom.config.rule_settings import ConvertSettings
from phenoloom.config.source import Masks
from phenoloom.config.study import Tiles
from phenoloom.core import parallel
from phenoloom.core.errors import PhenoloomError
from phenoloom.tiles.store import TileStore

RNG = np.random.default_rng(0)
SHEET = pa.schema(
    [("image_id", pa.string()), ("files", pa.list_(pa.string())), ("mask", pa.string()), ("shard", pa.string())]
)


def camera(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return RNG.poisson(90, shape).astype(dtype)


class Study:
    """Images in a folder, and what `convert` needs beside them."""

    def __init__(self, root: Path, channels: int = 2) -> None:
        self.root, self.channels = root / "raw", [f"c{i}" for i in range(channels)]
        self.sheet, self.manifest = root / "sheet.parquet", root / "results" / "tiles" / "0000.json"
        self.rows: list[dict[str, Any]] = []
        self.root.mkdir()

    def add(
        self, image: np.ndarray, mask: np.ndarray | None = None, shard: str = "0000", name: str | None = None
    ) -> Path:
        name = name or f"i{len(self.rows)}"
        file = self.root / f"{name}.tif"
        tifffile.imwrite(file, image, photometric="minisblack", compression="lzw", metadata=None)
        if mask is not None:
            tifffile.imwrite(self.root / f"{name}.mask.tif", mask, photometric="minisblack")
        masked = None if mask is None else f"{name}.mask.tif"
        self.rows.append({"image_id": name, "files": [file.name], "mask": masked, "shard": shard})
        return file

    def convert(
        self,
        tiles: Tiles,
        masks: Masks | None = None,
        *,
        threads: int = 1,
        limit: float = 1.0,
        shard: str = "0000",
    ) -> dict[str, Any]:
        pq.write_table(pa.Table.from_pylist(self.rows, SHEET), self.sheet)
        run_convert(self.settings(tiles, masks, limit), self.sheet, self.at(shard), threads)
        return json.loads(self.at(shard).read_text())

    def settings(self, tiles: Tiles, masks: Masks | None = None, limit: float = 1.0) -> ConvertSettings:
        return ConvertSettings(
            algorithm=1,
            study="test",
            root=str(self.root),
            channels=self.channels,
            pixel_size_um=0.65,
            masks=masks,
            tiles=tiles,
            max_rejected_fraction=limit,
        )

    def at(self, shard: str) -> Path:
        return self.manifest.with_name(f"{shard}.json")

    def store(self, shard: str = "0000") -> TileStore:
        return TileStore(self.at(shard).with_suffix(".zarr"))

    def table(self, shard: str = "0000") -> list[dict[str, Any]]:
        return pq.read_table(self.at(shard).with_suffix(".parquet")).to_pylist()

    def files(self) -> dict[str, bytes]:
        folder = self.manifest.parent
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


GRID = Tiles(size=16, tiles_per_shard_file=3)
OBJECTS = Tiles(mode="objects", size=16, tiles_per_shard_file=3)
LABELS = Masks(files="{image}.mask.tif", min_area_px=4)


def labelled(height: int = 48, width: int = 40) -> np.ndarray:
    """Object 3 inside, 7 at the border, 8 too small, 9 too large for a window of 16 px, 12 inside beside 3."""
    mask = np.zeros((height, width), np.uint16)
    mask[10:16, 10:14] = 3
    mask[0:5, 20:26] = 7
    mask[20, 20] = 8
    mask[24:44, 30:36] = 9
    mask[12:18, 15:19] = 12
    return mask


@pytest.mark.parametrize(("shift", "shuffle"), [(4, "bitshuffle"), (0, "shuffle")])
def test_all_shards_are_compressed_as_suits_the_first_image_of_the_study(
    study: Study, shift: int, shuffle: str
) -> None:
    low = RNG.integers(0, 256 if shift == 0 else 4096, (2, 48, 40)).astype(np.uint16)
    study.add(low << shift)
    study.add(np.zeros((2, 48, 40), np.uint16) + 7, shard="0001")
    for shard in ("0000", "0001"):
        study.convert(GRID, shard=shard)
        metadata = json.loads((study.at(shard).with_suffix(".zarr") / "tiles" / "zarr.json").read_text())
        codecs = metadata["codecs"][0]["configuration"]["codecs"]
        assert codecs[-1]["configuration"]["shuffle"] == shuffle
    np.testing.assert_array_equal(study.store().read([0])[0], (low << shift)[:, :16, :16])


def test_grid_tiles_are_the_crops_of_the_images_in_raster_order(study: Study) -> None:
    images = [camera(2, 40, 50), camera(2, 33, 16)]
    for image in images:
        study.add(image)
    manifest = study.convert(GRID)
    table, tiles = study.table(), study.store().read(range(len(study.store())))
    assert [row["id"] for row in table] == [
        *(f"i0#y{y:05d}x{x:05d}" for y in (0, 16) for x in (0, 16, 32)),
        "i1#y00000x00000",
        "i1#y00016x00000",
    ]
    for row, tile in zip(table, tiles, strict=True):
        image = images[int(row["image_id"][1:])]
        np.testing.assert_array_equal(tile, image[:, row["y"] : row["y"] + 16, row["x"] : row["x"] + 16])
        assert (row["object"], row["area_px"], row["border"]) == (-1, -1, False)
    assert manifest["expected"] == {"images": 2}
    assert manifest["found"] == {"images": 2, "tiles": 8}
    assert manifest["arrays"] == {"tiles": {"shape": [8, 2, 16, 16], "dtype": "uint16"}}


def test_a_stride_below_the_size_makes_tiles_overlap(study: Study) -> None:
    study.add(camera(2, 24, 24))
    study.convert(Tiles(size=16, stride=4))
    assert [(row["y"], row["x"]) for row in study.table()] == [(y, x) for y in (0, 4, 8) for x in (0, 4, 8)]


def test_measures_are_what_numpy_says(study: Study) -> None:
    image = camera(2, 16, 32)
    image[:, 3, 4] = 65535
    study.add(image)
    study.convert(GRID)
    for row, tile in zip(study.table(), study.store().read([0, 1]).astype(np.float64), strict=True):
        np.testing.assert_allclose(row["channel_mean"], tile.mean((1, 2)), rtol=1e-6)
        np.testing.assert_allclose(row["channel_std"], tile.std((1, 2)), rtol=1e-6)
        gradient = ((tile[:, ::4, 2:] - tile[:, ::4, :-2]) ** 2).mean((1, 2))
        assert row["focus"] == pytest.approx((gradient / (tile**2).mean((1, 2))).mean(), rel=1e-6)
    assert [row["saturation"] for row in study.table()] == [pytest.approx(1 / 256), 0]
    assert {row["digest"] for row in study.table()} == {xxhash.xxh3_128_hexdigest(image.tobytes())}


def test_blurring_lowers_the_focus_and_gain_does_not_change_it(study: Study) -> None:
    sharp = camera(2, 16, 16)
    blurred = np.full_like(sharp, 90)
    blurred[:, ::2] = 95
    for image in (sharp, sharp * 5, blurred):
        study.add(image)
    study.convert(GRID)
    focus = [row["focus"] for row in study.table()]
    assert focus[0] == pytest.approx(focus[1])
    assert focus[2] == 0 < focus[0]


def test_statistics_of_channels_cover_all_tiles(study: Study) -> None:
    for _ in range(3):
        study.add(camera(2, 32, 16))
    manifest = study.convert(GRID)
    tiles = study.store().read(range(6)).astype(np.float64)
    for channel, found in enumerate(manifest["statistics"].values()):
        values = tiles[:, channel]
        assert found["count"] == values.size
        assert (found["min"], found["max"]) == (values.min(), values.max())
        assert (found["mean"], found["std"]) == (pytest.approx(values.mean()), pytest.approx(values.std()))
    attributes = study.store().attrs
    assert attributes["channels"] == ["c0", "c1"]
    assert attributes["pixel_size_um"] == 0.65
    assert attributes["statistics"] == manifest["statistics"]


def test_tiles_without_enough_foreground_are_counted(study: Study) -> None:
    image = camera(2, 16, 48)
    image[0, :, :16] += 5000
    image[0, :8, 16:32] += 5000
    study.add(image)
    manifest = study.convert(Tiles(size=16, min_foreground=0.6))
    assert [row["foreground"] for row in study.table()] == [1.0]
    assert manifest["rejected"] == {"tile with less foreground than min_foreground": 2}


def test_a_constant_image_has_no_digest_and_no_foreground(study: Study) -> None:
    image = np.full((2, 16, 16), 7, np.uint16)
    image[1] = 9
    study.add(image)
    study.convert(GRID)
    assert [(row["digest"], row["foreground"]) for row in study.table()] == [("", 0.0)]


def test_objects_are_centred_and_every_object_left_out_is_counted_by_reason(study: Study) -> None:
    image, mask = camera(2, 48, 40), labelled()
    study.add(image, mask)
    manifest = study.convert(OBJECTS, LABELS)
    assert manifest["rejected"] == {
        "object larger than the tile": 1,
        "object smaller than min_area_px": 1,
        "object touches the image border": 1,
    }
    table = study.table()
    assert [(row["id"], row["object"], row["area_px"], row["y"], row["x"], row["position"]) for row in table] == [
        ("i0#0003", 3, 24, 5, 4, 0),
        ("i0#0007", 7, 30, 0, 20, -1),
        ("i0#0009", 9, 120, 24, 30, -1),
        ("i0#0012", 12, 24, 7, 9, 1),
    ]
    assert manifest["rejected_by_image"] == {"object smaller than min_area_px": {"i0": 1}}
    np.testing.assert_array_equal(study.store().read([0])[0], image[:, 5:21, 4:20])
    np.testing.assert_array_equal(study.store().read_masks([0])[0], mask[5:21, 4:20] == 3)
    assert study.store().read_masks([0]).dtype == np.uint8
    assert study.table()[0]["foreground"] == pytest.approx(24 / 256)


def test_an_object_without_a_tile_has_its_box_its_reason_and_its_mask_where_it_is_only_too_large(study: Study) -> None:
    mask = labelled()
    mask[30, 32] = 0
    study.add(camera(2, 48, 40), mask)
    study.convert(OBJECTS, LABELS)
    tiled, border, large, _ = study.table()
    assert (border["left_out"], border["runs"]) == ("object touches the image border", None)
    assert (large["left_out"], large["height_px"], large["width_px"]) == ("object larger than the tile", 20, 6)
    # Six rows, then one with a hole in its third column, then the rest.
    assert large["runs"] == [0, 38, 1, 81]
    assert (tiled["left_out"], tiled["runs"], tiled["height_px"], tiled["width_px"]) == (None, None, 6, 4)
    measured = ("foreground", "focus", "saturation", "channel_mean", "channel_std")
    assert all(tiled[name] is not None and border[name] is None and large[name] is None for name in measured)
    assert tiled["digest"] == large["digest"] != ""


def test_a_damaged_mask_is_named_as_a_mask(study: Study) -> None:
    for _ in range(3):
        study.add(camera(2, 48, 40), labelled())
    (study.root / "i1.mask.tif").write_bytes(b"II*\0 cut short")
    (lost,) = study.convert(OBJECTS, LABELS, limit=0.5)["quarantine"]
    assert lost["image_id"] == "i1"
    assert lost["reason"].startswith("its mask i1.mask.tif: expected at least one full-resolution page")


def test_a_window_over_the_edge_is_zero_outside_and_its_measures_are_of_the_inside(study: Study) -> None:
    image, mask = camera(2, 20, 20), np.zeros((20, 20), np.uint8)
    mask[0:3, 15:20] = 1
    study.add(image, mask)
    study.convert(Tiles(mode="objects", size=16, border="keep"), LABELS)
    row, tile, window = study.table()[0], study.store().read([0])[0], study.store().read_masks([0])[0]
    assert (row["y"], row["x"], row["border"]) == (-7, 9, True)
    inside = image[:, 0:9, 9:20]
    np.testing.assert_array_equal(tile[:, 7:16, 0:11], inside)
    assert tile.sum() == inside.sum()
    np.testing.assert_array_equal(window[7:16, 0:11], mask[0:9, 9:20])
    assert window.sum() == 15 == row["area_px"]
    np.testing.assert_allclose(row["channel_mean"], inside.mean((1, 2)), rtol=1e-6)
    assert row["foreground"] == pytest.approx(15 / 99)


def test_objects_may_be_segmented_from_the_channel_that_is_named(study: Study) -> None:
    image = camera(2, 64, 64)
    image[1, 20:32, 24:36] += 4000
    study.add(image)
    study.convert(Tiles(mode="objects", size=32), Masks(channel="c1"))
    assert len(study.table()) == 1
    assert study.store().read_masks([0])[0, 10:22, 10:22].mean() > 0.8
    with pytest.raises(PhenoloomError, match=r"`source\.masks\.channel` is 'actin', but the channels are c0, c1"):
        study.convert(Tiles(mode="objects", size=32), Masks(channel="actin"))


def test_grid_tiles_carry_the_labels_of_their_masks(study: Study) -> None:
    mask = labelled()
    study.add(camera(2, 48, 40), mask)
    study.convert(GRID, LABELS)
    table, masks = study.table(), study.store().read_masks(range(6))
    for row, found in zip(table, masks, strict=True):
        expected = mask[row["y"] : row["y"] + 16, row["x"] : row["x"] + 16]
        np.testing.assert_array_equal(found, expected)
        assert row["foreground"] == pytest.approx((expected > 0).mean())


def test_an_image_without_objects_is_counted_and_not_quarantined(study: Study) -> None:
    study.add(camera(2, 48, 40), labelled())
    study.add(camera(2, 48, 40), np.zeros((48, 40), np.uint8))
    manifest = study.convert(OBJECTS, LABELS, limit=0)
    assert manifest["rejected"]["image without objects"] == 1
    assert manifest["quarantine"] == []
    assert manifest["found"] == {"images": 2, "tiles": 2}


def quarantined(study: Study, tiles: Tiles = GRID, masks: Masks | None = None) -> str:
    """The reason why the last image is quarantined while the first one is used."""
    manifest = study.convert(tiles, masks)
    assert manifest["found"]["images"] == len(study.rows) - 1
    assert {row["image_id"] for row in study.table()} == {"i0"}
    (row,) = manifest["quarantine"]
    assert row["image_id"] == study.rows[-1]["image_id"]
    assert row["file"] == "; ".join(study.rows[-1]["files"])
    reason: str = row["reason"]
    return reason


def test_a_truncated_tiff_is_quarantined_with_its_reason(study: Study) -> None:
    study.add(camera(2, 32, 32))
    file = study.add(camera(2, 32, 32))
    file.write_bytes(file.read_bytes()[:-700])
    assert "truncated" in quarantined(study)


def test_a_file_of_zero_bytes_is_quarantined(study: Study) -> None:
    study.add(camera(2, 32, 32))
    study.add(camera(2, 32, 32)).write_bytes(b"")
    assert "zero bytes" in quarantined(study)


def test_a_file_that_is_no_image_is_quarantined(study: Study) -> None:
    study.add(camera(2, 32, 32))
    study.add(camera(2, 32, 32)).write_text("<html>404</html>")
    assert "image, found an HTML page: i1.tif; download the file again" in quarantined(study)


def test_a_channel_that_is_not_on_disk_is_quarantined(study: Study) -> None:
    study.add(camera(2, 32, 32))
    file = study.add(camera(32, 32))
    study.rows[-1]["files"] = [file.name, "gone.tif"]
    assert "expected a file, found none at" in quarantined(study)


def test_an_image_of_another_type_than_the_first_one_is_quarantined(study: Study) -> None:
    study.add(camera(2, 32, 32))
    study.add(camera(2, 32, 32, dtype="uint8"))
    assert quarantined(study) == "expected pixels of type uint16 like the study's first image, found uint8"


def test_an_image_smaller_than_a_tile_is_quarantined(study: Study) -> None:
    study.add(camera(2, 32, 32))
    study.add(camera(2, 32, 15))
    assert "at least one tile of 16 x 16 px, found 32 x 15 px" in quarantined(study)


def test_pixels_that_are_not_finite_are_quarantined(study: Study) -> None:
    study.add(camera(2, 32, 32, dtype="float32"))
    bad = camera(2, 32, 32, dtype="float32")
    bad[1, 2, 3] = np.nan
    study.add(bad)
    assert "1 NaN or infinite" in quarantined(study)


def test_a_mask_unlike_its_image_or_without_a_file_is_quarantined(study: Study) -> None:
    study.add(camera(2, 48, 40), labelled())
    study.add(camera(2, 48, 41), labelled())
    reason = quarantined(study, OBJECTS, LABELS)
    assert reason.startswith("expected a mask of 48 x 41 px like its image, found 48 x 40 px in")
    assert "level" not in reason
    study.rows[-1]["mask"] = None
    assert "expected a mask file" in quarantined(study, OBJECTS, LABELS)


def test_levels_of_images_and_masks_that_differ_are_named_where_sizes_do(study: Study) -> None:
    for size in (48, 24):
        study.add(camera(2, 48, 40), np.ones((48, 40), np.uint8))
        with tifffile.TiffWriter(study.root / study.rows[-1]["mask"]) as writer:
            writer.write(np.ones((2 * size, 80), np.uint8), photometric="minisblack")
            writer.write(np.ones((size, 40), np.uint8), photometric="minisblack", subfiletype=1)
    levels = "images are read at level 0 (`source.level`) and masks at level 1 (`source.masks.level`)"
    assert levels in quarantined(study, OBJECTS, LABELS.model_copy(update={"level": 1}))


def test_too_many_bad_images_fail_the_step_and_leave_no_manifest(study: Study) -> None:
    for _ in range(3):
        study.add(camera(2, 32, 32))
    study.add(camera(2, 32, 32)).write_bytes(b"")
    assert study.convert(GRID, limit=0.25)["found"]["images"] == 3
    with pytest.raises(PhenoloomError, match=r"1 of 4 images cannot be used, .* i3\.tif"):
        study.convert(GRID, limit=0.2)
    assert not study.manifest.exists()


def test_the_type_of_the_pixels_is_the_same_in_all_shards(study: Study) -> None:
    study.add(camera(2, 16, 16)).write_bytes(b"")
    study.add(camera(2, 16, 16))
    study.add(camera(2, 16, 16, dtype="uint8"), shard="0001")
    study.add(camera(2, 16, 16), shard="0001")
    manifest = study.convert(GRID, shard="0001")
    assert manifest["dtype"] == "uint16"
    assert [row["image_id"] for row in manifest["quarantine"]] == ["i2"]


def test_a_blank_plate_is_an_empty_shard(study: Study) -> None:
    study.add(camera(2, 16, 16), np.zeros((16, 16), np.uint8))
    manifest = study.convert(OBJECTS, LABELS)
    assert manifest["found"] == {"images": 1, "tiles": 0}
    assert manifest["rejected"] == {"image without objects": 1}
    assert manifest["arrays"]["tiles"]["shape"] == [0, 2, 16, 16]
    assert (len(study.store()), study.table()) == (0, [])
    assert study.store().read([]).shape == (0, 2, 16, 16)


def test_no_readable_image_and_no_such_shard_are_refused(study: Study) -> None:
    file = study.add(camera(2, 16, 16), np.zeros((16, 16), np.uint8))
    with pytest.raises(PhenoloomError, match="no images of shard '0007'"):
        study.convert(GRID, shard="0007")
    file.unlink()
    with pytest.raises(PhenoloomError, match="not one image of"):
        study.convert(GRID)
    assert not study.manifest.exists()


@pytest.mark.parametrize("kind", ["grid", "objects"])
def test_the_number_of_threads_does_not_change_a_byte(study: Study, kind: str) -> None:
    for i in range(23):
        study.add(camera(2, 48, 40), labelled()) if i % 7 else study.add(camera(2, 48, 40, dtype="uint8"), labelled())
    study.rows.reverse()
    settings = (GRID, None) if kind == "grid" else (OBJECTS, LABELS)
    found = []
    for threads in (1, 2, 5):
        study.convert(*settings, threads=threads)
        found.append(study.files())
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 3


def test_many_small_graphs_give_the_same_as_one(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(9):
        study.add(camera(2, 32, 16))
    study.convert(GRID, threads=2)
    expected = study.files()
    monkeypatch.setattr(parallel, "GRAPH_ITEMS", 2)
    study.convert(GRID, threads=2)
    assert study.files() == expected


def test_the_shard_of_an_image_does_not_change_its_tiles(study: Study) -> None:
    for i in range(4):
        study.add(camera(2, 32, 16), shard=f"000{i // 2}")
    study.convert(GRID, shard="0000")
    study.convert(GRID, shard="0001")
    apart = np.concatenate([study.store(shard).read(range(4)) for shard in ("0000", "0001")])
    rows = study.table("0000") + study.table("0001")
    for row in study.rows:
        row["shard"] = "0000"
    study.convert(GRID)
    np.testing.assert_array_equal(study.store().read(range(8)), apart)
    assert [row["position"] for row in rows] == [*range(4), *range(4)]
    assert [row | {"position": 0} for row in study.table()] == [row | {"position": 0} for row in rows]


def test_leftovers_of_an_interrupted_run_are_removed(study: Study) -> None:
    for _ in range(5):
        study.add(camera(2, 32, 32))
    study.convert(GRID)
    expected = study.files()
    study.manifest.unlink()
    folder = study.manifest.parent
    (folder / "0000.zarr" / "zarr.json").unlink()
    (folder / "0000.zarr" / "tiles" / "c.9.0.0.0").write_bytes(b"half a shard")
    (folder / ".0000.parquet.abcd1234").write_bytes(b"half a table")
    (folder / "0000.parquet").write_bytes(b"an old table")
    study.convert(GRID)
    assert study.files() == expected


def test_another_shard_is_left_alone(study: Study) -> None:
    study.add(camera(2, 16, 16))
    study.add(camera(2, 16, 16), shard="0001")
    study.convert(GRID, shard="0001")
    expected = study.files()
    study.convert(GRID, shard="0000")
    assert expected.items() <= study.files().items()


KILLED_AFTER_THREE_FILES = """
import os, signal, sys
from phenoloom.cli.main import main
from phenoloom.tiles import shard_file

finish = shard_file.ShardWriter.finish_file

def finish_and_die(writer):
    finish(writer)
    if writer.count == 9:
        os.kill(os.getpid(), signal.SIGKILL)

shard_file.ShardWriter.finish_file = finish_and_die
main(["convert", *sys.argv[1:]])
"""


def test_a_killed_run_leaves_no_manifest_and_the_next_run_is_as_if_nothing_had_happened(study: Study) -> None:
    for _ in range(10):
        study.add(camera(2, 32, 32))
    study.convert(GRID)
    expected = study.files()
    shutil.rmtree(study.manifest.parent)
    arguments = ["--settings", study.settings(GRID).canonical(), "--sheet", str(study.sheet), "--shard", "0000"]
    arguments += ["--output", str(study.manifest), "--threads", "2"]
    process = subprocess.run([sys.executable, "-c", KILLED_AFTER_THREE_FILES, *arguments], check=False)
    assert process.returncode == -signal.SIGKILL
    assert len(list((study.manifest.with_suffix(".zarr") / "tiles").iterdir())) == 3
    assert not study.manifest.exists()
    study.convert(GRID)
    assert study.files() == expected


def test_a_folder_that_cannot_be_written_is_an_error_without_a_manifest(study: Study) -> None:
    study.add(camera(2, 16, 16))
    study.manifest.parent.parent.mkdir()
    study.manifest.parent.touch()
    with pytest.raises((PhenoloomError, OSError), match="tiles"):
        study.convert(GRID)
    assert study.manifest.parent.is_file()


def test_a_disk_that_fills_up_is_an_error_without_a_manifest(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        study.add(camera(2, 64, 64))

    def full(file: Any, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("phenoloom.tiles.shard_file._write_all", full)
    with pytest.raises(PhenoloomError, match=r"c\.0\.0\.0\.0 cannot be written \(No space left on device\)"):
        study.convert(GRID, threads=2)
    assert [path.suffix for path in study.manifest.parent.iterdir()] == [".zarr"]


@pytest.mark.parametrize("name", ["a b", "[1]{x}", "it's $HOME", 'quo"te', "µ日本", "-rf"])
def test_any_name_of_an_image_works(study: Study, name: str) -> None:
    image = camera(2, 16, 16)
    study.add(image, name=name)
    study.convert(GRID)
    np.testing.assert_array_equal(study.store().read([0])[0], image)
    assert study.table()[0]["id"] == f"{name}#y00000x00000"


@pytest.mark.real_data
def test_real_cells_are_cut_out_around_their_masks(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "nf1_cellpainting"
    masks = sorted(folder.rglob("*MaskCells.tiff"))
    if not masks:
        pytest.skip(f"no cell masks in {folder}")
    study = Study(tmp_path, channels=1)
    study.root = folder
    for mask in masks:
        image = next(folder.rglob(mask.name.replace("_MaskCells.tiff", ".tif")))
        files = [str(image.relative_to(folder))]
        row = {"image_id": image.stem, "files": files, "mask": str(mask.relative_to(folder)), "shard": "0000"}
        study.rows.append(row)
    study.convert(Tiles(mode="objects", size=512, border="keep"), Masks(files="x", objects="components"), limit=0)
    table, store = study.table(), study.store()
    assert len(store) > 0
    assert [row["position"] for row in table if row["left_out"] is None] == [*range(len(store))]
    for row in table:
        if row["left_out"] is None:
            assert store.read_masks([row["position"]]).sum() == row["area_px"]
        else:
            assert sum(row["runs"][1::2]) == row["area_px"]
