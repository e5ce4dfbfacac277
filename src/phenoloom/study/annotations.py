"""Look up what a study's table and file pattern say about an image: plate, well, field, label, group."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from ..config.source import Source, Table
from ..core.errors import PhenoloomError
from .files import Root
from .tables import FACTS, nearest, no_column, read_table, require_columns
from .templates import Kind, Place, is_template, place_of
from .wells import same_well

Word = Literal["image", "plate", "well", "field", "label", "group"]
WORDS: tuple[Word, ...] = ("image", "plate", "well", "field", "label", "group")
IDENTITY: tuple[Word, ...] = ("image", "plate", "well", "field")
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Join:
    """One entry of `table.join`: what a file's name says, and what the table says, in any spelling if it is a well."""

    left: Place
    right: list[str | None]
    wells: bool


class Annotations:
    """The study's table, joined to the fields of its file pattern, and what each word is called.

    Attributes:
        path: Path of the table, relative to the root; empty where there is none.
        columns: Cells of each column, None where empty.
        rows: Number of rows.
        multi_label: Whether a cell may hold several labels.
        by_line: Whether row i belongs to image i.
        where: For each word that is known, the field or column that holds it, or the several that it is made of.
        facts: What `read_table` counted: lines, blank lines and rows with too few cells.

    Raises:
        PhenoloomError: The table cannot be read, or does not fit the settings.
    """

    def __init__(self, source: Source, root: Root, fields: Iterable[str]) -> None:
        self.columns: dict[str, list[str | None]] = {}
        self.rows = 0
        self.multi_label = source.label_separator is not None
        self.by_line = source.table is not None and not source.table.join
        self.facts: dict[str, Any] = {}
        self._join: list[_Join] = []
        self._keys: dict[Key, int] = {}
        # Of what each text of several parts was made, so that no two become one.
        self._made: dict[tuple[str, str], tuple[str | None, ...]] = {}
        self._fields = sorted(fields)
        self._source = source
        self._table = pd.DataFrame()
        self.path = source.table.path if source.table else ""
        if source.table is not None:
            self._table = read_table(
                root.path(source.table.path),
                source.table.header,
                blank_lines=self.by_line,
                list_separator=source.label_separator,
            )
            self._take(source.table)
        self.where = {word: place for word in WORDS if (place := self._place(word))}
        if source.table is not None and source.table.join:
            self._join = [self._side_by_side(*pair) for pair in source.table.join.items()]
            self._index()

    def row(self, fields: Mapping[str, str]) -> int | None:
        """Return the row of the table (from 0) that the fields of a file belong to, or None."""
        if not self._join:
            return None
        key = (self._filled(join.left, fields, None) or "" for join in self._join)
        return self._keys.get(tuple(self._normal(join, text) for join, text in zip(self._join, key, strict=True)))

    def word(self, word: Word, fields: Mapping[str, str], row: int | None) -> str | None:
        """Return the value of `plate`, `well`, `label` ... for an image with these fields and this row of the table."""
        place = self.where.get(word)
        return self._filled(place, fields, row) if place else None

    def use(self, columns: Iterable[str]) -> None:
        """Refuse columns that the table has twice, or whose cells cannot be used."""
        require_columns(self._table, columns, f"The table {self.path}")

    def templates(self) -> dict[Word, str]:
        """Return what each word that is known is made of, as a template."""
        return {
            word: place.name if is_template(place.name) else f"{{{place.name}}}" for word, place in self.where.items()
        }

    @cached_property
    def needed_fields(self) -> frozenset[str]:
        """Return the fields on which all files of one image must agree."""
        # Where `field` tells images apart, `image` does not count.
        idle = {"image"} if "field" in self.where and self.where["field"].kind == "field" else set()
        places = [place for word, place in self.where.items() if word not in idle]
        return frozenset(name for place in [*places, *(j.left for j in self._join)] for name in place.names("field"))

    def normal_field(self, field: str, text: str) -> str:
        """Return the text of a field in the one spelling that joins: that of wells, if the field is the well."""
        return same_well(text) if self._is_well(field) else text

    def key(self, row: int) -> str:
        """Return a text that names a row in a manifest."""
        if self._join:
            return ", ".join(str(join.right[row]) for join in self._join)
        return str(next(iter(self.columns.values()))[row])

    def labels(self, text: str | None) -> list[str]:
        """Return the labels in one cell, renamed by `classes`; a class renamed to nothing is no label."""
        return labels_in(self._source, text) if text is not None else []

    def _take(self, settings: Table) -> None:
        if self._table.empty:
            raise PhenoloomError(f"The table {self.path} has no rows")
        self.use(settings.zero_pad)
        files = self._source.files
        paths = set(files.values()) if isinstance(files, dict) else set()
        self.use(sorted(paths))
        for name, column in self._table.items():
            cells = column.astype(object).where(column.notna(), None).tolist()
            # A path is used as it is: outer spaces and the form of accents are part of a file's name.
            cleaned = {} if name in paths else {cell: clean(cell) for cell in set(cells)}
            self.columns[str(name)] = [cleaned[cell] for cell in cells] if cleaned else cells
        for name, width in settings.zero_pad.items():
            self.columns[name] = [cell.zfill(width) if cell else cell for cell in self.columns[name]]
        self.rows = len(self._table)
        self.facts = self._table.attrs[FACTS]

    def _place(self, word: Word) -> Place | None:
        """Return where a word is found: files know best what they are, tables what it means."""
        name = self._source.columns.get(word, word)

        def kind_of(part: str) -> Kind | None:
            there: dict[Kind, bool] = {"field": part in self._fields, "column": part in self.columns}
            order: tuple[Kind, Kind] = ("field", "column") if word in IDENTITY else ("column", "field")
            return next((kind for kind in order if there[kind]), None)

        if word not in self._source.columns and not kind_of(word):
            return None

        def unknown(part: str) -> PhenoloomError:
            table = f"the table {self.path}" if self.path else "a table (there is none)"
            return PhenoloomError(
                f"`columns.{word}` is {name!r}{f' with {part!r}' if part != name else ''}, which is neither a column "
                f"of {table} nor a field of the file pattern; {nearest(part, [*self.columns, *self._fields])}"
            )

        place = place_of(name, f"columns.{word}", kind_of, unknown)
        self.use(place.names("column"))
        return place

    def _side_by_side(self, left: str, right: str) -> _Join:
        """Return one entry of `table.join`: fields of the pattern or a word that is made of them, and columns."""

        def no_field(name: str) -> PhenoloomError:
            return PhenoloomError(
                f"`table.join` names the field {name!r}, which the file pattern does not have; "
                f"{nearest(name, self._fields)}"
            )

        words = {str(word): place for word, place in self.where.items() if place.kind == "field"}
        word = words.get(left)
        if (
            word
            and left in self._fields
            and not means_word(left, word.name, self._source.table.join if self._source.table else ())
        ):
            word = None
        fields = word or place_of(left, "table.join", lambda name: "field" if name in self._fields else None, no_field)
        columns = place_of(
            right,
            "table.join",
            lambda name: "column" if name in self.columns else None,
            lambda name: no_column(name, list(self.columns), f"The table {self.path}"),
        )
        self.use(columns.names("column"))
        return _Join(fields, self._cells(columns), self._is_well(left))

    def _is_well(self, name: str) -> bool:
        place = self.where.get("well")
        return name == "well" or (place is not None and place.kind == "field" and place.name == name)

    def _filled(self, place: Place, fields: Mapping[str, str], row: int | None) -> str | None:
        def value(kind: Kind, name: str) -> str | None:
            if kind == "field":
                return fields.get(name)
            return None if row is None else self.columns[name][row]

        text = place.fill(value)
        if text is not None and place.several:
            parts = tuple(value(kind, name) for _, kind, name in place.parts if kind)
            if (other := self._made.setdefault((place.name, text), parts)) != parts:
                raise PhenoloomError(
                    f"{place.name!r} makes {text!r} both of {' and '.join(map(repr, other))} and of "
                    f"{' and '.join(map(repr, parts))}; put text between its parts, such as `_`, or write "
                    "`r{row}c{column}` for rows and columns with numbers"
                )
        return text

    def _cells(self, place: Place) -> list[str | None]:
        """Return the text of a place without fields for each row of the table."""
        if len(place.parts) == 1 and not place.parts[0][0]:
            return self.columns[place.parts[0][2]]
        return [self._filled(place, {}, row) for row in range(self.rows)]

    def _index(self) -> None:
        """Index rows by key; rows that say the same about images count as one, others with one key are refused."""
        used = list(dict.fromkeys(name for place in self.where.values() for name in place.names("column")))
        for row in range(self.rows):
            cells = [join.right[row] for join in self._join]
            key = tuple(self._normal(join, cell) for join, cell in zip(self._join, cells, strict=True) if cell)
            if len(key) < len(cells):
                continue
            first = self._keys.setdefault(key, row)
            if differing := [name for name in used if self.columns[name][first] != self.columns[name][row]]:
                raise PhenoloomError(
                    f"Rows {first + 1} and {row + 1} of the table {self.path} are both about {self.key(row)}, but "
                    f"differ in {differing[0]!r}; join on more columns"
                )

    @staticmethod
    def _normal(join: _Join, text: str) -> str:
        return same_well(text) if join.wells else text

    def check_classes(self) -> None:
        """Refuse to rename a class that no label of the table has: it is misspelt."""
        place = self.where.get("label")
        if place is not None and not place.names("field"):
            refuse_unknown_classes(self._source, {cell for cell in self._cells(place) if cell}, place.name)


def means_word(name: str, made_of: str, join: Collection[str]) -> bool:
    """Return whether a key of `join` means a word that is made of several fields, and not the field of that name.

    It does unless the other fields are keys of `join` too.

    Args:
        name: The key, a word that is also the name of a field.
        made_of: What the word is made of, in the study file.
        join: All keys.
    """
    return is_template(made_of) and not any(f"{{{other}}}" in made_of for other in join if other != name)


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
