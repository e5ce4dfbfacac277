from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoloom.config.source import Outlines
from phenoloom.core.errors import PhenoloomError
from phenoloom.study.outline_files import read_outlines

BLOCKS = Outlines(path="cells.txt")
TABLE = Outlines(path="cells.csv", format="table", object="cell", x="X", y="Y")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_blank_lines_separate_outlines_and_ids_are_padded_positions(tmp_path: Path) -> None:
    text = "\n1 2\n3 4.5\n\n\n-5 6\n" + "\n7 8\n" * 8
    ids, points = read_outlines(write(tmp_path / "cells.txt", text), BLOCKS)
    assert ids == [f"{i:02d}" for i in range(1, 11)]
    np.testing.assert_array_equal(points[0], [[1, 2], [3, 4.5]])
    np.testing.assert_array_equal(points[1], [[-5, 6]])
    assert [len(p) for p in points] == [2] + [1] * 9
    assert all(p.dtype == np.float64 for p in points)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 2\n3\n", "line 2: expected `x y`"),
        ("1 2 3\n", "line 1"),
        ("1 2\n\n3 x\n", "line 3: expected a coordinate in px, found 'x'"),
        ("\n\n", "no outline"),
    ],
)
def test_a_line_that_is_no_point_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(PhenoloomError, match=complaint):
        read_outlines(write(tmp_path / "cells.txt", text), BLOCKS)


def test_coordinates_that_are_not_finite_are_read_for_their_outline_to_be_quarantined(tmp_path: Path) -> None:
    _, points = read_outlines(write(tmp_path / "cells.txt", "1 nan\n2 -inf\n\n3 4\n"), BLOCKS)
    np.testing.assert_array_equal(points[0], [[1, np.nan], [2, -np.inf]])
    np.testing.assert_array_equal(points[1], [[3, 4]])


def test_a_table_gives_outlines_by_object_with_ids_as_text(tmp_path: Path) -> None:
    text = "cell,X,Y\n007,1,2\nNA,5,6\n007,3,4\n"
    ids, points = read_outlines(write(tmp_path / "cells.csv", text), TABLE)
    assert ids == ["007", "NA"]
    np.testing.assert_array_equal(points[0], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(points[1], [[5, 6]])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cell,x,Y\n1,1,2\n", "no column 'X'; did you mean 'x'"),
        ("cell,X,Y\n,1,2\n", "line 2: the column 'cell' is empty"),
        ("cell,X,Y\n\n1,1,2\n\n1,x,2\n", "line 5: expected a coordinate in px, found 'x'"),
        ('cell,X,Y,note\n1,1,2,"two\nlines"\n1,3,y,\n', "line 4: expected a coordinate in px, found 'y'"),
    ],
)
def test_a_table_without_what_is_needed_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(PhenoloomError, match=complaint):
        read_outlines(write(tmp_path / "cells.csv", text), TABLE)


def test_a_coordinate_that_is_nan_or_null_in_parquet_is_read_for_its_outline_to_be_quarantined(tmp_path: Path) -> None:
    table = pa.table(
        {
            "cell": pa.array([7, 7, 8, 8], pa.int32()),
            "X": pa.array([1.5, float("nan"), 3, 4], pa.float32()),
            "Y": pa.array([1, 2, None, 4], pa.int16()),
        }
    )
    pq.write_table(table, tmp_path / "cells.parquet")
    ids, points = read_outlines(tmp_path / "cells.parquet", TABLE)
    assert ids == ["7", "8"]
    np.testing.assert_array_equal(points[0], [[1.5, 1], [np.nan, 2]])
    np.testing.assert_array_equal(points[1], [[3, np.nan], [4, 4]])


def test_an_empty_coordinate_in_a_text_table_is_read_for_its_outline_to_be_quarantined(tmp_path: Path) -> None:
    ids, points = read_outlines(write(tmp_path / "cells.csv", "cell,X,Y\n7,1,2\n7,,3\n8,4,5\n"), TABLE)
    assert ids == ["7", "8"]
    np.testing.assert_array_equal(points[0], [[1, 2], [np.nan, 3]])
    np.testing.assert_array_equal(points[1], [[4, 5]])


def test_text_that_is_no_number_in_parquet_is_named_with_its_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"cell": ["a", "a"], "X": ["1", "x"], "Y": [1.0, 2.0]}), tmp_path / "cells.parquet")
    with pytest.raises(PhenoloomError, match="row 2: expected a coordinate in px, found 'x'"):
        read_outlines(tmp_path / "cells.parquet", TABLE)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match=r"no outlines .*cells\.txt"):
        read_outlines(tmp_path / "cells.txt", BLOCKS)


@pytest.mark.real_data
def test_all_osteosarcoma_outlines_are_read(data_root: Path) -> None:
    ids, points = read_outlines(data_root / "geomstats_osteosarcoma" / "cells.txt", BLOCKS)
    assert (len(ids), ids[0], ids[-1]) == (650, "001", "650")
    lengths = [len(p) for p in points]
    assert (min(lengths), max(lengths), int(np.median(lengths))) == (20, 1759, 240)
