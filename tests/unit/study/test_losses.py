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
            rows.append({"image_id": f"{number}", "label": CLASSES[number], "shard": f"000{number % 2}", **files})
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


@settings(max_examples=25, deadline=None)
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
    for name in ("A", "B"):
        specks = truth[name, LeftOut.TOO_SMALL]
        found = sum(truth[name, reason] for reason in ("kept", LeftOut.TOO_LARGE, LeftOut.AT_IMAGE_BORDER))
        for reason in (LeftOut.TOO_SMALL, LeftOut.TOO_LARGE, LeftOut.AT_IMAGE_BORDER):
            of = found + specks if reason == LeftOut.TOO_SMALL else found
            stated = losses.get(reason, {"classes": {}})["classes"].get(name)
            assert stated == ([truth[name, reason], of] if reason in losses and of else stated)
            assert reason in losses or not truth[name, reason]
        kept = manifest["classes"].get(name, 0) + (0 if shapes else truth[name, LeftOut.TOO_LARGE])
        assert kept == truth[name, "kept"] + truth[name, LeftOut.TOO_LARGE]
    for reason, one in losses.items():
        assert one["lost"] == (sum(n for (_, r), n in truth.items() if r == reason) or one["lost"])
