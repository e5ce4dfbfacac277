"""Make the table of objects: labels, groups and places that a study gives for single objects, image by image.

The study's table is read once as text; later steps read the rows of their shard from Parquet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.manifest import Manifest, file_digest, write_manifest
from ..artifacts.parquet import read_result
from ..artifacts.provenance import Provenance
from ..config.source import ObjectRows, Source
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from .annotations import clean, labels_in, refuse_unknown_classes
from .examples import MOST_EXAMPLES, examples_of
from .files import Root
from .object_join import images_of, join_columns
from .tables import no_column, read_table, require_columns

ROWS_A_GROUP = 1 << 16
"""Rows of one row group: those of a shard are read without most others."""

_LARGEST_NUMBER = 2**31 - 1
_LARGEST_COORDINATE = 1e9

Rows = NDArray[np.int64]
"""Rows of the study's table, from 0."""


def objects_schema(multi_label: bool) -> pa.Schema:
    """Return the columns of a table of objects; `line` is the row of the study's table, from 0."""
    text, number = pa.string(), pa.float64()
    key = [("image_id", text), ("shard", text), ("line", pa.int64()), ("object", pa.int32())]
    label = pa.list_(text) if multi_label else text
    return pa.schema([*key, ("x", number), ("y", number), ("label", label), ("group", text)])


def make_objects(source: Source, sheet: Path, table: Path, manifest: Path, made_by: Provenance) -> None:
    """Write the rows of `source.objects` or `source.points` that belong to an image, by shard, image and row.

    Rows without an image, and rows without a usable number or point, are counted in the manifest.

    Args:
        source: Raw data of the study; `root` must be the folder itself.
        sheet: The sheet of the study.
        table: Where the rows are written.
        manifest: Where the manifest is written, last.
        made_by: Study and settings, for the manifest.

    Raises:
        PhenoloomError: The table cannot be read, lacks a column, or has no row that can be used.
    """
    manifest.unlink(missing_ok=True)
    given = _read(source)
    columns = ["image_id", "shard", "plate", "well", "field", "files", "mask"]
    images = read_result(sheet, columns=columns).to_pandas()
    at = images_of(given.cells, given.settings, source, images)
    usable = given.usable()
    _refuse_useless(given, at, usable, images)
    kept = np.flatnonzero(usable & (at >= 0))
    shards = images["shard"].to_numpy().astype(str)
    kept = kept[np.lexsort((kept, at[kept], shards[at[kept]]))]
    if given.section == "points":
        _refuse_twice(given, kept, at)
    with atomic_path(table) as temporary:
        pq.write_table(_kept_rows(given, kept, images.iloc[at[kept]]), temporary, row_group_size=ROWS_A_GROUP)
    write_manifest(
        manifest,
        Manifest(
            "objects",
            made_by,
            expected={"rows": len(at)},
            found={"rows": len(kept)},
            content=file_digest([table]),
            facts={
                "section": given.section,
                "table": given.settings.path,
                "by_point": given.settings.by_point,
                "places": given.source.places_objects,
                "labels": given.settings.label is not None,
                "groups": given.settings.group is not None,
                "rows_without_image": given.some(np.flatnonzero(at < 0)),
                "unusable_rows": given.some(np.flatnonzero((at >= 0) & ~usable)),
                "repeated_points": given.some(_repeated(given, kept, at)),
            },
        ),
    )


@dataclass(frozen=True)
class _Given:
    """A study's table of objects or points.

    Attributes:
        source: Raw data of the study.
        settings: Section of the table.
        section: Name of that section, `objects` or `points`.
        cells: The columns that are used, as text or null.
    """

    source: Source
    settings: ObjectRows
    section: str
    cells: pd.DataFrame

    def key(self, row: int) -> str:
        """Return a text that names a row, by its image and its number or point."""
        settings = self.settings
        places = [settings.object] if settings.object else [settings.x, settings.y]
        shown = {*settings.columns} - {*places}
        names = [name for name in self.cells if name not in shown]
        return ", ".join(f"{name} {self.cells[name].iloc[row]!r}" for name in names)

    def some(self, rows: Rows) -> dict[str, Any]:
        """Return the number of rows and the first of them, for a manifest."""
        return examples_of([f"row {row + 1} ({self.key(row)})" for row in rows[:MOST_EXAMPLES].tolist()], len(rows))

    def numbers(self) -> Rows:
        """Return the number of each row's object, -1 for none: of points without numbers the row, from 1."""
        if self.settings.object is None:
            return np.arange(1, len(self.cells) + 1) if self.section == "points" else np.full(len(self.cells), -1)
        values = self._floats(self.settings.object)
        # Zero is the background of a mask; points have no background.
        least = 0 if self.section == "points" else 1
        whole = (values >= least) & (values <= _LARGEST_NUMBER) & (values == np.floor(values))
        return np.where(whole, values, -1).astype(np.int64)

    def coordinates(self, column: str | None) -> NDArray[np.float64]:
        """Return coordinates in px, NaN where there is none."""
        return np.full(len(self.cells), np.nan) if column is None else self._floats(column)

    def usable(self) -> NDArray[np.bool_]:
        """Return whether each row has the number or the point that its object is found by."""
        found = np.ones(len(self.cells), bool)
        if not self.settings.by_point:
            found &= self.numbers() >= 0
        for column in (self.settings.x, self.settings.y):
            # False for NaN.
            found &= (np.abs(self.coordinates(column)) < _LARGEST_COORDINATE) | (column is None)
        return found

    @property
    def wanted(self) -> str:
        """What a row must have to be of use."""
        whole = f"a whole number in {self.settings.object!r}" if self.settings.object else ""
        place = f"coordinates in {self.settings.x!r} and {self.settings.y!r}" if self.settings.x else ""
        return " and ".join(part for part in (whole, place) if part)

    def labels(self) -> pa.Array:
        """Return the labels of each row, renamed: a text, or a list where there may be several; null for none."""
        multi = self.source.label_separator is not None
        kind = pa.list_(pa.string()) if multi else pa.string()
        if self.settings.label is None:
            return pa.nulls(len(self.cells), kind)
        cells = self.cells[self.settings.label]
        refuse_unknown_classes(self.source, set(cells.dropna()), self.settings.label)
        codes, texts = pd.factorize(cells)
        found = [labels_in(self.source, text) for text in texts]
        values = pa.array([(names or None) if multi else next(iter(names), None) for names in found], kind)
        return values.take(pa.array(codes, mask=codes < 0))

    def _floats(self, column: str) -> NDArray[np.float64]:
        return pd.to_numeric(self.cells[column], errors="coerce").to_numpy(np.float64)


def _read(source: Source) -> _Given:
    settings = source.object_rows
    if settings is None:
        raise PhenoloomError("The study has neither `source.objects` nor `source.points`; add one of them")
    section, where = "objects" if source.objects else "points", f"The table {settings.path}"
    path = Root(source.root).path(settings.path)
    used: list[str] = []

    def wanted(columns: list[str]) -> list[str]:
        joined = [place.names("column") for place in join_columns(settings, columns, section).values()]
        used[:] = dict.fromkeys([*(name for names in joined for name in names), *settings.columns])
        if missing := next((name for name in [*used, *settings.zero_pad] if name not in columns), None):
            raise no_column(missing, columns, where)
        return [*used, *settings.zero_pad]

    table = read_table(path, settings.header, list_separator=source.label_separator, columns=wanted)
    require_columns(table, [*used, *settings.zero_pad], where)
    if table.empty:
        raise PhenoloomError(f"{where} has no rows; give `source.{section}` a table with a row for each object")
    cells = table[used].astype(object).reset_index(drop=True)
    cells = cells.where(cells.notna(), None).apply(_cleaned)
    for name, width in settings.zero_pad.items():
        if name in cells:
            cells[name] = cells[name].str.zfill(width)
    return _Given(source, settings, section, cells)


def _cleaned(column: pd.Series[str]) -> pd.Series[str]:
    codes, texts = pd.factorize(column)
    values = np.array([*(clean(text) for text in texts), None], object)
    return pd.Series(values[codes], index=column.index, dtype=object)


def _kept_rows(given: _Given, kept: Rows, images: pd.DataFrame) -> pa.Table:
    """Return the rows to be written; `images` are their rows of the sheet."""
    numbers = given.numbers()[kept]
    group = given.settings.group
    columns: dict[str, Any] = {
        "image_id": pa.array(images["image_id"], pa.string()),
        "shard": pa.array(images["shard"], pa.string()),
        "line": pa.array(kept),
        "object": pa.array(numbers, pa.int32(), mask=numbers < 0),
        "x": pa.array(given.coordinates(given.settings.x)[kept], from_pandas=True),
        "y": pa.array(given.coordinates(given.settings.y)[kept], from_pandas=True),
        "label": given.labels().take(pa.array(kept)),
        "group": pa.array(given.cells[group].iloc[kept] if group else [None] * len(kept), pa.string()),
    }
    return pa.table(columns, schema=objects_schema(given.source.label_separator is not None))


def _refuse_useless(given: _Given, at: Rows, usable: NDArray[np.bool_], images: pd.DataFrame) -> None:
    """Refuse a table without any row that has an image, or without any of these that can be used."""
    if not (at >= 0).any():
        raise PhenoloomError(
            f"None of the {len(at)} rows of {given.settings.path} belongs to an image: the first row has "
            f"{given.key(0)}, and the first image is {images['image_id'].iloc[0]!r}; correct "
            f"`source.{given.section}.join`, or pad the ids with `source.{given.section}.zero_pad`"
        )
    if not (usable & (at >= 0)).any():
        raise PhenoloomError(
            f"No row of {given.settings.path} has {given.wanted}: the first one has {given.key(0)}; correct the "
            f"columns of `source.{given.section}`"
        )


def _repeated(given: _Given, kept: Rows, at: Rows) -> Rows:
    """Return the rows of points that are objects and lie exactly where one of an earlier row does."""
    if given.section != "points":
        return np.empty(0, np.int64)
    places = {name: given.coordinates(name)[kept] for name in (given.settings.x, given.settings.y)}
    return np.sort(kept[pd.DataFrame({"image": at[kept], **places}).duplicated().to_numpy()])


def _refuse_twice(given: _Given, kept: Rows, at: Rows) -> None:
    """Refuse two points of one image with one number, which is their name."""
    names = pd.DataFrame({"image": at[kept], "number": given.numbers()[kept]})
    twice = np.flatnonzero(names.duplicated(keep=False))
    if len(twice):
        first = names.iloc[twice[0]]
        rows = kept[(names == first).all(axis=1).to_numpy()]
        raise PhenoloomError(
            f"Rows {rows[0] + 1} and {rows[1] + 1} of {given.settings.path} are one point: {given.key(int(rows[0]))}; "
            f"numbers must be unique in an image: correct them, or leave out `source.points.object`, so that points "
            f"are numbered by their rows"
        )
