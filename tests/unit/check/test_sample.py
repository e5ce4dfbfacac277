"""The few images that stand for all."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.check.sample import kinds, spread_over


def sheet(*rows: tuple[list[str], int]) -> pa.Table:
    files, sizes = zip(*rows, strict=True)
    return pa.table({"files": list(files), "mask": pa.nulls(len(rows), pa.string()), "bytes": list(sizes)})


def test_images_are_alike_by_endings_number_of_files_and_size() -> None:
    table = sheet(
        (["a.tif"], 1000), (["b.TIF"], 1010), (["c.tif"], 64000), (["d.png"], 1000), (["e.tif", "f.tif"], 1000)
    )
    kind = kinds(table).tolist()
    assert kind[0] == kind[1] == 0
    assert len(set(kind)) == 4


def test_every_ending_comes_before_other_sizes_of_one_ending() -> None:
    sizes = [([f"{i}.tif"], 4**i) for i in range(1, 12) for _ in range(3)]
    kind = kinds(sheet(*sizes, (["odd.czi"], 10)))
    assert len(sizes) in spread_over(kind, 2)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 20))
def test_a_sample_is_bounded_distinct_and_has_every_kind(kind: list[int], most: int) -> None:
    found = spread_over(np.array(kind), most)
    assert len(found) == len(set(found)) == min(most, len(kind))
    assert len({kind[row] for row in found}) == min(most, len(set(kind)))


def test_a_sample_of_one_kind_is_spread_over_it() -> None:
    assert sorted(spread_over(np.zeros(80, int), 8)) == [0, 10, 20, 30, 40, 50, 60, 70]
