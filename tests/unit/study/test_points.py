from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.images.objects import LeftOut
from phenoloom.study.objects import objects_schema
from phenoloom.study.points import LocatedPoints, LostPoints, Points, PointTable


def points_at(places: list[tuple[float, float]]) -> Points:
    """Points (x, y) in rows 0, 1, 2 ..."""
    x, y = np.array(places, np.float64).reshape(-1, 2).T
    return Points(np.arange(len(x)), np.full(len(x), -1), x, y)


def test_a_point_lies_in_the_pixel_whose_centre_is_nearest() -> None:
    labels = np.zeros((4, 6), np.int32)
    labels[1, 2] = 7
    inside = [(2, 1), (1.5, 0.5), (2.49, 1.49)]
    outside = [(2.5, 1), (2, 1.5), (-0.5, -0.5)]
    located = LocatedPoints(points_at([*inside, *outside, (-0.51, 0), (5.5, 0), (0, 3.5)]), labels)
    assert located.rows_of([7]) == [[0, 1, 2]]
    assert located.lost == {LeftOut.ON_BACKGROUND: [3, 4, 5], LeftOut.OUTSIDE: [6, 7, 8]}


def test_an_object_that_is_left_out_loses_its_points() -> None:
    labels = np.array([[1, 2], [0, 3]], np.int32)
    located = LocatedPoints(points_at([(1, 0), (0, 0), (1, 1), (1, 0)]), labels)
    assert located.rows_of([3, 1]) == [[2], [1]]
    assert located.lost == {LeftOut.IN_NO_KEPT_OBJECT: [0, 3]}


SIDES = st.integers(1, 12)
COORDINATES = st.floats(-3, 15, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), height=SIDES, width=SIDES, places=st.lists(st.tuples(COORDINATES, COORDINATES), max_size=20))
def test_every_point_is_in_one_object_or_counted_once(
    data: st.DataObject, height: int, width: int, places: list[tuple[float, float]]
) -> None:
    values = data.draw(st.lists(st.integers(0, 5), min_size=height * width, max_size=height * width))
    kept = data.draw(st.lists(st.integers(1, 5), unique=True))
    labels = np.array(values, np.int32).reshape(height, width)
    located = LocatedPoints(points_at(places), labels)
    rows = located.rows_of(kept)
    for row, (x, y) in enumerate(places):
        # The pixel centres are whole numbers, and a pixel begins half a px before its centre.
        column, line = (sum(edge - 0.5 <= value for edge in range(20)) - 1 for value in (x, y))
        if not (0 <= column < width and 0 <= line < height):
            expected: int | str = LeftOut.OUTSIDE
        elif labels[line, column] == 0:
            expected = LeftOut.ON_BACKGROUND
        else:
            found = int(labels[line, column])
            expected = found if found in kept else LeftOut.IN_NO_KEPT_OBJECT
        owners = [kept[i] for i, lines in enumerate(rows) if row in lines]
        assert owners + [reason for reason, lost in located.lost.items() if row in lost] == [expected]


def test_the_points_of_a_shard_are_those_of_its_images_in_the_order_of_the_table(tmp_path: Path) -> None:
    rows = [("b", "0001", 4, 1.0), ("a", "0000", 0, 2.0), ("a", "0000", 3, 3.0), ("c", "0000", 1, 4.0)]
    names = ("image_id", "shard", "line", "x")
    made = [dict(zip(names, row, strict=True)) | {"y": 0.0} for row in sorted(rows, key=lambda row: row[1])]
    path = tmp_path / "objects.parquet"
    pq.write_table(pa.Table.from_pylist(made, objects_schema(multi_label=False)), path)
    shard = PointTable(path, "0000")
    assert [shard.of(name).row.tolist() for name in "abcd"] == [[0, 3], [], [1], []]
    assert shard.of("a").x.tolist() == [2, 3]
    assert PointTable(path).of("b").row.tolist() == [4]
    assert len(PointTable(path, "0007").of("a")) == 0


def test_lost_points_are_counted_with_their_first_rows() -> None:
    lost = LostPoints()
    lost.add({"why": list(range(8))})
    lost.add({"why": [20, 21, 22], "other": [9]})
    assert lost.facts() == {
        "other": {"count": 1, "rows": [9]},
        "why": {"count": 11, "rows": [*range(8), 20, 21]},
    }
