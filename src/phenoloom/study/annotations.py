"""Look up what a study's table and file pattern say about an image: plate, well, field, label, group."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Set
from typing import Literal

import pandas as pd

from ..config.source import Source, Table
from ..core.errors import PhenoloomError
from .files import Root
from .tables import nearest, read_table, require_columns
from .wells import same_well

Word = Literal["image", "plate", "well", "field", "label", "group"]
WORDS: tuple[Word, ...] = ("image", "plate", "well", "field", "label", "group")
IDENTITY: tuple[Word, ...] = ("image", "plate", "well", "field")
Key = tuple[str, ...]


class Annotations:
    """The study's table, joined to the fields of its file pattern, and what each word is called.

    Attributes:
        path: Path of the table, relative to the root; empty where there is none.
        columns: Cells of each column, None where empty.
        rows: Number of rows.
        multi_label: Whether a cell may hold several labels.
        by_line: Whether row i belongs to image i.
        where: For each word that is known, whether it is a field or a column, and its name there.

    Raises:
        PhenoloomError: The table cannot be read, or does not fit the settings.
    """

    def __init__(self, source: Source, root: Root, fields: Iterable[str]) -> None:
        self.columns: dict[str, list[str | None]] = {}
        self._twice: set[str] = set()
        self.rows = 0
        self.multi_label = source.label_separator is not None
        self.by_line = source.table is not None and not source.table.join
        self._join: dict[str, str] = {}
        self._keys: dict[Key, int] = {}
        self._fields = sorted(fields)
        self._source = source
        self.path = source.table.path if source.table else ""
        if source.table is not None:
            table = read_table(root.path(source.table.path), source.table.header, blank_lines=self.by_line)
            self._take(table, source.table)
        self.where = {word: place for word in WORDS if (place := self._place(word))}
        if self._join:
            self._index()

    def row(self, fields: Mapping[str, str]) -> int | None:
        """Return the row of the table (from 0) that the fields of a file belong to, or None."""
        if not self._join:
            return None
        return self._keys.get(tuple(self._normal(name, fields[name]) for name in self._join))

    def word(self, word: Word, fields: Mapping[str, str], row: int | None) -> str | None:
        """Return the value of `plate`, `well`, `label` ... for an image with these fields and this row of the table."""
        kind, name = self.where.get(word, ("", ""))
        if kind == "field":
            return fields.get(name) or None
        return self.columns[name][row] if kind == "column" and row is not None else None

    @property
    def needed_fields(self) -> frozenset[str]:
        """Return the fields on which all files of one image must agree."""
        return frozenset(self._join) | {name for kind, name in self.where.values() if kind == "field"}

    def key(self, row: int) -> str:
        """Return a text that names a row in a manifest."""
        names = list(self._join.values()) or list(self.columns)[:1]
        return ", ".join(str(self.columns[name][row]) for name in names)

    def labels(self, text: str | None) -> list[str]:
        """Return the labels in one cell, renamed by `classes`; a class renamed to nothing is no label."""
        return labels_in(self._source, text) if text is not None else []

    def _take(self, table: pd.DataFrame, settings: Table) -> None:
        if table.empty:
            raise PhenoloomError(f"The table {self.path} has no rows")
        require_columns(table, [*settings.join.values(), *settings.zero_pad], f"The table {self.path}")
        for field in settings.join:
            if field not in self._fields:
                raise PhenoloomError(
                    f"`table.join` names the field {field!r}, which the file pattern does not have; "
                    f"{nearest(field, self._fields)}"
                )
        files = self._source.files
        paths = set(files.values()) if isinstance(files, dict) else set()
        require_columns(table, sorted(paths), f"The table {self.path}")
        self._twice = set(table.columns[table.columns.duplicated()])
        for name, column in table.items():
            cells = column.astype(object).where(column.notna(), None)
            # A path is used as it is: outer spaces and the form of accents are part of a file's name.
            self.columns[str(name)] = list(cells) if name in paths else [clean(cell) for cell in cells]
        for name, width in settings.zero_pad.items():
            self.columns[name] = [cell.zfill(width) if cell else cell for cell in self.columns[name]]
        self.rows = len(table)
        self._join = dict(settings.join)

    def _place(self, word: Word) -> tuple[Literal["field", "column"], str] | None:
        """Return where a word is found: files know best what they are, tables what it means."""
        name = self._source.columns.get(word, word)
        places: list[tuple[Literal["field", "column"], bool]] = [
            ("field", name in self._fields),
            ("column", name in self.columns),
        ]
        for place, there in places if word in IDENTITY else reversed(places):
            if there:
                if place == "column":
                    self._refuse_twice(name)
                return place, name
        if word not in self._source.columns:
            return None
        table = f"the table {self.path}" if self.path else "a table (there is none)"
        raise PhenoloomError(
            f"`columns.{word}` is {name!r}, which is neither a column of {table} nor a field of the file pattern; "
            f"{nearest(name, [*self.columns, *self._fields])}"
        )

    def _refuse_twice(self, name: str) -> None:
        if name in self._twice:
            raise PhenoloomError(
                f"The table {self.path} has several columns {name!r}, and one is needed; rename the others"
            )

    def _index(self) -> None:
        """Index rows by key; rows that say the same about images count as one, others with one key are refused."""
        used = [name for kind, name in self.where.values() if kind == "column"]
        for row in range(self.rows):
            cells = [self.columns[column][row] for column in self._join.values()]
            key = tuple(self._normal(f, cell) for f, cell in zip(self._join, cells, strict=True) if cell)
            if len(key) < len(cells):
                continue
            first = self._keys.setdefault(key, row)
            if differing := [name for name in used if self.columns[name][first] != self.columns[name][row]]:
                raise PhenoloomError(
                    f"Rows {first + 1} and {row + 1} of the table {self.path} are both about {self.key(row)}, but "
                    f"differ in {differing[0]!r}; join on more columns"
                )

    def _normal(self, field: str, text: str) -> str:
        return same_well(text) if field == "well" or self.where.get("well") == ("field", field) else text

    def check_classes(self) -> None:
        """Refuse to rename a class that no label of the table has: it is misspelt."""
        kind, name = self.where.get("label", ("", ""))
        if kind == "column":
            refuse_unknown_classes(self._source, {cell for cell in self.columns[name] if cell}, name)


def labels_in(source: Source, text: str) -> list[str]:
    """Return the labels in one cell, each once, renamed by `classes`; a class renamed to nothing is no label."""
    separator = source.label_separator
    parts = [part.strip() for part in text.split(separator)] if separator else [text]
    renamed = (source.classes.get(part, part) for part in parts)
    return list(dict.fromkeys(name for name in renamed if name))


def refuse_unknown_classes(source: Source, cells: Set[str], column: str) -> None:
    """Refuse to rename a class that no cell of a column of labels has: it is misspelt."""
    separator = source.label_separator
    found = {part.strip() for cell in cells for part in cell.split(separator)} if separator else cells
    for wanted in source.classes:
        if wanted not in found:
            raise PhenoloomError(
                f"`classes` renames {wanted!r}, which the column {column!r} never holds; "
                f"{nearest(wanted, sorted(found))}"
            )


def clean(cell: str | None) -> str | None:
    """Return a cell without outer spaces and with accents in one form; None where nothing is left."""
    return unicodedata.normalize("NFC", cell.strip()) or None if cell is not None else None
