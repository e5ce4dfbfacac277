from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pyarrow as pa
import pytest

from phenoloom.config.source import Masks, Outlines
from phenoloom.core.errors import PhenoloomError
from phenoloom.images.objects import LeftOut
from phenoloom.shapes.sources import MaskFiles, PointFile, TileMasks, outline_source


def sheet(rows: list[tuple[str, str | None, int]]) -> pa.Table:
    names, masks, lines = ([*column] for column in zip(*rows, strict=True))
    return pa.table({"image_id": names, "mask": pa.array(masks, pa.string()), "line": pa.array(lines, pa.int64())})


def test_each_kind_of_source_is_opened_with_what_it_needs(tmp_path: Path) -> None:
    masks, points, root = Masks(), Outlines(path="cells.txt"), str(tmp_path)  # type: ignore[call-arg]
    tiles = tmp_path / "0000.json"
    found = [outline_source(kind, tiles, root, masks, points) for kind in ("tiles", "masks", "outlines")]  # type: ignore[arg-type]
    assert [type(source) for source in found] == [TileMasks, MaskFiles, PointFile]
    assert [source.kind for source in found] == ["tiles", "masks", "outlines"]
    with pytest.raises(PhenoloomError, match="the manifest of the tiles must be given"):
        outline_source("tiles", None, root, masks, points)
    with pytest.raises(PhenoloomError, match="come from the study's masks, so `root` and `masks` must be given"):
        outline_source("masks", tiles, root, None, points)


def test_mask_files_give_a_batch_an_image_in_the_order_of_the_sheet(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:12, 2:12], labels[15:17, 15:17] = 3, 9
    for name, image in {"a": labels, "b": np.zeros((5, 5), np.uint8), "d": labels}.items():
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(image))
    source = outline_source("masks", None, str(tmp_path), Masks(min_area_px=20), None)  # type: ignore[call-arg]
    total, batches = source.batches(sheet([(n, f"{n}.png", -1) for n in "abcd"]), threads=2)
    first, empty, absent, last = batches
    assert total == 4
    assert first.columns["id"] == ["a#0003"]
    assert (first.rejected, empty.rejected) == ({(LeftOut.TOO_SMALL, "a"): 1}, {(LeftOut.EMPTY_MASK, "b"): 1})
    assert [row["image_id"] for row in absent.quarantine] == ["c"]
    assert (len(absent.polygons), last.columns["id"]) == (0, ["d#0003"])
    assert first.columns["digest"] == last.columns["digest"]
    assert source.facts() == {}


def test_a_row_without_a_mask_file_among_others_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ones((9, 9), np.uint8)))
    source = outline_source("masks", None, str(tmp_path), Masks(), None)  # type: ignore[call-arg]
    _, batches = source.batches(sheet([("a", "a.png", -1), ("b", None, -1)]), threads=1)
    assert [batch.quarantine for batch in batches] == [
        [],
        [{"image_id": "b", "file": "", "reason": "there is no mask file for it"}],
    ]


def test_points_are_taken_by_their_line_and_those_out_of_range_quarantined(tmp_path: Path) -> None:
    (tmp_path / "cells.txt").write_text("0 0\n4 0\n0 3\n\n1 1\nnan 2\n\n5 5\n6 5\n6 7\n")
    source = outline_source("outlines", None, str(tmp_path), None, Outlines(path="cells.txt"))  # type: ignore[call-arg]
    total, batches = source.batches(sheet([("3", None, 2), ("2", None, 1)]), threads=1)
    (batch,) = batches
    assert total == 1
    assert (batch.columns["id"], [row["image_id"] for row in batch.quarantine]) == (["3"], ["2"])
    assert batch.polygons[0].tolist() == [[5, 5], [6, 5], [6, 7]]
