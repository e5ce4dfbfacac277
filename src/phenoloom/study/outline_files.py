"""Read files of outlines given as points."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config.source import Outlines
from ..core.errors import PhenoloomError
from .tables import read_table, require_columns


def read_outlines(path: Path, outlines: Outlines) -> tuple[list[str], list[np.ndarray]]:
    """Read ids and points `(k, 2)` float64 in px, (x, y), one entry an outline in the order of the file.

    Outlines of format `blocks` have no names: their ids are their positions from 1, padded with zeros. Points are
    returned as they are written, whatever their number, `nan` and `inf` too: one such outline is quarantined later and
    stops no other. Only text that is no number is refused, since then the file is something else than outlines.
    """
    ids, points = _read_table(path, outlines) if outlines.format == "table" else _read_blocks(path)
    if not ids:
        raise PhenoloomError(f"{path} holds no outline; expected points in format `{outlines.format}`")
    return ids, points


def _read_blocks(path: Path) -> tuple[list[str], list[np.ndarray]]:
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        raise PhenoloomError(f"There are no outlines {path}") from None
    except UnicodeDecodeError as error:
        raise PhenoloomError(f"The outlines {path} are not UTF-8 text: {error}") from None
    width = np.array([len(line) for line in lines], dtype=np.int64)
    if wrong := np.flatnonzero((width != 0) & (width != 2)).tolist():
        raise PhenoloomError(
            f"{path}, line {wrong[0] + 1}: expected `x y` or a blank line, found {' '.join(lines[wrong[0]])!r}"
        )
    filled = np.flatnonzero(width)
    points = _numbers([cell for line in lines for cell in line], filled + 1, path).reshape(-1, 2)
    # A new outline starts where a line with a point follows a blank one.
    starts = np.flatnonzero(np.diff(filled, prepend=-2) > 1)
    blocks = [points[a:b] for a, b in pairwise([*starts.tolist(), len(points)])]
    digits = len(str(len(blocks)))
    return [f"{i:0{digits}d}" for i in range(1, len(blocks) + 1)], blocks


def _read_table(path: Path, outlines: Outlines) -> tuple[list[str], list[np.ndarray]]:
    places = (outlines.x, outlines.y)
    table = read_table(path, numbers=places)
    require_columns(table, [outlines.object, *places], str(path))
    names = table[outlines.object]
    if names.isna().any():
        place = table.index[np.flatnonzero(names.isna())[0]]
        raise PhenoloomError(
            f"{path}, {table.index.name} {place}: the column {outlines.object!r} is empty; every point needs an object"
        )
    points = np.stack([_coordinates(table[name], path) for name in places], axis=1)
    codes, ids = names.factorize()
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(ids)))
    return [str(i) for i in ids], [points[part] for part in np.split(order, ends[:-1])]


def _coordinates(column: pd.Series[Any], path: Path) -> np.ndarray:
    """Return the numbers of a column; an empty cell is nan."""
    if pd.api.types.is_float_dtype(column.dtype):
        return column.to_numpy()
    return _numbers(column.fillna("nan").tolist(), column.index.to_numpy(), path, 1, column.index.name)


def _numbers(
    cells: list[str], lines: np.ndarray, path: Path, cells_a_line: int = 2, unit: object = "line"
) -> np.ndarray:
    """Parse numbers; `lines` are the line numbers (from 1) of the cells, for the error message."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        bad = next(i for i, cell in enumerate(cells) if not _is_number(cell))
    raise PhenoloomError(
        f"{path}, {unit} {lines[bad // cells_a_line]}: expected a coordinate in px, found {cells[bad]!r}"
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
