from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from numpy.typing import NDArray

from phenoloom.artifacts.manifest import Manifest, read_manifest, write_manifest
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.rule_settings import ContoursSettings
from phenoloom.config.source import Masks, Outlines
from phenoloom.core.errors import PhenoloomError
from phenoloom.images.objects import LeftOut
from phenoloom.shapes.contours import ContourPolicy, extract_contours
from phenoloom.shapes.sources import outline_source
from phenoloom.shapes.store import TABLE
from phenoloom.study.shards import shard_rows
from phenoloom.tiles.shard_file import Layout
from phenoloom.tiles.store import TileWriter


def settings_of(source: str, root: Path | None = None, **changes: Any) -> ContoursSettings:
    values: dict[str, Any] = {
        "algorithm": 1,
        "study": "t",
        "source": source,
        "root": None if root is None else str(root),
        "masks": Masks() if source == "masks" else None,  # type: ignore[call-arg]
        "outlines": Outlines(path="cells.txt") if source == "outlines" else None,  # type: ignore[call-arg]
        "points": 32,
        "min_points": 8,
        "border": "drop",
        "max_rejected_fraction": 0.5,
    }
    return ContoursSettings(**values | changes)


def disc(radius: float, size: int, at: tuple[float, float]) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size]
    return (x - at[0]) ** 2 + (y - at[1]) ** 2 <= radius**2


def sheet_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    columns = {"image_id": None, "mask": None, "shard": "0000", "line": -1}
    table = {name: [row.get(name, default) for row in rows] for name, default in columns.items()}
    path = folder / "sheet.parquet"
    schema = pa.schema([(n, pa.int64() if n == "line" else pa.string()) for n in columns])
    pq.write_table(pa.table(table, schema=schema), path)
    return path


def mask_sheet(folder: Path, masks: dict[str, NDArray[Any]]) -> Path:
    for name, mask in masks.items():
        (folder / f"{name}.png").write_bytes(imagecodecs.png_encode(mask.astype(np.uint8)))
    return sheet_of(folder, [{"image_id": name, "mask": f"{name}.png"} for name in masks])


def outline_sheet(folder: Path, outlines: list[NDArray[Any]]) -> Path:
    blocks = ["\n".join(f"{x} {y}" for x, y in points.tolist()) for points in outlines]
    (folder / "cells.txt").write_text("\n\n".join(blocks) + "\n")
    digits = len(str(len(outlines)))
    return sheet_of(folder, [{"image_id": f"{i + 1:0{digits}d}", "line": i} for i in range(len(outlines))])


def run(
    folder: Path, settings: ContoursSettings, sheet: Path, tiles: Path | None = None, threads: int = 2, name: str = "s"
) -> tuple[NDArray[np.float32], dict[str, list[Any]], dict[str, Any]]:
    manifest = folder / name / "0000.json"
    source = outline_source(settings.source, tiles, settings.root, settings.masks, settings.outlines)
    policy = ContourPolicy.of(settings)
    extract_contours(source, shard_rows(sheet, "0000"), policy, manifest, threads, Provenance.of(settings))
    contours = zarr.open_group(manifest.with_suffix(".zarr"), mode="r")["contours"]
    table = pq.read_table(manifest.with_suffix(".parquet"))
    assert table.schema == TABLE
    return contours[:], table.to_pydict(), read_manifest(manifest)  # type: ignore[index,return-value]


def test_a_disc_gives_a_closed_centred_counter_clockwise_contour_of_its_radius(tmp_path: Path) -> None:
    sheet = mask_sheet(tmp_path, {"a": disc(20, 64, (30, 33))})
    contours, table, manifest = run(tmp_path, settings_of("masks", tmp_path), sheet)
    assert contours.shape == (1, 32, 2)
    assert contours.dtype == np.float32
    x, y = contours[0].astype(float).T
    assert np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0
    np.testing.assert_allclose(np.hypot(x, y), 20, atol=0.6)
    steps = np.linalg.norm(np.roll(contours[0], -1, axis=0) - contours[0], axis=1)
    assert steps.min() > 0.9 * steps.max()
    assert table["id"] == ["a#0001"]
    assert (table["centre_x"], table["centre_y"]) == ([pytest.approx(30)], [pytest.approx(33)])
    assert table["scale"] == [pytest.approx(20, abs=0.5)]
    assert manifest["arrays"] == {"contours": {"shape": [1, 32, 2], "dtype": "float32"}}


def test_the_conventions_are_in_the_attributes_of_the_store(tmp_path: Path) -> None:
    run(tmp_path, settings_of("masks", tmp_path), mask_sheet(tmp_path, {"a": disc(9, 32, (15, 15))}))
    said = zarr.open_group(tmp_path / "s" / "0000.zarr", mode="r").attrs["conventions"]
    assert "counter-clockwise" in said["orientation"]  # type: ignore[index,operator,call-overload]
    assert said["axes"] == ["contour", "point", "xy"]  # type: ignore[index,call-overload]


def test_objects_are_named_by_image_and_label_and_left_out_ones_counted_by_reason(tmp_path: Path) -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[disc(9, 64, (20, 20))] = 12
    labels[disc(9, 64, (45, 45))] = 3
    labels[0:9, 40:50] = 5
    labels[60:62, 10:12] = 7
    sheet = mask_sheet(tmp_path, {"well B": labels, "empty": np.zeros((9, 9))})
    _, table, manifest = run(tmp_path, settings_of("masks", tmp_path), sheet)
    assert table["id"] == ["well B#0003", "well B#0012"]
    assert table["object"] == [3, 12]
    assert manifest["rejected"] == {LeftOut.EMPTY_MASK: 1, LeftOut.TOO_SMALL: 1, LeftOut.AT_BORDER: 1}
    assert manifest["expected"] == {"images": 2, "contours": 5}
    assert manifest["found"] == {"images": 2, "contours": 2}


def test_border_objects_are_kept_and_flagged_on_request(tmp_path: Path) -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[0:12, 5:20], labels[20:32, 5:20] = 1, 2
    sheet = mask_sheet(tmp_path, {"a": labels})
    _, table, _ = run(tmp_path, settings_of("masks", tmp_path, border="keep"), sheet)
    assert table["border"] == [True, False]


def test_an_inverted_silhouette_with_a_hole_and_two_components_follows_the_policy(tmp_path: Path) -> None:
    mask = disc(20, 64, (30, 30)) & ~disc(5, 64, (30, 30)) | disc(4, 64, (56, 56))
    masks = Masks(objects="one", invert_when_border_is_foreground=True)  # type: ignore[call-arg]
    sheet = mask_sheet(tmp_path, {"a": 255 * ~mask, "b": 255 * mask})
    contours, table, _ = run(tmp_path, settings_of("masks", tmp_path, masks=masks), sheet)
    assert table["components"] == [2, 2]
    assert table["holes"] == [1, 1]
    assert table["centre_x"] == [pytest.approx(30), pytest.approx(30)]
    np.testing.assert_array_equal(contours[0], contours[1])
    assert table["digest"][0] == table["digest"][1] != ""


def test_an_empty_silhouette_is_quarantined_and_so_is_an_unreadable_mask(tmp_path: Path) -> None:
    masks = Masks(objects="one")  # type: ignore[call-arg]
    full = {name: disc(9, 32, (15, 15)) for name in "bcd"}
    sheet = mask_sheet(tmp_path, {"a": np.zeros((8, 8)), **full})
    (tmp_path / "c.png").write_bytes(b"no image")
    _, table, manifest = run(tmp_path, settings_of("masks", tmp_path, masks=masks), sheet)
    assert table["image_id"] == ["b", "d"]
    assert [row["image_id"] for row in manifest["quarantine"]] == ["a", "c"]
    assert manifest["quarantine"][0] == {"image_id": "a", "file": "a.png", "reason": LeftOut.EMPTY_MASK}
    assert manifest["found"]["images"] == 2


def test_too_many_unusable_masks_stop_the_step_and_leave_no_manifest(tmp_path: Path) -> None:
    sheet = mask_sheet(tmp_path, {"a": np.zeros((8, 8)), "b": disc(9, 32, (15, 15))})
    masks = Masks(objects="one")  # type: ignore[call-arg]
    with pytest.raises(PhenoloomError, match="1 of 2 images cannot be used"):
        run(tmp_path, settings_of("masks", tmp_path, masks=masks, max_rejected_fraction=0.1), sheet)
    assert not (tmp_path / "s" / "0000.json").exists()


def test_a_sheet_without_mask_files_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match=r"source\.masks\.files"):
        run(tmp_path, settings_of("masks", tmp_path), sheet_of(tmp_path, [{"image_id": "a"}]))


CIRCLE = np.round(50 * np.stack([np.cos(np.arange(40) / 40 * 2 * np.pi), np.sin(np.arange(40) / 40 * 2 * np.pi)], 1))


def test_degenerate_outlines_are_left_out_by_reason_and_rough_ones_kept(tmp_path: Path) -> None:
    bow = np.array([[0, 0], [10, 10], [20, 0], [20, 12], [10, 2], [0, 12], [-3, 9], [-4, 3]], float)
    line = np.array([[i, 2 * i] for i in [*range(8), *range(6, 0, -1)]], float)
    angle = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    huge = 300 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outlines = [CIRCLE, np.repeat(CIRCLE, 3, axis=0), CIRCLE[:3], np.ones((30, 2)), line, bow, huge, CIRCLE * 1e20]
    sheet = outline_sheet(tmp_path, outlines)
    contours, table, manifest = run(tmp_path, settings_of("outlines", tmp_path), sheet)
    assert table["id"] == ["1", "2", "6", "7"]
    assert table["vertices"][:3] == [40, 40, 8]
    assert manifest["rejected"] == {LeftOut.TOO_FEW_POINTS: 2, LeftOut.NO_AREA: 1}
    assert [row["image_id"] for row in manifest["quarantine"]] == ["8"]
    np.testing.assert_array_equal(contours[0], contours[1])
    np.testing.assert_allclose(np.hypot(*contours[3].T), 300, rtol=1e-3)
    assert np.isfinite(contours).all()


def test_outlines_with_coordinates_that_are_no_finite_numbers_are_quarantined_and_stop_no_other(tmp_path: Path) -> None:
    holed, endless = CIRCLE.copy(), CIRCLE.copy()
    holed[7, 1], endless[3, 0] = np.nan, np.inf
    sheet = outline_sheet(tmp_path, [CIRCLE, holed, endless, CIRCLE + 5])
    contours, table, manifest = run(tmp_path, settings_of("outlines", tmp_path), sheet)
    assert table["id"] == ["1", "4"]
    assert [row["image_id"] for row in manifest["quarantine"]] == ["2", "3"]
    assert manifest["expected"]["images"] - manifest["found"]["images"] == 2
    np.testing.assert_allclose(contours[0], contours[1], atol=1e-4)


def test_a_triangle_is_kept_where_three_points_are_enough(tmp_path: Path) -> None:
    sheet = outline_sheet(tmp_path, [np.array([[0, 0], [9, 0], [0, 9]])])
    contours, table, _ = run(tmp_path, settings_of("outlines", tmp_path, min_points=3), sheet)
    assert table["vertices"] == [3]
    np.testing.assert_allclose([table["centre_x"], table["centre_y"]], 3, atol=0.1)
    assert contours[0, :, 0].argmax() == 0


def test_a_clockwise_outline_that_starts_elsewhere_and_closes_itself_is_the_same_contour(tmp_path: Path) -> None:
    other = np.roll(CIRCLE, 7, axis=0)[::-1]
    sheet = outline_sheet(tmp_path, [CIRCLE, np.vstack([other, other[:1]])])
    contours, table, _ = run(tmp_path, settings_of("outlines", tmp_path), sheet)
    np.testing.assert_array_equal(contours[0], contours[1])
    assert table["digest"][0] != table["digest"][1]


def test_a_sheet_older_than_its_outlines_is_refused(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, [{"image_id": "x9", "line": 0}])
    outline_sheet(tmp_path, [CIRCLE])
    sheet = sheet_of(tmp_path, [{"image_id": "x9", "line": 0}])
    with pytest.raises(PhenoloomError, match="rerun the step `sheet`"):
        run(tmp_path, settings_of("outlines", tmp_path), sheet)


def tile_store(folder: Path, masks: list[NDArray[np.bool_]], grid: bool = False) -> Path:
    manifest = folder / "tiles" / "0000.json"
    size = masks[0].shape[0]
    manifest.parent.mkdir()
    with TileWriter(
        manifest.with_suffix(".zarr"),
        Layout((1, size, size), np.dtype(np.uint16), per_file=8, compression="lz4"),
        Layout((size, size), np.dtype(np.uint8), per_file=8, compression="lz4"),
    ) as writer:
        for mask in masks:
            writer.append(writer.encode(np.zeros((1, size, size), np.uint16), mask.astype(np.uint8)))
        content = writer.close({"channels": ["dna"]})
    n = len(masks)
    table = {
        "id": [f"img#{i:04d}" for i in range(1, n + 1)],
        "image_id": ["img"] * n,
        "object": pa.array([-1] * n if grid else range(1, n + 1), pa.int32()),
        "y": pa.array([100 * i for i in range(n)], pa.int32()),
        "x": pa.array([-5] * n, pa.int32()),
        "border": [i == 3 for i in range(n)],
        "height_px": pa.array([size] * n, pa.int32()),
        "width_px": pa.array([size] * n, pa.int32()),
        "position": pa.array(range(n), pa.int64()),
        "runs": pa.nulls(n, pa.list_(pa.int32())),
        "digest": [f"d{i}" for i in range(n)],
    }
    pq.write_table(pa.table(table), manifest.with_suffix(".parquet"))
    write_manifest(
        manifest,
        Manifest(
            "convert",
            Provenance.of(settings_of("tiles")),
            expected={},
            found={},
            content=content,
            facts={"dtype": "uint16", "polarity": None},
        ),
    )
    return manifest


def test_contours_of_tiles_have_the_tiles_ids_and_lie_in_the_image(tmp_path: Path) -> None:
    masks = [disc(9, 32, (15, 16)), np.zeros((32, 32), bool), disc(11, 32, (14, 14)), disc(9, 32, (14, 14))]
    tiles = tile_store(tmp_path, masks)
    sheet = sheet_of(tmp_path, [{"image_id": "img"}])
    _, table, manifest = run(tmp_path, settings_of("tiles"), sheet, tiles)
    assert table["id"] == ["img#0001", "img#0003"]
    assert table["digest"] == ["d0", "d2"]
    np.testing.assert_allclose(table["centre_x"], [10, 9], atol=1e-5)
    np.testing.assert_allclose(table["centre_y"], [16, 214], atol=1e-5)
    assert manifest["rejected"] == {LeftOut.EMPTY_MASK: 1, LeftOut.AT_BORDER: 1}
    assert manifest["rejected_by_image"] == {LeftOut.EMPTY_MASK: {"img": 1}, LeftOut.AT_BORDER: {"img": 1}}
    assert manifest["expected"]["contours"] == 4


def test_an_object_that_touches_the_edge_of_its_tile_but_not_of_the_image_has_a_contour(tmp_path: Path) -> None:
    tiles = tile_store(tmp_path, [disc(16, 32, (15, 15))])
    _, table, _ = run(tmp_path, settings_of("tiles"), sheet_of(tmp_path, [{"image_id": "img"}]), tiles)
    assert table["border"] == [False]


def test_tiles_on_a_grid_have_no_outline(tmp_path: Path) -> None:
    tiles = tile_store(tmp_path, [disc(9, 32, (15, 16))], grid=True)
    with pytest.raises(PhenoloomError, match=r"tiles\.mode: objects"):
        run(tmp_path, settings_of("tiles"), sheet_of(tmp_path, [{"image_id": "img"}]), tiles)


def test_the_result_is_the_same_bytes_with_any_number_of_threads_and_after_a_killed_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = {f"m{i}": disc(rng.uniform(6, 14), 40, (20, 20)) for i in range(12)}
    sheet = mask_sheet(tmp_path, masks)
    settings = settings_of("masks", tmp_path)
    run(tmp_path, settings, sheet, threads=1, name="one")
    (tmp_path / "two" / "0000.zarr" / "contours").mkdir(parents=True)
    (tmp_path / "two" / "0000.zarr" / "contours" / "stray").write_text("left by a killed run")
    run(tmp_path, settings, sheet, threads=4, name="two")
    files = [sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in ("one", "two")]
    assert [f.relative_to(tmp_path / "one") for f in files[0]] == [f.relative_to(tmp_path / "two") for f in files[1]]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]


def test_a_shard_without_objects_is_empty_but_finished(tmp_path: Path) -> None:
    sheet = mask_sheet(tmp_path, {"a": np.zeros((9, 9))})
    contours, table, manifest = run(tmp_path, settings_of("masks", tmp_path), sheet)
    assert contours.shape == (0, 32, 2)
    assert table["id"] == []
    assert manifest["rejected"] == {LeftOut.EMPTY_MASK: 1}


def test_only_the_rows_of_the_shard_are_read(tmp_path: Path) -> None:
    mask_sheet(tmp_path, {"a": disc(9, 32, (15, 15))})
    rows = [{"image_id": "a", "mask": "a.png"}, {"image_id": "b", "mask": "absent.png", "shard": "0001"}]
    _, table, manifest = run(tmp_path, settings_of("masks", tmp_path), sheet_of(tmp_path, rows))
    assert table["image_id"] == ["a"]
    assert manifest["quarantine"] == []


@pytest.mark.real_data
def test_every_osteosarcoma_outline_becomes_a_finite_contour(tmp_path: Path, data_root: Path) -> None:
    root = data_root / "geomstats_osteosarcoma"
    if not root.is_dir():
        pytest.skip(f"no osteosarcoma outlines at {root}")
    rows = [{"image_id": f"{i:03d}", "line": i - 1} for i in range(1, 651)]
    contours, table, manifest = run(tmp_path, settings_of("outlines", root), sheet_of(tmp_path, rows))
    assert contours.shape == (650, 32, 2)
    assert manifest["rejected"] == {}
    assert np.isfinite(contours).all()
    assert min(table["scale"]) > 0


@pytest.mark.real_data
def test_mpeg7_silhouettes_follow_the_policy_and_duplicates_share_a_digest(tmp_path: Path, data_root: Path) -> None:
    root = data_root / "mpeg7_ce1_partB" / "png"
    if not root.is_dir():
        pytest.skip(f"no MPEG-7 silhouettes at {root}")
    names = ["device3-11", "device3-20", "spring-1", "spring-5", *(f"Glas-{i}" for i in range(1, 21))]
    sheet = sheet_of(tmp_path, [{"image_id": name, "mask": f"{name}.png"} for name in names])
    masks = Masks(objects="one", invert_when_border_is_foreground=True)  # type: ignore[call-arg]
    contours, table, manifest = run(tmp_path, settings_of("masks", root, masks=masks, border="keep"), sheet)
    assert table["image_id"] == names
    assert table["digest"][0] == table["digest"][1]
    assert table["digest"][2] == table["digest"][3]
    assert len(set(table["digest"])) == len(names) - 2
    np.testing.assert_array_equal(contours[0], contours[1])
    assert json.dumps(manifest["rejected"]) == "{}"
