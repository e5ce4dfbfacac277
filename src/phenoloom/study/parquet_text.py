"""Turn the columns of a Parquet table into text: the text that a CSV file of the same table would hold."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..core.errors import PhenoloomError

WHOLE_BELOW = 1e16
"""Whole numbers below it are written without an exponent: they are ids."""
_MIDNIGHT, _FRACTION, _OFFSET = " 00:00:00", re.compile(r"(\.\d*?)0+(?!\d)"), re.compile(r"([+-]\d\d)(\d\d)$")


class UnreadableColumn(ValueError):
    """A column whose values have no text; the message says why, as the end of a sentence."""


def open_parquet(path: Path, columns: Callable[[list[str]], Collection[str]] | None = None) -> pa.Table:
    """Read a Parquet table that a user brings.

    Args:
        path: The table.
        columns: Gives the columns to read from the names of all, both without outer spaces; None: all are read.

    Raises:
        PhenoloomError: It cannot be read.
    """
    try:
        # A path such as `plate=1/table.parquet` would add a column `plate` in `read_table`.
        with pq.ParquetFile(path) as file:
            if columns is None:
                return file.read()
            names = file.schema_arrow.names
            wanted = columns([name.strip() for name in names])
            chosen = [name for name in names if name.strip() in wanted]
            table = file.read(columns=list(dict.fromkeys(chosen)))
            # Arrow takes `a` for `a.b` too.
            return table.select([i for i, name in enumerate(table.column_names) if name in chosen])
    except FileNotFoundError:
        raise PhenoloomError(f"There is no table {path}") from None
    except (OSError, ValueError, NotImplementedError) as error:
        raise PhenoloomError(
            f"The table {path} cannot be read as Parquet, so it is damaged, incomplete or another kind of file "
            f"({' '.join(str(error).split())})"
        ) from None


def column_text(column: pa.ChunkedArray, separator: str | None = None) -> list[str | None]:
    """Return the text of each value of a column, None for null, NaN and an empty list.

    Text and integers stay as they are; bytes must be UTF-8. A whole number of a float column has no decimal point
    (a column of ids with nulls is float in many files), other numbers are the shortest text of their own precision.
    Dates and times are ISO 8601 with a space between them, and only dates where all times are midnight.

    Args:
        column: The column, of any Arrow type.
        separator: Separator between the values of a list; none: a list may hold one value.

    Raises:
        UnreadableColumn: The type has no text, or a value of it has none.
    """
    try:
        return _column_text(column.combine_chunks(), separator)
    except (pa.ArrowException, OverflowError, pd.errors.OutOfBoundsDatetime) as error:
        # A time zone that nobody knows, a duration of more years than a clock has, more bytes than an array holds.
        raise UnreadableColumn(f"its values have no text ({' '.join(str(error).split())})") from None


def _column_text(flat: pa.Array, separator: str | None) -> list[str | None]:
    while isinstance(flat.type, (pa.BaseExtensionType, pa.DictionaryType, pa.RunEndEncodedType)):
        if flat.type == pa.uuid():
            return [str(value) if isinstance(value, uuid.UUID) else None for value in flat.to_pylist()]
        flat = _unwrapped(flat)
    if _is_list(flat.type):
        return _lists(flat, separator)
    if pa.types.is_null(flat.type):
        return [None] * len(flat)
    encodable = _encodable(flat)
    if encodable is None:
        return _texts(flat)
    # Values repeat in columns of labels and ids, so that each is written once.
    codes = pc.dictionary_encode(encodable)
    texts = np.array([*_texts(codes.dictionary.cast(flat.type)), None], dtype=object)
    chosen: list[str | None] = texts[codes.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)].tolist()
    return chosen


def column_numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """Return a column of numbers as float64, nan for null; None for a column of another type."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    return np.asarray(column.cast(pa.float64()).to_pandas(), dtype=np.float64)


def _unwrapped(values: pa.Array) -> pa.Array:
    if isinstance(values.type, pa.DictionaryType):
        return values.dictionary_decode()
    if isinstance(values.type, pa.RunEndEncodedType):
        return pc.run_end_decode(values)
    if values.type == pa.bool8():
        return values.storage.cast(pa.bool_())
    return values.storage


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    views = (pa.types.is_list_view, pa.types.is_large_list_view)
    return any(test(kind) for test in (*tests, *views))


def _lists(values: pa.Array, separator: str | None) -> list[str | None]:
    lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
    items = column_text(pa.chunked_array([pc.list_flatten(values)]))
    ends = np.cumsum(lengths).tolist()
    cells = [
        [item for item in items[end - n : end] if item is not None]
        for end, n in zip(ends, lengths.tolist(), strict=True)
    ]
    if separator is None:
        if several := next((cell for cell in cells if len(cell) > 1), None):
            raise UnreadableColumn(
                f"it holds lists of several values ({', '.join(several[:3])}), which only a study with "
                "`source.label_separator` reads, as several labels a unit"
            )
        return [cell[0] if cell else None for cell in cells]
    if wrong := next((item for item in items if item and separator in item), None):
        raise UnreadableColumn(
            f"the value {wrong!r} in one of its lists holds {separator!r}; set `source.label_separator` to a text that "
            "no value holds"
        )
    return [separator.join(cell) or None for cell in cells]


def _encodable(values: pa.Array) -> pa.Array | None:
    """Return the values as a type of which equal ones can be found, or None where there is none."""
    kind = values.type
    if pa.types.is_float16(kind):
        return values.cast(pa.float32())
    if pa.types.is_string_view(kind):
        return values.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return values.cast(pa.large_binary())
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return values.cast(pa.decimal128(kind.precision, kind.scale))
    return None if pa.types.is_nested(kind) else values


def _texts(values: pa.Array) -> list[str | None]:
    kind = values.type
    if any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        return _listed(values)
    if pa.types.is_floating(kind):
        return _floats(values)
    if pa.types.is_timestamp(kind):
        return _timestamps(values)
    if pa.types.is_time(kind):
        return [text and _trimmed(text) for text in _listed(values.cast(pa.string()))]
    if pa.types.is_duration(kind):
        return [None if pd.isna(value) else pd.Timedelta(value).isoformat() for value in values.to_pandas()]
    if _is_binary(kind):
        return _utf8(values)
    if any(test(kind) for test in (pa.types.is_boolean, pa.types.is_integer, pa.types.is_decimal, pa.types.is_date)):
        return _listed(values.cast(pa.string()))
    raise UnreadableColumn(f"its type is {kind}, whose values are no text, number, date or list of these")


def _is_binary(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _listed(values: pa.Array) -> list[str | None]:
    found: list[str | None] = values.to_pylist()
    return found


def _utf8(values: pa.Array) -> list[str | None]:
    try:
        return [None if value is None else value.decode() for value in values.to_pylist()]
    except UnicodeDecodeError as error:
        raise UnreadableColumn(f"it holds the bytes {error.object[:20]!r}, which are no UTF-8 text") from None


def _floats(values: pa.Array) -> list[str | None]:
    own = np.asarray(values.to_numpy(zero_copy_only=False))
    numbers = own.astype(np.float64)
    # Arrow writes half precision as the exact number that it stands for: .1 as 0.0999755859375.
    half = pa.types.is_float16(values.type)
    shortest = [np.format_float_positional(x, trim="-") for x in own] if half else _listed(values.cast(pa.string()))
    whole = np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < WHOLE_BELOW)
    return [
        None if np.isnan(number) else str(int(number)) if is_whole else text
        for number, is_whole, text in zip(numbers, whole, shortest, strict=True)
    ]


def _timestamps(values: pa.Array) -> list[str | None]:
    texts = [text and _trimmed(text) for text in _listed(values.cast(pa.string()))]
    if wrong := next((text for text in texts if text and text.startswith("<")), None):
        raise UnreadableColumn(f"it holds a time that no calendar has ({wrong.strip('<>')})")
    if all(text.endswith(_MIDNIGHT) for text in texts if text):
        return [text and text.removesuffix(_MIDNIGHT) for text in texts]
    return [text and _OFFSET.sub(r"\1:\2", text) for text in texts]


def _trimmed(text: str) -> str:
    """Return a time without zeros that the precision of its column adds to the seconds."""
    return _FRACTION.sub(lambda found: "" if found[1] == "." else found[1], text)
