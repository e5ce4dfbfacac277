"""The size of the study in a few numbers, for the top of the page."""

from __future__ import annotations

import pandas as pd

from ..numbers import count
from ..results import Results


def study_facts(results: Results) -> list[tuple[str, str]]:
    """Return numbers of images, objects, plates, wells, units and groups, as label and value."""
    index, sheet = results.index, results.sheet
    found = []
    if sheet is not None and not _from_outlines(results):
        found.append(("images", count(results.image_count)))
    if index is not None:
        tiled = int((index["position"] >= 0).sum())
        if results.folder.tiles.manifests():
            found.append(("tiles", count(tiled)))
        if tiled < len(index) or not results.folder.tiles.manifests():
            found.append(("objects", count(len(index))))
    source = sheet if sheet is not None else index
    if source is not None:
        found += [(f"{word}s", count(n)) for word in ("plate", "well") if (n := _distinct(source, word))]
    if results.split is not None:
        tested = results.split.tested()
        if not tested.unscored:
            found.append((f"{tested.unit}s scored", count(len(tested.units))))
        found.append(("groups", count(len(set(tested.groups)))))
    return found


def _from_outlines(results: Results) -> bool:
    """Whether the study has files of outlines in place of images, so that each row of the sheet is an outline."""
    return any(m["settings"].get("source") == "outlines" for m in results.manifests.get("contours", []))


def _distinct(table: pd.DataFrame, column: str) -> int:
    if column not in table:
        return 0
    # "B03" on two plates is two wells.
    keys = ["plate", "well"] if column == "well" and "plate" in table else [column]
    return len(table.dropna(subset=[column])[keys].drop_duplicates())
