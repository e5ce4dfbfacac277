"""Parse CSV and TSV text strictly: quotes that do not fit, cells without a column and damaged text are refused."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import PhenoloomError
from .examples import MOST_EXAMPLES

OTHER_KINDS = {
    b"PK\x03\x04": "an Excel or other zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "compressed (gzip)",
    b"PAR1": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
}
"""First bytes of files that are often called `.csv`."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, the header's too.

    Attributes:
        first: Cells of the first row.
        cells: The columns that were asked for, called by their positions; an empty cell is null.
        lines: Line of the file in which each row begins, from 1.
        facts: `lines` of the file, `blank_lines` and `short_rows`: rows with fewer cells than the first one.
    """

    first: list[str]
    cells: pd.DataFrame
    lines: np.ndarray
    facts: dict[str, Any]


def read_rows(
    path: Path, separator: str, blank_lines: bool, columns: Callable[[list[str]], Sequence[int]] | None = None
) -> Rows:
    """Read the rows of a table, `.gz` or not.

    A quoted cell may hold separators, line breaks and doubled quotes, with spaces around the quotes. A quote within a
    cell that does not begin with one is text. Lines end in LF, CR LF or CR.

    Args:
        path: The table.
        separator: Separator of cells.
        blank_lines: A blank line is a row of nulls; otherwise it is skipped.
        columns: Gives the positions of the columns to keep from the cells of the first row; None: all are kept.

    Raises:
        PhenoloomError: Naming the line, if the file is damaged or its quotes do not fit together.
    """
    text = _decoded(path)
    ends = re.findall(r"\r\n?|\n", text) if "\r" in text else []
    text = (text.replace("\r\n", "\n").replace("\r", "\n") if ends else text).removesuffix("\n")
    table = _Table(path, separator, text)
    if "\0" in text:
        raise table.nul()
    rows = table.rows()
    blank = table.blank()
    kept = rows if blank_lines or not blank else [i for i in rows if i not in blank]
    if not text or not kept:
        raise PhenoloomError(f"The table {path} cannot be read: it is empty; expected a header and rows")
    widths = np.array(table.widths, dtype=np.int64)[kept]
    width = int(widths[0])
    table.refuse_surplus(kept, widths, width)
    narrow = (kept[i] for i in np.flatnonzero(widths < width).tolist())
    short = [line + 1 for line in narrow if line not in blank]
    _refuse_cut_rows(path, ends, short)
    facts = {
        "lines": text.count("\n") + 1,
        "blank_lines": len(blank.intersection(rows)),
        "short_rows": {"count": len(short), "examples": short[:MOST_EXAMPLES]},
    }
    first = table.cells(kept[0])
    chosen = sorted(columns(first)) if columns else range(width)
    return Rows(first, table.frame(kept, int(widths.max()), chosen), np.array(kept, dtype=np.int64) + 1, facts)


def _decoded(path: Path) -> str:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError:
        raise PhenoloomError(f"There is no table {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise PhenoloomError(f"The table {path} cannot be read: {' '.join(str(error).split())}") from None
    if kind := next((kind for start, kind in OTHER_KINDS.items() if content.startswith(start)), None):
        raise PhenoloomError(f"The table {path} is {kind}, whatever its name says; save it as CSV, or name it so")
    if content.startswith(UTF16) or content[:4096].count(0) * 3 > len(content[:4096]):
        raise PhenoloomError(f"The table {path} is in UTF-16 or UTF-32; save it as UTF-8 (in Excel: `CSV UTF-8`)")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PhenoloomError(
            f"The table {path} is not UTF-8 text: line {line} holds the byte 0x{content[error.start]:02x}; save it as "
            "UTF-8"
        ) from None
    return text


class _Table:
    """The lines of a table; those that no simple rule can take apart are tokenised one by one."""

    def __init__(self, path: Path, separator: str, text: str) -> None:
        self._path, self._separator, self._text, self._lines = path, separator, text, text.split("\n")
        # Cells of a row by its first line, where they are not what pandas would read.
        self._tokens: dict[int, list[str]] = {}
        self.widths: list[int] = []

    def rows(self) -> list[int]:
        """Return the first line of each row, from 0; counts the cells of each line in `widths`."""
        s = re.escape(self._separator)
        # A quoted cell without line breaks and doubled quotes is taken out; a quote that is left needs more care.
        plain = re.compile(rf'(?<![^{s}\n])"[^"\n]*"(?![^{s}\n])')
        rest = plain.sub("", self._text).split("\n") if '"' in self._text else self._lines
        self.widths = [line.count(self._separator) + 1 for line in rest]
        follow: set[int] = set()
        for line in (i for i, left in enumerate(rest) if '"' in left):
            if line in follow:
                continue
            cells, end = self._tokenise(line)
            self._refuse_swallowed(line, end)
            self._tokens[line], self.widths[line] = cells, len(cells)
            follow.update(range(line + 1, end))
        return [i for i in range(len(self._lines)) if i not in follow] if follow else list(range(len(self._lines)))

    def blank(self) -> set[int]:
        """Return the lines without any cell, from 0."""
        single = np.flatnonzero(np.array(self.widths) == 1).tolist()
        return {i for i in single if not self._lines[i] or self._lines[i].isspace()}

    def nul(self) -> PhenoloomError:
        """Return the error of a NUL character, at which many readers cut a cell."""
        line = self._text.count("\n", 0, self._text.index("\0"))
        column = next(i for i, cell in enumerate(self._tokenise(line)[0]) if "\0" in cell)
        header = self._tokenise(0)[0] if line else []
        name = f" ({header[column].strip()})" if column < len(header) else ""
        return PhenoloomError(
            f"The table {self._path} holds a NUL character in line {line + 1}, column {column + 1}{name}, so the file "
            "is damaged or was written by a faulty program; write it anew"
        )

    def refuse_surplus(self, kept: Sequence[int], widths: np.ndarray, width: int) -> None:
        """Refuse a cell that is not empty beyond the columns of the first row."""
        for i in np.flatnonzero(widths > width).tolist():
            cells = self.cells(kept[i])
            if surplus := [cell for cell in cells[width:] if cell]:
                raise PhenoloomError(
                    f"The table {self._path} has {width} columns, but {len(cells)} cells in line {kept[i] + 1} "
                    f"({surplus[-1]!r} belongs to none); put a cell that holds {self._separator!r} into double quotes"
                )

    def frame(self, kept: Sequence[int], widest: int, columns: Sequence[int]) -> pd.DataFrame:
        """Return the cells in these columns of the rows that begin in these lines."""
        text = self._text
        if self._tokens:
            text = "\n".join(
                _quoted(self._tokens[i], self._separator) if i in self._tokens else self._lines[i] for i in kept
            )
        elif len(kept) < len(self._lines):
            text = "\n".join(self._lines[i] for i in kept)
        table: pd.DataFrame = pd.read_csv(
            # The last row may be blank, and is then none without its line end.
            io.BytesIO((text + "\n").encode()),
            sep=self._separator,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            header=None,
            names=range(widest),
            usecols=list(columns),
            index_col=False,
            skip_blank_lines=False,
        )
        return table

    def cells(self, line: int) -> list[str]:
        """Return the cells of the row that begins in a line."""
        return self._tokens[line] if line in self._tokens else self._tokenise(line)[0]

    def _tokenise(self, first: int) -> tuple[list[str], int]:
        """Return the cells of the row that begins in a line, and the line after its last one."""
        cells, line, position = [], first, 0
        while True:
            text = self._lines[line]
            begin = len(text) - len(text[position:].lstrip(" "))
            if text[begin : begin + 1] != '"':
                end = text.find(self._separator, position)
                end = len(text) if end < 0 else end
                cells.append(text[position:end])
            else:
                cell, last, closed = self._quoted_cell(line, begin + 1)
                end = closed + len(self._lines[last][closed:]) - len(self._lines[last][closed:].lstrip(" "))
                if end < len(self._lines[last]) and self._lines[last][end] != self._separator:
                    raise PhenoloomError(self._broken(line, last, closed))
                cells.append(cell)
                line, text = last, self._lines[last]
            if end >= len(text):
                return cells, line + 1
            position = end + 1

    def _quoted_cell(self, first: int, position: int) -> tuple[str, int, int]:
        """Return a quoted cell, the line in which it ends, and the position after its closing quote there."""
        parts = []
        for line in range(first, len(self._lines)):
            text = self._lines[line]
            closing = _closing_quote(text, position)
            parts.append(text[position:closing])
            if closing is not None:
                return "\n".join(parts).replace('""', '"'), line, closing + 1
            position = 0
        rest = len(self._lines) - first - 1
        taken = f", so that cell would take the other {rest} lines of the file" if rest else ""
        raise PhenoloomError(
            f"The table {self._path}: the quote that opens a cell in line {first + 1} is never closed{taken}; close or "
            "remove the quote"
        )

    def _broken(self, first: int, last: int, closed: int) -> str:
        more = f"; the cell would have taken {last - first} more lines" if last > first else ""
        return (
            f"The table {self._path}: a quoted cell that begins in line {first + 1} is closed in line {last + 1}, but "
            f"followed there by {self._lines[last][closed : closed + 20]!r} instead of {self._separator!r}{more}; "
            "remove the quotes, or write a quote within a quoted cell twice"
        )

    def _refuse_swallowed(self, first: int, end: int) -> None:
        """Refuse a row over several lines if, its quote taken for text, the first and most others look like rows.

        A line looks like a row if it has as many cells, and begins as the first one does: `A2` like `A1`, while
        `second line` does not.
        """
        header = next(i for i, line in enumerate(self._lines) if line.strip(" "))
        width = self.widths[header]
        begins = [_shape(line.split(self._separator, 1)[0]) for line in self._lines[first:end]]
        pairs = zip(self.widths[first + 1 : end], begins[1:], strict=True)
        alike = first == header or width == 1
        whole = sum(cells == width and (alike or begin == begins[0]) for cells, begin in pairs)
        if self.widths[first] == width and whole * 2 > end - first - 1:
            raise PhenoloomError(
                f"The table {self._path}: a quote that opens in line {first + 1} and closes in line {end} makes one "
                f"row of {end - first} lines, though {whole} of the lines after the first look like rows of {width} "
                f"{'cell' if width == 1 else 'cells'} by themselves; remove the quote, or write the cell in one line"
            )


def _quoted(cells: Sequence[str], separator: str) -> str:
    return separator.join('"' + cell.replace('"', '""') + '"' for cell in cells)


def _shape(cell: str) -> str:
    """Return the kinds of characters of a cell: `A01` and `"B12` have one shape."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", cell.strip(' "')))


def _closing_quote(text: str, position: int) -> int | None:
    while True:
        found = text.find('"', position)
        if found < 0:
            return None
        if text[found + 1 : found + 2] != '"':
            return found
        position = found + 2


def _refuse_cut_rows(path: Path, ends: Sequence[str], short: Sequence[int]) -> None:
    """Refuse a lone CR that cuts a row: where other lines end otherwise, it is a character of a cell."""
    if "\r" not in ends or set(ends) == {"\r"}:
        return
    for line in short:
        around = [i for i in (line - 2, line - 1) if 0 <= i < len(ends) and ends[i] == "\r"]
        if around:
            raise PhenoloomError(
                f"The table {path}: a carriage return (CR) in line {line if around[0] == line - 1 else line - 1} cuts "
                "a row in two, though other lines end in LF; remove it, or give all lines the same end"
            )
