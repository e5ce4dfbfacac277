from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.core.errors import PhenoloomError
from phenoloom.study.shards import assign_shards, raw_bytes, shard_rows


def test_whole_plates_stay_together_and_are_balanced_by_bytes() -> None:
    plates = ["a", "a", "b", "c", "d"]
    shards = assign_shards(plates, ["1", "2", "1", "1", "1"], [5, 5, 9, 4, 3], 2)
    assert shards == ["0000", "0000", "0001", "0001", "0000"]


def test_wells_are_the_blocks_where_plates_are_too_few() -> None:
    shards = assign_shards(["p"] * 4, ["A1", "A1", "A2", "A2"], [1, 1, 1, 1], 2)
    assert shards == ["0000", "0000", "0001", "0001"]


def test_images_are_the_blocks_where_wells_are_too_few_or_unknown() -> None:
    assert sorted(assign_shards(["p"] * 3, ["A1"] * 3, [1, 1, 1], 3)) == ["0000", "0001", "0002"]
    assert sorted(assign_shards([None] * 2, [None] * 2, [0, 0], 2)) == ["0000", "0001"]


def test_more_shards_than_images_are_refused() -> None:
    with pytest.raises(PhenoloomError, match="`shards` is 3, but there are only 2 images"):
        assign_shards([None] * 2, [None] * 2, [1, 1], 3)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 100)), min_size=1, max_size=40),
    st.integers(1, 6),
)
def test_every_shard_has_images_and_loads_keep_the_bound_of_the_rule(images: list[tuple[str, int]], count: int) -> None:
    plates = [plate for plate, _ in images]
    sizes = [size for _, size in images]
    if count > len(set(plates)):
        return
    shards = assign_shards(plates, [None] * len(plates), sizes, count)
    assert set(shards) == {f"{i:04d}" for i in range(count)}
    assert shards[0] == "0000"
    assert len(set(zip(plates, shards, strict=True))) == len(set(plates))
    loads = [sum(size for shard, size in zip(shards, sizes, strict=True) if shard == f"{i:04d}") for i in range(count)]
    largest = max(sum(s for p, s in images if p == plate) for plate in set(plates))
    assert max(loads) <= sum(sizes) / count + largest


def test_the_rows_of_a_shard_keep_the_order_of_the_sheet(tmp_path: Path) -> None:
    names = [f"{number * 7919 % 5000:04d}" for number in range(5000)]
    shards = [f"{number % 3:04d}" for number in range(5000)]
    table = pa.table({"image_id": names, "shard": shards, "bytes": range(5000)})
    pq.write_table(table, tmp_path / "sheet.parquet", row_group_size=64)
    found = shard_rows(tmp_path / "sheet.parquet", "0001", ["image_id"])
    assert found.column_names == ["image_id"]
    assert found["image_id"].to_pylist() == names[1::3]
    assert raw_bytes(tmp_path / "sheet.parquet", "0001") == sum(range(1, 5000, 3))
    assert raw_bytes(tmp_path / "sheet.parquet", "0009") == 0
