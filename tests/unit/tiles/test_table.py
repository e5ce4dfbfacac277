from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from phenoloom.tiles import table
from phenoloom.tiles.crop import Window
from phenoloom.tiles.measure import Measurer
from phenoloom.tiles.table import SCHEMA, TileTable
from phenoloom.tiles.tiler import TiledImage


def test_rows_come_in_the_order_in_which_they_were_added_whatever_is_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "ROWS_HELD", 3)
    windows = [Window(0, 0), Window(0, 4)]
    with TileTable(tmp_path / "t.parquet") as written:
        for image in range(4):
            measurer = Measurer()
            for value in (image, 10 + image):
                measurer.add(np.full((1, 4, 4), value, np.uint8))
            done = {"foreground": [0.25, 0.5], "measured": measurer.finish(1), "digest": "d"}
            written.append(f"i{image}", TiledImage(windows=windows, **done))
    found = pq.read_table(tmp_path / "t.parquet")
    assert found.schema == SCHEMA
    assert found["id"].to_pylist() == [f"i{image}#y00000x0000{x}" for image in range(4) for x in (0, 4)]
    assert found["channel_mean"].to_pylist() == [[v] for image in range(4) for v in (image, 10 + image)]
    assert found["position"].to_pylist() == [*range(8)]
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 2


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    with TileTable(tmp_path / "t.parquet"):
        pass
    assert pq.read_table(tmp_path / "t.parquet").schema == SCHEMA
