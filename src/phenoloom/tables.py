"""Tables of labels, metadata and points: CSV, TSV and Parquet with every cell as text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from .errors import PhenoloomError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}


def read_table(path: Path, header: Sequence[str] | None = None, blank_lines: bool = False) -> pd.DataFrame:
    """Read a table as text: "001" and "NA" stay, an empty cell is null, column names lose outer spaces.

    The extension gives the separator (`.csv` comma; `.tsv`, `.tab`, `.txt` tab; `.gz` of each; `.parquet`). `header`
    names the columns of a table without a header line; with `blank_lines`, a blank line is a row of nulls.
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
        # `names` and `header=None` together would let pandas take surplus cells for an index: read plainly, then check.
        table = pd.read_csv(
            path,
            sep=SEPARATORS[suffix.lower()],
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            header=None if header else 0,
            index_col=False,
            skip_blank_lines=not blank_lines,
            encoding="utf-8-sig",
        )
    except FileNotFoundError:
        raise PhenoloomError(f"There is no table {path}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError, EOFError) as error:
        raise PhenoloomError(f"The table {path} cannot be read as UTF-8 text: {' '.join(str(error).split())}") from None
    if header:
        if len(header) != table.shape[1]:
            raise PhenoloomError(
                f"`header` names {len(header)} columns ({', '.join(header)}), but the table {path} has "
                f"{table.shape[1]}; name each column once"
            )
        table.columns = pd.Index(list(header))
    table.columns = table.columns.str.strip()
    return _without_trailing_blank_rows(table) if blank_lines else table


def require_columns(table: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """Refuse a table that lacks one of `columns`, naming the nearest ones that it has."""
    for column in columns:
        if column not in table.columns:
            raise PhenoloomError(f"{where} has no column {column!r}; {nearest(column, list(table.columns))}")


def nearest(name: str, valid: Sequence[str]) -> str:
    """A hint for a wrong name: the nearest valid ones, or all of them."""
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
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True)
    text: pd.DataFrame = frame.apply(lambda column: column.map(str, na_action="ignore"))
    return text.astype(object).where(frame.notna(), None)


def _without_trailing_blank_rows(table: pd.DataFrame) -> pd.DataFrame:
    filled = table.notna().any(axis=1).to_numpy()
    return table.iloc[: int(filled.nonzero()[0][-1]) + 1 if filled.any() else 0]
