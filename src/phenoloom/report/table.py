"""A table as data: the template turns it into accessible, sortable HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether it holds numbers, an explanation on hover, and whether it holds sentences."""

    name: str
    numeric: bool = False
    title: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell: text, the number to sort by, the shade (0 to 1, or None for none), an explanation shown on hover, a link,
    and a note under the text.
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
class Table:
    """A table with a caption; the first cell of each row heads it. `tall` tables scroll inside their own frame."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    sortable: bool = True
    tall: bool = False


def text(value: object, *, strong: bool = False, code: bool = False) -> Cell:
    """A cell of plain text."""
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
    """A cell that sorts by `value` and shows `shown`."""
    return Cell(shown, sort=value, shade=shade, title=title, strong=strong, note=note)
