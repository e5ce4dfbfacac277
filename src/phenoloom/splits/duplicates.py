"""Images with equal pixels, within a study and across studies, recognised by the digest of their pixels."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components


def digests_of(rows: pd.DataFrame) -> frozenset[str]:
    """Return the digests of the images of an index; an image of one value everywhere has none."""
    return frozenset(rows["digest"].dropna()) - {""} if "digest" in rows else frozenset()


def with_copies(rows: pd.DataFrame, digests: Set[str]) -> NDArray[np.bool_]:
    """Return the mask of the rows of whole groups that hold an image with one of these digests (rows,).

    The other images of a well with a copy show the same cells an hour or a field away, so they are left out with it.

    Args:
        rows: Rows of an index with `unit_group`, the group that the split has for each; a row outside every unit is
            judged by its image alone.
        digests: Those of the images of another study.
    """
    same = np.zeros(len(rows), bool)
    if digests and "digest" in rows:
        same = rows["digest"].isin(digests).to_numpy()
    groups = rows["unit_group"].fillna(rows["image_id"])
    return np.asarray(groups.isin(set(groups[same])), bool)


def merge_duplicates(rows: pd.DataFrame) -> tuple[pd.Series[str], int]:
    """Join the groups that share an image of equal content, also through other groups, under the smallest name.

    Args:
        rows: Rows of an index with `image_id`, `group` and `digest`.

    Returns:
        The group of each row, and the number of names that vanished.
    """
    content = rows.loc[rows["digest"].fillna("") != "", ["digest", "image_id", "group"]].drop_duplicates()
    copies = content.groupby("digest")["image_id"].transform("nunique") > 1
    content = content[copies]
    if content.empty:
        return rows["group"], 0
    digests, _ = pd.factorize(content["digest"])
    groups, names = pd.factorize(content["group"], sort=True)
    size = len(names) + int(digests.max()) + 1
    edges = scipy.sparse.coo_matrix((np.ones(len(content)), (groups, len(names) + digests)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    # Names are sorted, so the first of a component is its smallest.
    first = pd.Series(names).groupby(component[: len(names)]).transform("first")
    rename = {old: new for old, new in zip(names, first, strict=True) if old != new}
    return rows["group"].map(rename).fillna(rows["group"]), len(rename)
