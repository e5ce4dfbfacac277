"""Images of one study that another study has too, recognised by the digest of their pixels."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components


def digests_of(rows: pd.DataFrame) -> frozenset[str]:
    """Digests of the images of an index, as far as it has them; an image of one value has none."""
    return frozenset(rows["digest"].dropna()) - {""} if "digest" in rows else frozenset()


def with_copies(rows: pd.DataFrame, digests: Set[str]) -> NDArray[np.bool_]:
    """Mask of the rows of whole groups that hold an image of these `digests`.

    The other images of a well with a copy show the same cells an hour or a field away. `rows` are those of an index
    with `unit_group`, the group as the folds have it; a row outside every unit goes by its image.
    """
    same = np.zeros(len(rows), bool)
    if digests and "digest" in rows:
        same = rows["digest"].isin(digests).to_numpy()
    groups = rows["unit_group"].fillna(rows["image_id"])
    return np.asarray(groups.isin(set(groups[same])), bool)


def _merge_duplicates(rows: pd.DataFrame) -> tuple[pd.Series[str], int]:
    """Groups with images of equal content joined under the smallest name, and the number of groups that vanished."""
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
