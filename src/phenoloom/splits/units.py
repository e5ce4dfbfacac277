"""Units, the things that are classified: which one a row of the index belongs to."""

from __future__ import annotations

import pandas as pd

from ..config.base import Unit


def unit_ids(rows: pd.DataFrame, unit: Unit) -> pd.Series[str]:
    """Return the unit of each row of `id, image_id, plate, well`: the row itself, its image, or "plate/well".

    A well without a plate has its own name; a row without a well has no unit (null) where units are wells.
    """
    if unit == "image":
        return rows["image_id"]
    if unit != "well":
        return rows["id"]
    wells: pd.Series[str] = rows["well"].where(rows["plate"].isna(), rows["plate"].fillna("") + "/" + rows["well"])
    return wells
