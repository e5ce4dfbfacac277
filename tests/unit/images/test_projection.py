from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile

from phenoloom.artifacts.manifest import read_manifest
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.planes import Planes
from phenoloom.config.rule_settings import ConvertSettings, IndexSettings, SheetSettings
from phenoloom.config.source import Source
from phenoloom.config.study import Folds, Tiles
from phenoloom.core.errors import ImageError, PhenoloomError
from phenoloom.images.formats import read_image
from phenoloom.images.projection import Where, project, read_projected, read_stack, stack_size
from phenoloom.splits.folds import SplitDesign, make_folds
from phenoloom.study.index import make_index
from phenoloom.study.sheet import make_sheet
from phenoloom.tiles.convert import convert_shard
from phenoloom.tiles.store import TileStore


def ramp(*shape: int) -> np.ndarray:
    """An array whose every value tells its place."""
    return np.arange(int(np.prod(shape))).reshape(shape).astype(np.uint16)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("max", 9), ("mean", 4), ("middle", 4), ("first", 2), ("last", 0)],
)
def test_focal_planes_are_projected_by_their_policy(policy: Any, expected: int) -> None:
    values = np.array([2, 9, 4, 5, 0], np.uint8)
    stack = np.broadcast_to(values[None, :, None, None, None], (1, 5, 2, 3, 4))
    found = project(stack, Planes(z=policy))
    assert found.shape == (2, 3, 4)
    assert found.dtype == np.uint8
    assert (found == expected).all()


def test_a_mean_is_rounded_to_the_integers_of_the_camera_without_running_over() -> None:
    stack = np.array([65535, 65534, 65535], np.uint16).reshape(1, 3, 1, 1, 1)
    assert project(stack, Planes(z="mean")).item() == 65535
    floats = stack.astype(np.float32) / 2
    assert project(floats, Planes(z="mean")).item() == pytest.approx(floats.mean())


def test_z_comes_first_at_each_time_point_and_then_t() -> None:
    stack = np.array([[1, 8], [6, 2]], np.uint8).reshape(2, 2, 1, 1, 1)
    assert project(stack, Planes(z="max", t="mean")).item() == 7
    assert project(stack, Planes(z="max", t="last")).item() == 6
    assert project(stack, Planes(z="first", t="max")).item() == 6


def test_the_sharpest_plane_is_one_for_all_channels_at_each_time_point() -> None:
    generator = np.random.default_rng(0)
    stack = np.full((2, 3, 2, 16, 16), 100, np.uint16)
    # Sharp in plane 1 at the first time point and in plane 2 at the second; a dim channel counts as a bright one does.
    for t, z in ((0, 1), (1, 2)):
        stack[t, z] += generator.integers(0, 50, (2, 16, 16), dtype=np.uint16)
    stack[:, :, 1] *= 100
    assert np.array_equal(project(stack, Planes(z="sharpest", t="first")), stack[0, 1])
    assert np.array_equal(project(stack, Planes(z="sharpest", t="last")), stack[1, 2])
    assert np.array_equal(project(stack.transpose(1, 0, 2, 3, 4), Planes(z="first", t="sharpest")), stack[0, 1])


def test_an_axis_without_a_policy_is_refused_and_a_single_plane_is_none() -> None:
    with pytest.raises(ImageError, match=r"found 3 focal planes; say in `source.planes.z` which"):
        project(ramp(1, 3, 1, 2, 2), Planes(t="first"))
    with pytest.raises(ImageError, match="found 2 time points"):
        project(ramp(2, 1, 1, 2, 2), Planes(z="max"))
    assert np.array_equal(project(ramp(1, 1, 2, 2, 2), Planes()), ramp(2, 2, 2))


@pytest.mark.parametrize("axes", ["TZCYX", "ZCTYX", "CTZYX"])
def test_planes_of_an_ome_tiff_are_found_by_its_axes(axes: str, tmp_path: Path) -> None:
    stack = ramp(2, 3, 4, 5, 6)
    order = [("TZCYX").index(axis) for axis in axes]
    file = tmp_path / "a.ome.tif"
    tifffile.imwrite(file, stack.transpose(order), photometric="minisblack", metadata={"axes": axes})
    assert np.array_equal(read_stack([file], 4, Planes(z="max", t="last")), stack)
    assert np.array_equal(read_projected([file], 4, Planes(z="max", t="last"), Where()), stack[1, 2])
    assert np.array_equal(read_projected([file], 4, Planes(z="all", t="all"), Where(None, (1, 0))), stack[1, 0])
    with pytest.raises(ImageError, match=r"one plane a channel, found OME axes .*; say in `source\.planes`"):
        read_image([file], 4)


def test_an_imagej_stack_is_no_silent_set_of_channels(tmp_path: Path) -> None:
    stack = ramp(3, 2, 5, 6)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack, imagej=True, metadata={"axes": "ZCYX"})
    assert np.array_equal(read_projected([file], 2, Planes(z="last"), Where()), stack[2])
    plain = tmp_path / "b.tif"
    tifffile.imwrite(plain, stack[:, 0], imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match="found ImageJ axes ZYX"):
        read_image([plain], 3)
    # Where somebody saved channels as slices, the study can say so.
    assert np.array_equal(read_projected([plain], 3, Planes(axes="C"), Where()), stack[:, 0])


@pytest.mark.parametrize(("axes", "order"), [("ZC", (0, 1)), ("CZ", (1, 0))])
def test_pages_that_tell_nothing_are_read_along_the_axes_of_the_study(
    axes: str, order: tuple[int, int], tmp_path: Path
) -> None:
    stack = ramp(3, 2, 5, 6)
    file = tmp_path / "a.tif"
    with tifffile.TiffWriter(file) as writer:
        for page in stack.transpose(*order, 2, 3).reshape(-1, 5, 6):
            writer.write(page, photometric="minisblack", metadata=None)
    assert np.array_equal(read_projected([file], 2, Planes(z="first", axes=axes), Where()), stack[0])
    with pytest.raises(ImageError, match="expected pages of 4 channels along"):
        read_projected([file], 4, Planes(z="first", axes=axes), Where())


def test_axes_that_pages_cannot_tell_are_refused() -> None:
    for axes, sentence in (("ZT", "use OME-TIFF"), ("ZZ", "each axis once"), ("Z", "`z` must say")):
        with pytest.raises(ValueError, match=sentence):
            Planes(axes=axes, t="first")


def test_stacks_of_one_file_a_channel_must_agree(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.ome.tif" for name in "ab"]
    for number, file in enumerate(files):
        tifffile.imwrite(file, ramp(3, 5, 6) + number, photometric="minisblack", metadata={"axes": "ZYX"})
    found = read_projected(files, 2, Planes(z="last"), Where())
    assert np.array_equal(found, np.stack([ramp(3, 5, 6)[2], ramp(3, 5, 6)[2] + 1]))
    tifffile.imwrite(files[1], ramp(4, 5, 6), photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match=r"like a\.ome\.tif, found \(1, 4, 1, 5, 6\) uint16 in b\.ome\.tif"):
        read_projected(files, 2, Planes(z="last"), Where())


def sheet_of(folder: Path, planes: dict[str, Any] | None, pattern: str, **source: Any) -> pd.DataFrame:
    settings = SheetSettings(
        algorithm=1,
        study="stacks",
        root=str(folder / "raw"),
        source=Source(files=pattern, planes=planes, **{"channels": {"DNA": "w1", "actin": "w2"}, **source}),
        shards=1,
        max_rejected_fraction=0.6,
    )
    make_sheet(settings, folder / "sheet.parquet", folder / "sheet.json")
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
    convert_shard(settings, folder / "sheet.parquet", "0000", manifest, 1)
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
    make_index(
        IndexSettings(algorithm=1, study="stacks"),
        folder / "sheet.parquet",
        shards,
        index,
        folder / "index.json",
        folder / "quarantine.tsv",
    )
    design = SplitDesign("image", Folds(scheme="leave-one-group-out", count=2, group="image"), seed=0)
    # A class in one stack alone could not be learned without that stack: planes count as one group.
    with pytest.raises(PhenoloomError, match="two classes in at least 2 groups"):
        make_folds(design, index, folds, folder / "folds.json", Provenance("stacks", {}, ""))


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


@pytest.mark.parametrize("axes", ["ZCYX", "TZYX", "CZYX"])
def test_planes_are_counted_without_reading_a_pixel(axes: str, tmp_path: Path) -> None:
    file, shape = tmp_path / "a.ome.tif", (2, 3, 16, 16)
    tifffile.imwrite(file, ramp(*shape), photometric="minisblack", compression="zlib", metadata={"axes": axes})
    planes, channels = Planes(z="all", t="all"), dict(zip(axes, shape, strict=True)).get("C", 1)
    expected = read_stack([file], channels, planes).shape[:2]
    with tifffile.TiffFile(file) as tif:
        strips = [(page.dataoffsets[0], page.databytecounts[0]) for page in tif.pages]
    with file.open("r+b") as opened:
        for offset, count in strips:
            opened.seek(offset)
            opened.write(bytes(count))
    with pytest.raises(ImageError, match="damaged"):
        read_stack([file], channels, planes)
    assert stack_size([file], channels, planes) == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "found none at"), (b"", "zero bytes"), (b"no image at all", "expected a TIFF"), (b"II*\0cut", "damaged")],
)
def test_planes_of_a_file_that_is_no_image_are_not_counted(
    content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match=sentence):
        stack_size([tmp_path / "a.tif"], 2, Planes(z="all"))


def test_a_stack_with_a_missing_plane_is_quarantined_with_its_name(planes_on_disk: tuple[Path, np.ndarray]) -> None:
    folder, _ = planes_on_disk
    (folder / "raw" / "P_A01_s1_z9_t1_w2.tif").unlink()
    sheet = sheet_of(folder, {"z": "max", "t": "max"}, PATTERN)
    assert sheet["image_id"].tolist() == ["P/A01/0"]
    (lost,) = read_manifest(folder / "sheet.json")["quarantine"]
    assert lost["reason"] == "there is no file for t '1', z '9', channel 'actin'; 1 of 12 planes are missing"


def test_planes_in_files_without_a_policy_are_refused(planes_on_disk: tuple[Path, np.ndarray]) -> None:
    folder, _ = planes_on_disk
    with pytest.raises(PhenoloomError, match=r"call it `\{z\}` for focal planes.*say in `source.planes`"):
        sheet_of(folder, None, PATTERN)
    with pytest.raises(PhenoloomError, match="Two files are one plane"):
        sheet_of(folder, {"z": "max"}, PATTERN)


def test_a_sheet_without_planes_has_the_columns_that_it_always_had(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for channel in ("w1", "w2"):
        tifffile.imwrite(tmp_path / "raw" / f"a_{channel}.tif", ramp(8, 8), photometric="minisblack")
    sheet = sheet_of(tmp_path, None, "{image}_{channel}.tif")
    assert not {"stack", "grid", "plane"} & set(sheet.columns)
