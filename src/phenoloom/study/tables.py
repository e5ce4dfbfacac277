"""Read tables of labels, metadata and points: CSV, TSV and Parquet with every cell as text."""

from __future__ import annotations

import csv
import difflib
import gzip
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from ..core.errors import PhenoloomError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}


def read_table(path: Path, header: Sequence[str] | None = None, blank_lines: bool = False) -> pd.DataFrame:
    """Read a table as text: "001" and "NA" stay, an empty cell is null, column names lose outer spaces.

    The extension gives the separator (`.csv` comma; `.tsv`, `.tab`, `.txt` tab; `.gz` of each; `.parquet`).

    Args:
        path: The table.
        header: Names of the columns of a table without a header line.
        blank_lines: A blank line is a row of nulls; otherwise it is skipped.
    """
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix.lower() == ".parquet":
        return _read_parquet(path)
    if suffix.lower() not in SEPARATORS:
        raise PhenoloomError(
            f"The table {path} must end in .csv, .tsv, .tab, .txt (or one of these and .gz) or .parquet, so that its "
            f"separator is known; rename it"
        )
    try:
        table = _read_text(path, SEPARATORS[suffix.lower()], blank_lines)
    except FileNotFoundError:
        raise PhenoloomError(f"There is no table {path}") from None
    except UnicodeDecodeError as error:
        raise PhenoloomError(f"The table {path} cannot be read as UTF-8 text: {error}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, OSError, EOFError, zlib.error) as error:
        raise PhenoloomError(f"The table {path} cannot be read: {' '.join(str(error).split())}") from None
    if header:
        names = list(header)
        if len(names) != table.shape[1] or len(set(names)) < len(names):
            raise PhenoloomError(
                f"`header` names {len(names)} columns ({', '.join(names)}), but the table {path} has "
                f"{table.shape[1]}; name each column once"
            )
    else:
        names = table.iloc[0].fillna("").tolist()
        table = table.iloc[1:].reset_index(drop=True)
    table.columns = pd.Index([name.strip() for name in names])
    return _without_trailing_blank_rows(table) if blank_lines else table


def _read_text(path: Path, separator: str, blank_lines: bool) -> pd.DataFrame:
    """Read all lines as rows, the header too: as a header, pandas would cut what the first row has beyond it."""

    def read(**more: Any) -> pd.DataFrame:
        table: pd.DataFrame = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            header=None,
            index_col=False,
            skip_blank_lines=not blank_lines,
            encoding="utf-8-sig",
            **more,
        )
        return table

    try:
        return read()
    except pd.errors.ParserError:
        width, widest = _widths(path, separator)
        if width == widest:
            raise
        return read(names=range(widest)).iloc[:, :width]


def _widths(path: Path, separator: str) -> tuple[int, int]:
    """Count cells of the first line and of the longest one; cells beyond those of the first line must be empty."""
    opened = gzip.open(path, "rt", encoding="utf-8-sig", newline="") if path.suffix == ".gz" else None
    with opened or path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=separator)
        width = widest = len(next(lines, []))
        for cells in lines:
            widest = max(widest, len(cells))
            if surplus := [cell for cell in cells[width:] if cell]:
                raise PhenoloomError(
                    f"The table {path} has {width} columns, but {len(cells)} cells in line {lines.line_num} "
                    f"({surplus[-1]!r} belongs to none); put a cell that holds {separator!r} into double quotes"
                )
    return width, widest


def require_columns(table: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """Refuse a table that lacks one of `columns`, naming the nearest ones that it has, or that has one twice."""
    for column in columns:
        if column not in table.columns:
            raise PhenoloomError(f"{where} has no column {column!r}; {nearest(column, list(table.columns))}")
        if list(table.columns).count(column) > 1:
            raise PhenoloomError(f"{where} has several columns {column!r}, and one is needed; rename the others")


def nearest(name: str, valid: Sequence[str]) -> str:
    """Return a hint for a wrong name: the nearest valid ones, or all of them."""
    lower = {candidate.lower(): candidate for candidate in valid}
    close = difflib.get_close_matches(name.lower(), list(lower), n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(lower[c]) for c in close) + "?"
    return "it has: " + (", ".join(valid) or "none")


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise PhenoloomError(f"The table {path} cannot be read as Parquet: {' '.join(str(error).split())}") from None
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    text: pd.DataFrame = frame.apply(lambda column: column.map(str, na_action="ignore"))
    return text.astype(object).where(frame.notna(), None)


def _without_trailing_blank_rows(table: pd.DataFrame) -> pd.DataFrame:
    filled = table.notna().any(axis=1).to_numpy()
    return table.iloc[: int(filled.nonzero()[0][-1]) + 1 if filled.any() else 0]
