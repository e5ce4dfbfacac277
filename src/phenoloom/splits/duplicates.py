"""Images of one study that another study has too, recognised by the digest of their pixels."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pandas as pd
from numpy.typing import NDArray


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
