"""Find the image of each row of a table of objects: by fields of the file pattern, by words, or by the image's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..config.source import ObjectRows, Source
from ..core.errors import PhenoloomError
from .images import file_pattern
from .tables import nearest, no_column
from .templates import Kind, Place, place_of
from .wells import same_well

IMAGE = "image"
WORDS = ("plate", "well", "field")


def join_columns(settings: ObjectRows, columns: Sequence[str], section: str) -> dict[str, Place]:
    """Return the columns of the table that each entry of `join` names: one, or several as `{row}{column}`.

    Args:
        settings: Section of the table.
        columns: Columns that it has.
        section: Name of the section.

    Raises:
        PhenoloomError: A column is not there.
    """

    def unknown(name: str) -> PhenoloomError:
        return no_column(name, list(columns), f"The table {settings.path}")

    def kind_of(name: str) -> Kind | None:
        return "column" if name in columns else None

    key = f"source.{section}.join"
    return {name: place_of(text, key, kind_of, unknown) for name, text in settings.join.items()}


def images_of(rows: pd.DataFrame, settings: ObjectRows, source: Source, sheet: pd.DataFrame) -> NDArray[np.int64]:
    """Return the position in the sheet of the image of each row, -1 for none (rows,).

    Args:
        rows: The table of objects, every cell as text or null.
        settings: Its section of the study; `join` says what names an image.
        source: Raw data of the study.
        sheet: Its images, with `image_id, plate, well, field, files, mask`.

    Raises:
        PhenoloomError: A name in `join` is unknown, or the rows do not say which of two images they mean.
    """
    named = _Images(source, sheet)
    places = join_columns(settings, list(rows.columns), named.section)
    cells = {name: _texts(place, lambda column: rows[column]) for name, place in places.items()}
    by_name = cells.pop(IMAGE, None)
    if by_name is not None:
        # Paths as Windows writes them.
        by_name = by_name.str.replace("\\", "/", regex=False).str.removeprefix("./")
    own = [_normal(named.texts(name), named.is_well(name)) for name in cells]
    theirs = [_normal(column, named.is_well(name)) for name, column in cells.items()]
    if by_name is None:
        return _match(_joined(own), _joined(theirs), named, settings)
    found = np.full(len(rows), -1)
    # A path or a name may be that of the mask or of any channel, with its ending or without: the first that fits.
    for spelling in named.spellings():
        todo = np.flatnonzero(found < 0)
        if not len(todo):
            break
        parts = [part.iloc[todo] for part in (*theirs, by_name)]
        found[todo] = _match(_joined([*own, spelling]), _joined(parts), named, settings)
    return found


class _Images:
    """What is known of the images of a sheet."""

    def __init__(self, source: Source, sheet: pd.DataFrame) -> None:
        self.source, self.sheet, self.section = source, sheet, "objects" if source.objects else "points"
        pattern = file_pattern(source)
        self.fields: list[dict[str, str]] | None = None
        if pattern is not None:
            files = [paths[0] if len(paths) else "" for paths in sheet["files"]]
            self.fields = [pattern.match(path) or {} for path in files]
        self.ids = sheet["image_id"].tolist()

    def is_well(self, name: str) -> bool:
        """Return whether a name means the well, which has several spellings."""
        return "well" in (name, *(word for word, field in self.source.columns.items() if field == name))

    def texts(self, name: str) -> pd.Series[str]:
        """Return what fields of the pattern or a word, or several as `{row}{column}`, are for each image."""
        fields = sorted({field for image in self.fields or () for field in image})
        words = [word for word in WORDS if self.sheet[word].notna().any()]

        def unknown(part: str) -> PhenoloomError:
            return PhenoloomError(
                f"`source.{self.section}.join` names {part!r}, which is neither a field of the file pattern nor known "
                f"of the images; {nearest(part, [*dict.fromkeys([*fields, *words]), IMAGE])}"
            )

        def kind_of(part: str) -> Kind | None:
            return "field" if part in fields or part in words else None

        def value(part: str) -> pd.Series[str]:
            if part in fields:
                return pd.Series([image.get(part) for image in self.fields or ()], dtype=object)
            return self.sheet[part]

        return _texts(place_of(name, f"source.{self.section}.join", kind_of, unknown), value)

    def spellings(self) -> Iterator[pd.Series[str]]:
        """Yield the ways to name an image, from the surest: its id, its paths, its names; null where it has none."""
        yield pd.Series(self.ids, dtype=object)
        if self.fields and any(IMAGE in image for image in self.fields):
            yield pd.Series([image.get(IMAGE) for image in self.fields], dtype=object)
        most = max(map(len, self.sheet["files"]), default=0)
        # The mask too, because programs that measure objects name the file that they were given.
        paths = [self.sheet["files"].map(lambda files, i=i: files[i] if i < len(files) else None) for i in range(most)]
        paths.append(self.sheet["mask"])
        root = self.source.root.rstrip("/")
        for change in (str, lambda path: f"{root}/{path}", _stem, _name, lambda path: _stem(_name(path))):
            yield from (
                path.map(change, na_action="ignore").astype(object) for path in paths if bool(path.notna().any())
            )


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).name else path


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _normal(cells: pd.Series[str], well: bool) -> pd.Series[str]:
    if not well:
        return cells
    spelling = {cell: same_well(cell) for cell in cells.dropna().unique()}
    return cells.map(spelling)


def _texts(place: Place, value: Callable[[str], pd.Series[str]]) -> pd.Series[str]:
    """Return the text of a place for each row; null where a part of it is."""
    parts = [(literal, value(name) if kind else None) for literal, kind, name in place.parts]
    there = [part for _, part in parts if part is not None]
    whole = pd.Series("", there[0].index, dtype=object)
    for literal, part in parts:
        whole = whole + literal + ("" if part is None else part.fillna(""))
    return whole.where(~np.any([part.isna() for part in there], axis=0), None)


def _joined(parts: Sequence[pd.Series[str]]) -> pd.Series[str]:
    """Return one key a row; null where a part is null."""
    whole = parts[0].fillna("").reset_index(drop=True)
    for part in parts[1:]:
        whole = whole + "\0" + part.fillna("").reset_index(drop=True)
    return whole.where(~np.any([part.isna() for part in parts], axis=0), None)


def _match(own: pd.Series[str], theirs: pd.Series[str], named: _Images, settings: ObjectRows) -> NDArray[np.int64]:
    """Return the position of each key of `theirs` in `own`, -1 for none; refuse a key that is needed and not unique."""
    known = own.dropna()
    twice = known[known.duplicated(keep=False)]
    used = theirs[theirs.isin(set(twice))]
    if len(used):
        key = used.iloc[0]
        first, second = (named.ids[i] for i in twice.index[twice == key][:2])
        raise PhenoloomError(
            f"Row {int(used.index[0]) + 1} of {settings.path} may be about image {first!r} or {second!r}, which are "
            f"both {', '.join(settings.join)} = {', '.join(map(repr, str(key).split(chr(0))))}; name more columns in "
            f"`join`, or use ids or paths of images"
        )
    at = pd.Series(known.index.to_numpy(), index=known.to_numpy())
    return theirs.map(at[~at.index.duplicated()]).fillna(-1).to_numpy(np.int64)
