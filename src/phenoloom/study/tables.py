"""Read tables of labels, metadata and points: CSV, TSV and Parquet with every cell as text."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import PhenoloomError
from .parquet_text import UnreadableColumn, column_numbers, column_text, open_parquet
from .text_tables import read_rows

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
FACTS, UNREADABLE = "facts", "unreadable"
"""Keys of the `attrs` of a table."""
# Controls (C0, DEL, C1), line separators, and characters that nobody sees but that make two classes of one. Joiners
# (U+200C, U+200D) are left out: they belong to words of several languages.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def read_table(
    path: Path,
    header: Sequence[str] | None = None,
    blank_lines: bool = False,
    list_separator: str | None = None,
    numbers: Collection[str] = (),
    columns: Callable[[list[str]], Collection[str]] | None = None,
) -> pd.DataFrame:
    """Read a table as text: "001" and "NA" stay, an empty cell is null, column names lose outer spaces.

    The extension gives the separator (`.csv` comma; `.tsv`, `.tab`, `.txt` tab; `.gz` of each; `.parquet`). The index
    of the result is the line in which a row begins ("line", from 1), or its number in a Parquet table ("row", from 1).
    `attrs["facts"]` counts lines, blank lines and rows with too few cells. A column without text, such as structs in
    Parquet, holds nulls and is refused by `require_columns`.

    Args:
        path: The table.
        header: Names of the columns of a table without a header line.
        blank_lines: A blank line is a row of nulls; otherwise it is skipped.
        list_separator: Separator to join the values of a list with, in Parquet.
        numbers: Columns that stay float64 in Parquet if they hold numbers there; null is nan.
        columns: Gives the columns to keep from all that there are, so that a wide table takes no memory for the others;
            None: all are kept.

    Raises:
        PhenoloomError: The table cannot be read without losing something.
    """
    suffix = (Path(path.stem).suffix if path.suffix == ".gz" else path.suffix).lower()
    if suffix == ".parquet":
        return _read_parquet(path, list_separator, numbers, columns)
    if suffix not in SEPARATORS:
        raise PhenoloomError(
            f"The table {path} must end in .csv, .tsv, .tab, .txt (or one of these and .gz) or .parquet, so that its "
            f"separator is known; rename it"
        )

    def chosen(first: list[str]) -> list[int]:
        names = _names(first, header, path)
        wanted = columns(names) if columns else names
        return [i for i, name in enumerate(names) if name in wanted]

    rows = read_rows(path, SEPARATORS[suffix], blank_lines, chosen)
    names = _names(rows.first, header, path)
    table = rows.cells.set_axis(pd.Index(rows.lines, name="line"))
    table = table if header else table.iloc[1:]
    table.columns = pd.Index([names[int(i)] for i in table.columns])
    table = _without_trailing_blank_rows(table) if blank_lines else table
    table.attrs[FACTS] = {**rows.facts, "rows": len(table)}
    return table


def _names(first: list[str], header: Sequence[str] | None, path: Path) -> list[str]:
    """Return the names of the columns of a text table, from the settings or from its first row."""
    if header and (len(header) != len(first) or len(set(header)) < len(header)):
        raise PhenoloomError(
            f"`header` names {len(header)} columns ({', '.join(header)}), but the table {path} has {len(first)}; name "
            "each column once"
        )
    return [name.strip() for name in header or first]


def require_columns(table: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """Refuse a table without what is needed of it.

    Args:
        table: A table of `read_table`.
        columns: Names of columns that are used.
        where: Name of the table, to begin a sentence.

    Raises:
        PhenoloomError: It lacks a column (the nearest ones are named), has it twice, or the column holds values without
            text or characters that cannot be seen.
    """
    for column in columns:
        if column not in table.columns:
            raise no_column(column, list(table.columns), where)
        if list(table.columns).count(column) > 1:
            raise PhenoloomError(f"{where} has several columns {column!r}, and one is needed; rename the others")
        if reason := table.attrs.get(UNREADABLE, {}).get(column):
            raise PhenoloomError(f"{where}: the column {column!r} cannot be used: {reason}")
        if not pd.api.types.is_float_dtype(table[column].dtype):
            _refuse_invisible(table[column], where)


def _refuse_invisible(column: pd.Series[Any], where: str) -> None:
    cells = column.dropna()
    # Not `unique`, which takes two texts with a NUL for one.
    wrong = sorted(cell for cell in set(cells) if _INVISIBLE.search(cell))
    if not wrong:
        return
    place = cells.index[cells.tolist().index(wrong[0])]
    found = _INVISIBLE.findall(wrong[0])[0]
    raise PhenoloomError(
        f"{where}, {column.index.name} {place}: the column {column.name!r} holds {wrong[0]!r} with the character "
        f"{_described(found)}, which cannot be seen but makes two values of one; remove it"
    )


def _described(character: str) -> str:
    name = unicodedata.name(character, "a control character").lower()
    return f"U+{ord(character):04X} ({name})"


def no_column(column: str, columns: Sequence[str], where: str) -> PhenoloomError:
    """Return the error of a table (`where` names it) without a column, with the nearest ones that it has."""
    one = columns[0] if len(columns) == 1 else ""
    other = next((separator for separator in (";", "\t", ",", "|") if separator in one), None)
    hint = f"; its header has no other separator than {other!r}: save it with the one of its extension" if other else ""
    return PhenoloomError(f"{where} has no column {column!r}; {nearest(column, columns)}{hint}")


def nearest(name: str, valid: Sequence[str]) -> str:
    """Return a hint for a wrong name: the nearest valid ones, or all of them."""
    lower = {candidate.lower(): candidate for candidate in valid}
    close = difflib.get_close_matches(name.lower(), list(lower), n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(lower[c]) for c in close) + "?"
    return "it has: " + (", ".join(valid) or "none")


def _read_parquet(
    path: Path,
    list_separator: str | None,
    numbers: Collection[str],
    columns: Callable[[list[str]], Collection[str]] | None,
) -> pd.DataFrame:
    table = open_parquet(path, columns)
    read: list[pd.Series[Any]] = []
    unreadable: dict[str, str] = {}
    index = pd.RangeIndex(1, table.num_rows + 1, name="row")
    for name, column in zip(table.column_names, table.columns, strict=True):
        values = column_numbers(column) if name.strip() in numbers else None
        if values is not None:
            read.append(pd.Series(values, index))
            continue
        try:
            cells = [cell or None for cell in column_text(column, list_separator)]
        except UnreadableColumn as error:
            unreadable[name.strip()], cells = str(error), [None] * table.num_rows
        read.append(pd.Series(cells, index, dtype=object))
    frame = pd.DataFrame(dict(enumerate(read)), index=index)
    frame.columns = pd.Index([name.strip() for name in table.column_names], dtype=object)
    frame.attrs = {FACTS: {"rows": table.num_rows}, UNREADABLE: unreadable}
    return frame


def _without_trailing_blank_rows(table: pd.DataFrame) -> pd.DataFrame:
    filled = table.notna().any(axis=1).to_numpy()
    return table.iloc[: int(filled.nonzero()[0][-1]) + 1 if filled.any() else 0]
