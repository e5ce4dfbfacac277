from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.helpers.manifests import put_manifest
from tests.helpers.steps import run_convert, run_index

from phenoloom.artifacts.manifest import read_manifest
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.rule_settings import ContoursSettings, ConvertSettings, IndexSettings
from phenoloom.config.source import Masks
from phenoloom.config.study import Tiles
from phenoloom.images.objects import LeftOut
from phenoloom.shapes.contours import ContourPolicy, extract_contours
from phenoloom.shapes.sources import outline_source
from phenoloom.study.losses import Losses
from phenoloom.study.shards import shard_rows
from phenoloom.study.sheet import sheet_schema

SIDE = 40
CLASSES = ["A", "B", "A", None]
"""Labels of the images of a study."""


class Study:
    """Label images on disk, brought in with windows of one size."""

    def __init__(self, folder: Path, images: list[NDArray[np.uint16]], tiles: Tiles, masks: Masks) -> None:
        self.folder, self.tiles, self.masks = folder, tiles, masks
        rows = []
        for number, labels in enumerate(images):
            tifffile.imwrite(folder / f"{number}.tif", np.arange(labels.size, dtype=np.uint16).reshape(labels.shape))
            tifffile.imwrite(folder / f"{number}.mask.tif", labels)
            files = {"files": [f"{number}.tif"], "mask": f"{number}.mask.tif"}
            rows.append(
                {"image_id": f"{number}", "label": CLASSES[number], "shard": f"000{number % 2}", "bytes": 1, **files}
            )
        self.sheet = folder / "sheet.parquet"
        pq.write_table(pa.Table.from_pylist(rows, sheet_schema(False)), self.sheet)
        made_by = IndexSettings(algorithm=1, study="t")
        found = {"images": len(rows)}
        put_manifest(self.sheet.with_suffix(".json"), "sheet", made_by, expected=found, found=found, content="")
        self.shards = sorted({row["shard"] for row in rows})
        for shard in self.shards:
            settings = ConvertSettings(
                algorithm=1, study="t", root=str(folder), channels=["DNA"], pixel_size_um=None, masks=masks,
                tiles=tiles, max_rejected_fraction=1,
            )  # fmt: skip
            run_convert(settings, self.sheet, self.tiles_of(shard))

    def tiles_of(self, shard: str) -> Path:
        return self.folder / "tiles" / f"{shard}.json"

    def index(self, shapes: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        path = self.folder / "index.parquet"
        made_by = IndexSettings(algorithm=1, study="t", shapes=shapes)
        run_index(made_by, self.sheet, [self.tiles_of(shard) for shard in self.shards], path)
        return pq.read_table(path).to_pylist(), read_manifest(path.with_suffix(".json"))

    def contours(self, source: str) -> dict[str, list[list[float]]]:
        made_by = ContoursSettings(
            algorithm=1, study="t", source="tiles", root=None, masks=None, outlines=None, points=16, min_points=3,
            border="keep", max_rejected_fraction=1,
        )  # fmt: skip
        found = {}
        for shard in self.shards:
            opened = outline_source(source, self.tiles_of(shard), str(self.folder), self.masks, None)  # type: ignore[arg-type]
            manifest = self.folder / f"outlines of {source}" / f"{shard}.json"
            rows, policy = shard_rows(self.sheet, shard), ContourPolicy(16, 3, "keep", 1)
            extract_contours(opened, rows, policy, manifest, 1, Provenance.of(made_by))
            contours = zarr.open_array(manifest.with_suffix(".zarr") / "contours", mode="r")[:]
            ids = pq.read_table(manifest.with_suffix(".parquet"))["id"].to_pylist()
            found |= dict(zip(ids, np.asarray(contours).tolist(), strict=True))
        return found


def objects_of(labels: NDArray[np.uint16]) -> dict[int, tuple[int, int, bool]]:
    """Area, longer side of the bounding box and contact with the border, by label."""
    found = {}
    for label in np.unique(labels[labels > 0]).tolist():
        y, x = np.nonzero(labels == label)
        edge = min(y.min(), x.min()) == 0 or max(y.max(), x.max()) == SIDE - 1
        found[label] = (len(y), int(max(np.ptp(y), np.ptp(x))) + 1, bool(edge))
    return found


@st.composite
def label_images(draw: st.DrawFn) -> list[NDArray[np.uint16]]:
    """Images of ellipses, boxes with holes and single pixels, of all sizes and at all places."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = []
    for _ in range(draw(st.integers(1, len(CLASSES)))):
        labels = np.zeros((SIDE, SIDE), np.uint16)
        y, x = np.mgrid[:SIDE, :SIDE]
        for label in range(1, draw(st.integers(0, 6)) + 1):
            cy, cx, ry, rx = *random.uniform(-2, SIDE + 2, 2), *random.uniform(0.5, 14, 2)
            far = np.hypot((y - cy) / ry, (x - cx) / rx)
            labels[(far <= 1) & (far >= random.choice([0, 0.5]))] = label
        images.append(labels)
    return images


@settings(max_examples=20, deadline=None)
@given(
    images=label_images(),
    size=st.integers(8, SIDE),
    min_area=st.integers(1, 40),
    border=st.sampled_from(["keep", "drop"]),
    shapes=st.booleans(),
)
def test_what_is_kept_and_what_is_lost_of_each_class_is_what_was_found_whatever_the_window(
    images: list[NDArray[np.uint16]], size: int, min_area: int, border: Any, shapes: bool
) -> None:
    truth: Counter[tuple[str | None, str]] = Counter()
    outlined, tiled = set(), set()
    for number, labels in enumerate(images):
        for label, (area, side, edge) in objects_of(labels).items():
            reason = LeftOut.TOO_SMALL if area < min_area else "kept" if side <= size else LeftOut.TOO_LARGE
            reason = LeftOut.AT_IMAGE_BORDER if area >= min_area and edge and border == "drop" else reason
            truth[CLASSES[number], reason] += 1
            name = f"{number}#{label:04d}"
            outlined |= {name} if reason in ("kept", LeftOut.TOO_LARGE) else set()
            tiled |= {name} if reason == "kept" else set()
    with tempfile.TemporaryDirectory() as folder:
        tiles, masks = Tiles(mode="objects", size=size, border=border), Masks(files="x", min_area_px=min_area)
        study = Study(Path(folder), images, tiles, masks)
        contours = study.contours("tiles")
        assert set(contours) == outlined
        whole = study.contours("masks")
        assert contours == {name: whole[name] for name in contours}
        wanted = outlined if shapes else tiled
        if not wanted:
            return
        rows, manifest = study.index(shapes)
    assert {row["id"] for row in rows} == wanted
    assert {row["id"] for row in rows if row["position"] >= 0} == tiled
    losses = {one["reason"]: one for one in manifest["losses"]["reasons"]}
    for reason in (LeftOut.TOO_SMALL, LeftOut.TOO_LARGE, LeftOut.AT_IMAGE_BORDER):
        lost = sum(count for (_, why), count in truth.items() if why == reason)
        assert losses.get(reason, {"lost": 0})["lost"] == lost
        for name in {"A", "B"} if lost else ():
            found = sum(truth[name, why] for why in ("kept", LeftOut.TOO_LARGE, LeftOut.AT_IMAGE_BORDER))
            of = found + (truth[name, LeftOut.TOO_SMALL] if reason == LeftOut.TOO_SMALL else 0)
            assert losses[reason]["classes"].get(name, [0, 0]) == [truth[name, reason], of]
    for name in ("A", "B"):
        large = truth[name, LeftOut.TOO_LARGE] if shapes else 0
        assert manifest["classes"].get(name, 0) == truth[name, "kept"] + large


def sheet(labels: list[Any]) -> pa.Table:
    multi = any(isinstance(label, list) for label in labels)
    kind = pa.list_(pa.string()) if multi else pa.string()
    return pa.table({"image_id": [f"i{n}" for n in range(len(labels))], "label": pa.array(labels, kind)})


def stated(losses: Losses, unlisted: int = 0) -> dict[str, tuple[int, int, dict[str, list[int]]]]:
    return {r["reason"]: (r["lost"], r["of"], r["classes"]) for r in losses.facts(unlisted)["reasons"]}


def test_tiles_of_a_grid_without_foreground_are_counted_by_the_class_of_their_image() -> None:
    losses = Losses(sheet(["A", "B", None]))
    rows = pa.table({"label": ["A", "A", "B", None]})
    rejected = {LeftOut.BACKGROUND: {"i0": 2, "i2": 3}}
    losses.add(rows, {"rejected_by_image": rejected, "quarantine": []})
    assert stated(losses) == {LeftOut.BACKGROUND: (5, 9, {"A": [2, 4], "B": [0, 1]})}
    assert losses.facts(0)["fitting_px"] is None


def test_images_without_objects_and_in_quarantine_are_shares_of_the_images_of_their_class() -> None:
    losses = Losses(sheet(["A", "A", "B", "B"]))
    empty = {"rejected_by_image": {LeftOut.NO_OBJECTS: {"i1": 1}}, "quarantine": [{"image_id": "i3"}]}
    losses.add(pa.table({"label": pa.array(["A"] * 7 + ["B"])}), empty)
    # An image that the sheet quarantined has no class that is known here.
    assert stated(losses, unlisted=1) == {
        LeftOut.NO_OBJECTS: (1, 5, {"A": [1, 2], "B": [0, 2]}),
        LeftOut.UNUSABLE: (2, 5, {"A": [0, 2], "B": [1, 2]}),
    }


def test_an_object_of_an_image_with_two_labels_counts_in_both_classes_and_once_in_all() -> None:
    losses = Losses(sheet([["A", "B"], ["B"]]))
    rows = pa.table({"label": pa.array([["A", "B"], ["B"]])})
    losses.add(rows, {"rejected_by_image": {LeftOut.TOO_SMALL: {"i0": 4}}, "quarantine": []})
    assert stated(losses) == {LeftOut.TOO_SMALL: (4, 6, {"A": [4, 5], "B": [4, 6]})}


def test_an_object_without_a_tile_counts_in_its_own_class_not_in_that_of_its_image() -> None:
    losses = Losses(sheet(["A"]))
    rows = pa.table(
        {
            "label": ["A", "B", "B"],
            "left_out": [None, str(LeftOut.TOO_LARGE), None],
            "height_px": [10, 70, 12],
            "width_px": [20, 30, 12],
        }
    )
    losses.add(rows, {"quarantine": []})
    assert stated(losses) == {LeftOut.TOO_LARGE: (1, 3, {"A": [0, 1], "B": [1, 2]})}
    assert losses.facts(0)["fitting_px"] == 72
