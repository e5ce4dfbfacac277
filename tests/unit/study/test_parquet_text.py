from __future__ import annotations

import datetime as dt
import decimal
import io
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.core.errors import PhenoloomError
from phenoloom.study.parquet_text import UnreadableColumn, column_text
from phenoloom.study.tables import read_table, require_columns

NIGHT, NOON = dt.datetime(2024, 3, 1), dt.datetime(2024, 3, 1, 12, 30, 5, 250_000)
WORDS = ["DMSO", None, "taxol", "DMSO"]
AS_THEY_ARE = [
    (WORDS, pa.string()), (WORDS, pa.large_string()), (WORDS, pa.string_view()),
    (WORDS, pa.dictionary(pa.int8(), pa.string())), (WORDS, pa.dictionary(pa.int32(), pa.large_string())),
]  # fmt: skip
TEXT_OF: list[tuple[list[Any], pa.DataType, list[str | None]]] = [
    *((values, kind, WORDS) for values, kind in AS_THEY_ARE),
    *(([b"DMSO", None, "é".encode()], kind, ["DMSO", None, "é"])
      for kind in (pa.binary(), pa.large_binary(), pa.binary_view())),
    ([b"A01", None], pa.binary(3), ["A01", None]),
    ([True, None, False], pa.bool_(), ["true", None, "false"]),
    *(([1, None, 100], kind, ["1", None, "100"]) for kind in (pa.int8(), pa.uint16(), pa.int64(), pa.uint64())),
    ([1, None, 1], pa.dictionary(pa.int8(), pa.int64()), ["1", None, "1"]),
    *(([0.1, 2.0, None, float("nan"), 0.00001], kind, ["0.1", "2", None, None, "0.00001"])
      for kind in (pa.float16(), pa.float32(), pa.float64())),
    ([1e15, 12345678901.0, -0.0, float("inf")], pa.float64(), ["1000000000000000", "12345678901", "0", "inf"]),
    ([decimal.Decimal("1.50"), None], pa.decimal128(5, 2), ["1.50", None]),
    *(([decimal.Decimal("7.25")], kind, ["7.25"]) for kind in (pa.decimal32(4, 2), pa.decimal64(9, 2))),
    ([decimal.Decimal("7")], pa.decimal256(40, 0), ["7"]),
    ([dt.date(2024, 3, 1), None], pa.date32(), ["2024-03-01", None]),
    ([dt.date(2024, 3, 1), None], pa.date64(), ["2024-03-01", None]),
    *(([NIGHT, None], pa.timestamp(unit), ["2024-03-01", None]) for unit in ("s", "ms", "us", "ns")),
    *(([NIGHT, NOON], pa.timestamp(unit), ["2024-03-01 00:00:00", "2024-03-01 12:30:05.25"])
      for unit in ("ms", "us", "ns")),
    ([NOON], pa.timestamp("us", "UTC"), ["2024-03-01 12:30:05.25Z"]),
    ([NOON], pa.timestamp("ns", "Asia/Kolkata"), ["2024-03-01 18:00:05.25+05:30"]),
    ([dt.time(1, 2, 30), None], pa.time32("s"), ["01:02:30", None]),
    ([dt.time(1, 2, 3, 500)], pa.time64("us"), ["01:02:03.0005"]),
    ([dt.timedelta(hours=26, seconds=5), None], pa.duration("us"), ["P1DT2H0M5S", None]),
    ([None, None], pa.null(), [None, None]),
    ([["er"], [], None, [None]], pa.list_(pa.string()), ["er", None, None, None]),
    ([[1.0], None], pa.large_list(pa.float32()), ["1", None]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "texts"), TEXT_OF, ids=[f"{i}-{k}" for i, (_, k, _) in enumerate(TEXT_OF)])
def test_each_type_has_the_text_of_a_csv_file(
    tmp_path: Path, values: list[Any], kind: pa.DataType, texts: list[str | None]
) -> None:
    array = pa.array(np.array([np.nan if v is None else v for v in values], np.float16) if kind == pa.float16()
                     else values, kind)  # fmt: skip
    assert column_text(pa.chunked_array([array[:1], array[1:]])) == texts
    try:
        pq.write_table(pa.table({"x": array}), tmp_path / "t.parquet")
    except pa.ArrowNotImplementedError:
        return
    assert read_table(tmp_path / "t.parquet")["x"].tolist() == texts


def test_extension_types_have_the_text_of_what_they_mean() -> None:
    one = uuid.uuid4()

    def text(kind: pa.DataType, storage: pa.Array) -> list[str | None]:
        return column_text(pa.chunked_array([pa.ExtensionArray.from_storage(kind, storage)]))

    assert text(pa.uuid(), pa.array([one.bytes, None], pa.binary(16))) == [str(one), None]
    assert text(pa.json_(), pa.array(["{}", None])) == ["{}", None]
    assert text(pa.bool8(), pa.array([1, 0, None], pa.int8())) == ["true", "false", None]


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.tuples(st.just(pa.int64()), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)),
        st.tuples(st.just(pa.float64()), st.lists(st.floats(-1e14, 1e14).filter(lambda x: x != 0), min_size=1)),
        st.tuples(st.just(pa.float32()), st.lists(st.floats(-(2.0**40), 2.0**40, width=32).filter(bool), min_size=1)),
        st.tuples(st.just(pa.date32()), st.lists(st.dates(dt.date(1, 1, 1)), min_size=1)),
        st.tuples(st.just(pa.bool_()), st.lists(st.booleans(), min_size=1)),
        st.tuples(st.just(pa.decimal128(20, 3)), st.lists(st.decimals(-1000, 1000, places=3), min_size=1)),
    )
)
def test_values_are_written_as_arrow_writes_them_into_a_csv_file(given: tuple[pa.DataType, list[Any]]) -> None:
    kind, values = given
    array = pa.array(values, kind)
    out = io.BytesIO()
    arrow_csv.write_csv(pa.table({"x": array}), out, arrow_csv.WriteOptions(include_header=False))
    found = column_text(pa.chunked_array([array]))
    for text, written, value in zip(found, out.getvalue().decode().split(), values, strict=False):
        # Whole numbers have no exponent, since they may be ids.
        assert text == written or (np.isclose(float(written), value, rtol=1e-7) and text == str(int(value)))


def test_the_same_table_in_parquet_and_csv_joins(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": pd.array([1, None, 3], "Int64"),
            "dose": np.array([0.1, 1.5, 10.25], np.float32),
            "day": pd.to_datetime(["2024-01-02", "2024-01-03", None]),
            "at": pd.to_datetime(["2024-01-02 03:04:05", "2024-01-03 00:00:00", None]),
            "drug": pd.Categorical(["a", None, "b"]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    parquet, text = read_table(tmp_path / "t.parquet"), read_table(tmp_path / "t.csv")
    assert parquet.fillna("").to_numpy().tolist() == text.fillna("").to_numpy().tolist()


def test_lists_are_joined_by_the_separator_of_labels_and_only_by_it() -> None:
    for kind in (pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_view(pa.string())):
        column = pa.chunked_array([pa.array([["x", "y"], [], None, ["z"]], kind)])
        assert column_text(column, ";") == ["x;y", None, None, "z"]
        with pytest.raises(UnreadableColumn, match=r"lists of several values \(x, y\).*`source.label_separator`"):
            column_text(column)
        with pytest.raises(UnreadableColumn, match="'y' in one of its lists holds 'y'"):
            column_text(column, "y")
    fixed = pa.chunked_array([pa.array([["x", "y"], None], pa.list_(pa.string(), 2))])
    assert column_text(fixed, ";") == ["x;y", None]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (pa.array([{"a": 1}]), "its type is struct"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), "its type is map"),
        (pa.array([b"\xff\xfe"]), "no UTF-8 text"),
        (pa.array([["x", "y"]]), "lists of several values"),
        (pa.array([0], pa.timestamp("us", "Mars/Phobos")), "its values have no text"),
        (pa.array([2**62], pa.timestamp("us")), "a time that no calendar has"),
    ],
)
def test_a_column_without_text_is_refused_only_where_it_is_used(tmp_path: Path, array: pa.Array, reason: str) -> None:
    pq.write_table(pa.table({"id": ["A1"], "odd": array}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    require_columns(table, ["id"], "The table")
    assert table["id"].tolist() == ["A1"]
    with pytest.raises(PhenoloomError, match=f"The table: the column 'odd' cannot be used: .*{reason}"):
        require_columns(table, ["odd"], "The table")


def test_padding_of_bytes_of_fixed_size_is_refused_with_its_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([b"A01", b"A1\0"], pa.binary(3))}), tmp_path / "t.parquet")
    with pytest.raises(PhenoloomError, match=r"The table, row 2: the column 'id' holds .*U\+0000"):
        require_columns(read_table(tmp_path / "t.parquet"), ["id"], "The table")


def test_a_folder_name_with_an_equals_sign_adds_no_column(tmp_path: Path) -> None:
    (tmp_path / "plate=7").mkdir()
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "plate=7" / "t.parquet")
    assert list(read_table(tmp_path / "plate=7" / "t.parquet").columns) == ["id"]


def test_a_truncated_parquet_table_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"] * 100}), tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    for length in (0, 3, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "t.parquet").write_bytes(content[:length])
        with pytest.raises(PhenoloomError, match=r"t\.parquet cannot be read as Parquet, so it is damaged"):
            read_table(tmp_path / "t.parquet")
