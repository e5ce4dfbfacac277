from __future__ import annotations

import csv
import gzip
import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.core.errors import PhenoloomError
from phenoloom.study.tables import FACTS, read_table, require_columns

CELLS = st.text(st.sampled_from(list("ab\"',;\n \t|xé")), max_size=5)


def written(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def records(path: Path) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in read_table(path).fillna("").to_numpy()]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_a_csv_writer_writes_is_read_again_whatever_the_line_ends(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str
) -> None:
    # A text over several lines with commas can look like rows.
    lined = {"\n": " ", ",": "-"} if any("," in cell and "\n" in cell for row in rows for cell in row) else {}
    rows = [[f"row {i}", *(cell.translate(str.maketrans(lined)) for cell in row)] for i, row in enumerate(rows)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["a", "b", "c", "d"], *rows])
    path = written(tmp_path_factory.getbasetemp(), text.getvalue().replace("\n", end))
    assert records(path) == rows


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('a, "b,c"', ["a", "b,c"]),
        ('  "a,b"  ,c', ["a,b", "c"]),
        ('"a" ,"b" ', ["a", "b"]),
        ('5" disc,3\' "big"', ['5" disc', '3\' "big"']),
        ('"5"" disc",b', ['5" disc', "b"]),
        ('a,"two\nlines"', ["a", "two\nlines"]),
        ('"two\n\nlines, or three",b', ["two\n\nlines, or three", "b"]),
        ('"",""', ["", ""]),
        ('",",","', [",", ","]),
        ('A1,"first line\nsecond line, with a comma"', ["A1", "first line\nsecond line, with a comma"]),
        (" a, b", [" a", " b"]),
        ("a\u200db,\u00a0b", ["a\u200db", "\u00a0b"]),
    ],
)
def test_quotes_mean_what_their_writer_meant(tmp_path: Path, line: str, cells: list[str]) -> None:
    for name, separator in (("t.csv", ","), ("t.tsv", "\t")):
        text = f"x,y\n{line}\nlast,row\n".replace(",", separator)
        expected = [cell.replace(",", separator) for cell in cells]
        assert records(written(tmp_path, text, name)) == [expected, ["last", "row"]]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', "opens a cell in line 2 is never closed, so that cell would take the other 2 lines"),
        ('a,b\n1,"x\n2,y"\n3,z\n', r"opens in line 2 and closes in line 3 makes one row of 2 lines"),
        ('a,b\n1,"x\n2,y\n3\n4,z"\n', r"opens in line 2 and closes in line 5 .*2 of the lines after the first"),
        ('a,b,c\n1,"x,p\n2,y",q\n', "opens in line 2 and closes in line 3"),
        ('a,b\n1,"x\n2,"y"\n3,z\n', "begins in line 2 is closed in line 3, but followed there by 'y\"'.* 1 more lines"),
        ('a,b\n1,"x"y\n', "begins in line 2 is closed in line 2, but followed there by 'y' instead of ','"),
        ('a\n"x\ny"\nz\n', "opens in line 2 and closes in line 3"),
        ('a,"b\n1,2"\n', "opens in line 1 and closes in line 2"),
        ('a,b\n1,x\ry\n2,z\n', r"carriage return \(CR\) in line 2 cuts a row in two"),
        ('a,b\n1,x\x002\n', r"NUL character in line 2, column 2 \(b\)"),
        ('a,b\n1,x\n"2\x00",z\n', r"NUL character in line 3, column 1 \(a\)"),
        ("a,b\n\n\n1,2,3\n", "2 columns, but 3 cells in line 4"),
        ('a,b\n1,"2, 3",4\n', r"2 columns, but 3 cells in line 2 \('4' belongs to none\)"),
        ("a,b\nx,é\n".encode("latin-1"), "line 2 holds the byte 0xe9; save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16 or UTF-32; save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 or UTF-32"),
        ("a,b\n1,2\n".encode("utf-16-be"), "UTF-16 or UTF-32"),
        ("a,b\n1,2\n".encode("utf-32"), "UTF-16 or UTF-32"),
        (b"PK\x03\x04...", "is an Excel or other zip file, whatever its name says; save it as CSV"),
        (b"PAR1...", "is a Parquet file"),
        ("\n\n", "it is empty"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_that_would_lose_something_is_refused_with_the_line(
    tmp_path: Path, text: str | bytes, complaint: str, packed: bool
) -> None:
    content = text.encode() if isinstance(text, str) else text
    path = written(tmp_path, gzip.compress(content) if packed else content, "t.csv.gz" if packed else "t.csv")
    with pytest.raises(PhenoloomError, match=complaint):
        read_table(path)


INVISIBLE = [
    *range(0x01, 0x09),
    0x0B,
    0x0C,
    *range(0x0E, 0x20),
    *range(0x7F, 0xA0),
    0xAD,
    0x200B,
    0x2028,
    0x2066,
    0x3164,
    0xFEFF,
    0xE0041,
]


@pytest.mark.parametrize("code", INVISIBLE)
def test_a_character_that_nobody_sees_is_refused_in_a_column_that_is_used_and_cuts_no_cell(
    tmp_path: Path, code: int
) -> None:
    table = read_table(written(tmp_path, f"id,drug,note\n1,DMSO,\n2,DM{chr(code)}SO,a{chr(code)}b\n3,x,\n"))
    assert table.shape == (3, 3)
    require_columns(table, ["id"], "The table")
    with pytest.raises(PhenoloomError, match=rf"The table, line 3: the column 'drug' .*U\+{code:04X}"):
        require_columns(table, ["drug"], "The table")


def test_lines_blank_lines_and_rows_with_too_few_cells_are_counted(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'a,b\n\n1,2\n3\n  \n4,"x\ny"\n,\n'))
    assert table.attrs[FACTS] == {"lines": 8, "blank_lines": 2, "short_rows": {"count": 1, "examples": [4]}, "rows": 4}
    assert table.index.tolist() == [3, 4, 6, 8]
    blank = read_table(written(tmp_path, "a\n\nb\n"), ["x"], blank_lines=True)
    assert blank.attrs[FACTS] == {"lines": 3, "blank_lines": 1, "short_rows": {"count": 0, "examples": []}, "rows": 3}


def test_mixed_line_ends_are_ends_of_lines(tmp_path: Path) -> None:
    assert records(written(tmp_path, "a,b\r\n1,2\n3,4\r5,6\r\r\n7,8")) == [
        ["1", "2"],
        ["3", "4"],
        ["5", "6"],
        ["7", "8"],
    ]


def test_odd_rows_among_many_plain_ones_keep_their_place(tmp_path: Path) -> None:
    generator = random.Random(0)
    odd = {i: generator.choice(['5" x', "two\nlines", 'a "q" b', "x,y"]) for i in generator.sample(range(5000), 300)}
    rows = [[str(i), odd.get(i, f"plain {i}"), "end"] for i in range(5000)]
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b", "c"], *rows])
    assert records(written(tmp_path, text.getvalue())) == rows
