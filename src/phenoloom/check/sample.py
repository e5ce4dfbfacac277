"""Choose a few images of a study that stand for all: of every kind, spread over the plates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from posixpath import splitext

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ..core.spread import spread_positions

MOST = 8
"""Images that are read of a study in which all can be read."""

MOST_OF_SMALL, SMALL_BYTES = 32, 1 << 24
"""Images that are read of a study with no more than these, and with files of this size in all."""

MORE = 24
"""Images that are read besides, of the kinds of which one cannot be used."""

MOST_BYTES = 1 << 29
"""Size of the files of an image above which it is not read, since a check takes seconds."""


def kinds(table: pa.Table) -> NDArray[np.int64]:
    """Return the number of the kind of each row of a sheet (rows,); those to look at first have the lowest numbers.

    Images are of one kind if their files (or their masks, where they have no files) have the same endings and are as
    many, and if their sizes differ by a factor of four at most. Of each set of endings the most frequent size comes
    first.
    """
    masks = table["mask"].to_pylist()
    names = [_endings(files or [mask or ""]) for files, mask in zip(table["files"].to_pylist(), masks, strict=True)]
    size = np.log2(np.maximum(table["bytes"].to_numpy(), 1)).astype(np.int64) // 2
    frame = pd.DataFrame({"endings": pd.factorize(pd.Series(names, dtype=object))[0], "size": size})
    counts = frame.groupby(["endings", "size"], sort=False).size().rename("images").reset_index()
    counts = counts.sort_values("images", ascending=False, kind="stable")
    counts["turn"] = counts.groupby("endings").cumcount()
    counts = counts.sort_values("turn", kind="stable").reset_index(drop=True)
    counts["kind"] = counts.index
    return frame.merge(counts, how="left", on=["endings", "size"])["kind"].to_numpy(np.int64)


def spread_over(kind: NDArray[np.int64], most: int) -> list[int]:
    """Return the numbers of up to `most` rows: one of each kind in turn, spread over the rows of the kind."""
    rows = [np.flatnonzero(kind == name) for name in np.unique(kind)]
    turns = zip_longest(*(_spread(members) for members in rows))
    found = (row for turn in turns for row in turn if row is not None)
    return list(islice(found, most))


def _spread(members: NDArray[np.int64]) -> Iterator[int]:
    return (int(members[place]) for place in spread_positions(len(members)))


def _endings(files: Sequence[str]) -> str:
    return f"{len(files)} {sorted({splitext(file)[1].lower() for file in files})}"
