"""A table of the page as data; the template turns it into accessible, sortable HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: the heading.
        numeric: whether the cells hold numbers, which are aligned and sorted as such.
        title: explanation that is shown when the pointer rests on the heading.
        wide: whether the cells hold sentences.
    """

    name: str
    numeric: bool = False
    title: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: the text shown.
        sort: the number that the column is sorted by.
        shade: strength of the background, 0 to 1; None for no shading.
        title: explanation that is shown when the pointer rests on the cell.
        strong: whether the text is bold.
        code: whether the text is code.
        link: address that the text links to.
        note: small text below.
    """

    text: str
    sort: float | None = None
    shade: float | None = None
    title: str = ""
    strong: bool = False
    code: bool = False
    link: str = ""
    note: str = ""


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        caption: the caption.
        columns: the columns.
        rows: the cells of each row; the first cell is the heading of the row.
        note: small text below the table.
        sortable: whether the reader can sort by a column.
        tall: whether the table scrolls inside its own frame.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    sortable: bool = True
    tall: bool = False


def text(value: object, *, strong: bool = False, code: bool = False) -> Cell:
    """Return a cell of plain text."""
    return Cell(str(value), strong=strong, code=code)


def number(
    shown: str,
    value: float | None,
    *,
    shade: float | None = None,
    title: str = "",
    strong: bool = False,
    note: str = "",
) -> Cell:
    """Return a cell with a number.

    Args:
        shown: the number as text.
        value: the number that the column is sorted by; None sorts last.
        shade: strength of the background, 0 to 1.
        title: explanation that is shown when the pointer rests on the cell.
        strong: whether the text is bold.
        note: small text below.
    """
    return Cell(shown, sort=value, shade=shade, title=title, strong=strong, note=note)
