from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from tests.helpers.contours import MADE_BY, write_contours

from phenoloom.core.errors import PhenoloomError
from phenoloom.shapes import describe as step
from phenoloom.shapes.describe import describe, describe_shard
from phenoloom.shapes.descriptors import DESCRIPTORS

ALL = list(DESCRIPTORS)


def contours(n: int) -> NDArray[np.float32]:
    angle = 2 * np.pi * np.arange(32) / 32
    radius = np.random.default_rng(0).uniform(9, 11, (n, 32))
    return (radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32)


def test_the_table_has_one_float32_row_a_contour_with_columns_named_by_descriptor(tmp_path: Path) -> None:
    items = contours(7)
    output = tmp_path / "descriptors" / "0000.parquet"
    describe_shard(ALL, write_contours(tmp_path, items), output, MADE_BY)
    table = pq.read_table(output)
    expected = ["id", *(f"{name}_{column}" for name in ALL for column in DESCRIPTORS[name].names)]
    assert table.column_names == expected
    assert set(table.schema.types[1:]) == {pa.float32()}
    assert table["id"].to_pylist() == [f"cell {i}" for i in range(7)]
    columns = np.stack([column.to_numpy() for column in table.columns[1:]], axis=1)
    np.testing.assert_array_equal(columns, describe(items, ALL))


def test_rows_are_the_same_in_blocks_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_contours(tmp_path, contours(20))
    tables = []
    for rows in (3, 1024):
        monkeypatch.setattr(step, "ROWS_A_BLOCK", rows)
        describe_shard(ALL, source, tmp_path / f"{rows}.parquet", MADE_BY)
        tables.append(pq.read_table(tmp_path / f"{rows}.parquet"))
    assert tables[0].equals(tables[1])


def test_only_the_descriptors_asked_for_are_computed(tmp_path: Path) -> None:
    describe_shard(["regionprops"], write_contours(tmp_path, contours(2)), tmp_path / "d.parquet", MADE_BY)
    names = pq.read_schema(tmp_path / "d.parquet").names
    assert names[:2] == ["id", "regionprops_area"]
    assert all(name.startswith("regionprops_") for name in names[1:])


def test_an_empty_shard_gives_an_empty_table_with_all_columns(tmp_path: Path) -> None:
    describe_shard(["fourier"], write_contours(tmp_path, contours(0)), tmp_path / "d.parquet", MADE_BY)
    table = pq.read_table(tmp_path / "d.parquet")
    assert (table.num_rows, table.num_columns) == (0, 1 + len(DESCRIPTORS["fourier"].names))


def test_a_contour_with_nan_is_named_and_no_table_is_left(tmp_path: Path) -> None:
    items = contours(4)
    items[2, 5] = np.nan
    output = tmp_path / "d.parquet"
    with pytest.raises(PhenoloomError, match=r"regionprops_\w+ of object 'cell 2' .* is nan"):
        describe_shard(["regionprops"], write_contours(tmp_path, items), output, MADE_BY)
    assert not output.exists()


def test_contours_without_a_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match="not finished"):
        describe_shard(["efd"], tmp_path / "shapes" / "0000.json", tmp_path / "d.parquet", MADE_BY)
