from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.helpers.forecasts import HEADER, table

from phenoloom.cluster.forecast.sizes import read_sizes, recommended_shards
from phenoloom.core.errors import PhenoloomError


@pytest.mark.parametrize(
    ("plates", "size", "shards"),
    [(1, 0, 1), (20, 10**9, 1), (20, 10**11, 2), (2, 10**11, 2), (1, 10**12, 5), (384, 19 * 10**12, 380)],
)
def test_shards_are_plates_pooled_to_50_gb_and_split_above_200_gb(plates: int, size: int, shards: int) -> None:
    assert recommended_shards(plates, size) == shards


def test_shards_stay_below_what_a_command_line_holds() -> None:
    assert recommended_shards(12_000, 10**18) == 1000


def test_lines_of_one_study_are_added_up_and_columns_can_be_named(tmp_path: Path) -> None:
    path = table(
        tmp_path, "a\t1\t10\t800\t9 x 9 x 1 x 2 x 1", "a\t2\t5\t400\t9 x 9 x 4 x 1 x 5", header="S\tP\tI\tB\tD"
    )
    columns = {"study": "S", "plates": "P", "images": "I", "bytes": "B", "dimensions": "D"}
    (whole,) = read_sizes(path, columns)
    assert (whole.plates, whole.images, whole.bytes, whole.samples) == (3, 15, 1200, 800 / 4 + 400 / 2)
    assert whole.stacked == pytest.approx(400 / 1200)
    (one,) = read_sizes(path, columns, one_plane=True)
    assert (one.bytes, one.samples) == (800 + 20, 800 / 4 + 20 / 2)


@pytest.mark.parametrize(
    ("lines", "header", "sentence"),
    [
        (["a\t1\t2"], "study\tplates\timages", "no column 'bytes' for `bytes`"),
        (["a\t1\t-2\t3"], HEADER, "line 2: `images` must be a number of 0 or more, found '-2'"),
        (["a\t1\tmany\t3"], HEADER, "found 'many'"),
        (["a\t1\tnan\t3"], HEADER, "found 'nan'"),
        (["\t1\t2\t3"], HEADER, "the study has no name"),
        ([], HEADER, "holds a header but no study"),
        (["a\t1\t2\t3\t9 x 9"], HEADER + "\tdimensions", "must read `X x Y x Z x C x T`"),
        (["a\t1\t2\t3\t0 x 9 x 1 x 1 x 1"], HEADER + "\tdimensions", "sizes of 1 or more"),
    ],
)
def test_a_bad_table_is_refused_with_a_sentence(tmp_path: Path, lines: list[str], header: str, sentence: str) -> None:
    with pytest.raises(PhenoloomError, match=re.escape(sentence)):
        read_sizes(table(tmp_path, *lines, header=header), {})


def test_unknown_words_and_missing_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match="but not plaets"):
        read_sizes(table(tmp_path, "a\t1\t2\t3"), {"plaets": "P"})
    with pytest.raises(PhenoloomError, match="There is no table"):
        read_sizes(tmp_path / "none.tsv", {})
    with pytest.raises(PhenoloomError, match="no column `dimensions`"):
        read_sizes(table(tmp_path, "a\t1\t2\t3"), {}, one_plane=True)
