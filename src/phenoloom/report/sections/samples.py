"""Samples of each class: tiles or contours, chosen at random with the seed of the study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from ...artifacts.layout import ShardFolder
from ...tiles.store import TileStore
from ..charts.pictures import (
    Gallery,
    colours_of,
    contour_picture,
    contrast_limits,
    explain,
    mask_outlines,
    tile_picture,
)
from ..numbers import amount, count, percent
from ..results import Results, read_table

MOST_CLASSES = 24
UNLABELLED = "no label"

Groups = dict[str, pd.DataFrame]


class SampleContours:
    """Single contours of a study, found by the id of their tile or object.

    Args:
        folder: the stores of contours.
    """

    def __init__(self, folder: ShardFolder) -> None:
        self._folder, self._stores = folder, folder.stores()
        self._tables: dict[str, pd.DataFrame] = {}

    def __bool__(self) -> bool:
        return bool(self._stores)

    def table(self, shard: str) -> pd.DataFrame | None:
        """Return the rows of a shard by id, with their position in the store; None if the shard has no contours."""
        if shard not in self._tables and shard in self._stores:
            rows = read_table(self._folder.table(shard), ("id", "centre_x", "centre_y"))
            if rows is not None:
                self._tables[shard] = rows.assign(position=np.arange(len(rows))).set_index("id")
        return self._tables.get(shard)

    def read(self, shard: str, positions: list[int]) -> NDArray[np.float32]:
        """Read contours (n, points, 2) in px, with their centroid at the origin."""
        array = zarr.open_array(self._stores[shard] / "contours", mode="r")
        return np.stack([np.asarray(array[position]) for position in positions]).astype(np.float32)

    def on_tile(self, row: pd.Series) -> NDArray[np.float32] | None:
        """Return the contour (points, 2) of a tile's object in px of the tile; None if it has none."""
        table = self.table(str(row["shard"]))
        if table is None or row["id"] not in table.index:
            return None
        place = table.loc[row["id"]]
        contour = self.read(str(row["shard"]), [int(place["position"])])[0]
        moved: NDArray[np.float32] = contour + np.asarray(
            [place["centre_x"] - row["x"], place["centre_y"] - row["y"]], np.float32
        )
        return moved


def sample_rows(index: pd.DataFrame, number: int, seed: int) -> Groups:
    """Choose up to `number` random rows of each class, the most frequent classes first.

    Args:
        index: the index of the study; if it has no labels, its rows form one group.
        number: rows of each class.
        seed: seed of the choice.
    """
    rows = index.explode("label") if "label" in index else index.assign(label=None)
    rows = rows.assign(label=rows["label"].map(lambda v: UNLABELLED if v is None or v != v else str(v)))
    labels = rows["label"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    if len(labels) > 1:
        labels = labels.drop(UNLABELLED, errors="ignore")
    rng = np.random.default_rng(seed)
    chosen = {}
    for label in labels.index[:MOST_CLASSES]:
        members = rows[rows["label"] == label].sort_values("id")
        picked = np.sort(rng.choice(len(members), min(number, len(members)), replace=False))
        chosen[str(label)] = members.iloc[picked]
    return chosen


def sample_gallery(results: Results, number: int, seed: int) -> Gallery | None:
    """Draw samples of each class: composites of tiles with outlines, or contours if the study has no tiles.

    Args:
        results: results of the study.
        number: samples of each class.
        seed: seed of the choice.

    Returns:
        The samples, or None if there are neither tiles nor contours.
    """
    if results.index is None or results.index.empty:
        return None
    # Objects that are larger than a tile have none to show.
    index = results.index[results.index["position"] >= 0]
    if index.empty:
        return None
    chosen = sample_rows(index, number, seed)
    tiles, contours = results.folder.tiles.stores(), SampleContours(results.folder.shapes)
    if tiles:
        gallery = _tile_gallery(chosen, tiles, contours, results)
    elif contours:
        gallery = _contour_gallery(chosen, contours)
    else:
        return None
    rest = index["label"].explode().nunique() - len(chosen) if "label" in index else 0
    if rest <= 0:
        return gallery
    caption = f"{gallery.caption} {count(rest)} other classes, which are no more frequent, are not shown."
    return Gallery(caption, gallery.groups, gallery.channels)


class _Marks:
    """What shows on a tile whether its objects were found: their outlines, or the share of foreground without objects.

    Args:
        folder: the tables of tiles.
        stores: the stores of tiles.
        contours: contours of objects; where there are none, masks are outlined.
    """

    def __init__(self, folder: ShardFolder, stores: dict[str, Path], contours: SampleContours) -> None:
        self._folder, self._stores, self._contours = folder, stores, contours
        self._foreground: dict[str, dict[int, float]] = {}
        self.shares = False

    def of(self, row: pd.Series) -> tuple[list[NDArray[np.float32]], str]:
        """Return outlines (points, 2) in px of the tile, and a note."""
        if self._contours:
            contour = self._contours.on_tile(row)
            return ([] if contour is None else [contour]), ""
        shard, position = str(row["shard"]), int(row["position"])
        store = TileStore(self._stores[shard])
        if store.has_masks:
            return mask_outlines(store.read_masks([position])[0]), ""
        if shard not in self._foreground:
            table = read_table(self._folder.table(shard), ("position", "foreground"))
            known = [] if table is None else zip(table["position"], table["foreground"], strict=True)
            self._foreground[shard] = {int(place): float(share) for place, share in known}
        share = self._foreground[shard].get(position)
        self.shares |= share is not None
        return [], "" if share is None else percent(share)


def _tile_gallery(chosen: Groups, stores: dict[str, Path], contours: SampleContours, results: Results) -> Gallery:
    tiles = {label: _read_tiles(stores, rows) for label, rows in chosen.items()}
    everything = np.concatenate(list(tiles.values()))
    limits, colours = contrast_limits(everything), colours_of(results.channels)
    marks = _Marks(results.folder.tiles, stores, contours)
    groups = [
        (
            label,
            [
                tile_picture(tile, limits, colours, f"Tile {row['id']}, class {label}", *marks.of(row))
                for tile, (_, row) in zip(tiles[label], rows.iterrows(), strict=True)
            ],
        )
        for label, rows in chosen.items()
    ]
    height, width = everything.shape[2:]
    pixel_size = results.convert_settings.get("pixel_size_um")
    physical = f" ({width * pixel_size:.3g} µm wide)" if pixel_size else ""
    caption = (
        f"Random tiles{_of_classes(chosen)}, {width} × {height} px{physical}, all with the same contrast limits "
        f"(percentiles 0.5 and 99.8 of the {amount(len(everything), 'tile')} shown, without "
        "padding). Previews are 8-bit; the store keeps every bit."
    )
    if marks.shares:
        caption += " Below each tile: the share of it that counts as foreground."
    return Gallery(caption, groups, explain(results.channels, limits))


def _of_classes(chosen: Groups) -> str:
    return "" if set(chosen) == {UNLABELLED} else " of each class"


def _read_tiles(stores: dict[str, Path], rows: pd.DataFrame) -> NDArray[Any]:
    opened = {shard: TileStore(stores[shard]) for shard in rows["shard"].unique()}
    return np.concatenate([opened[s].read([int(p)]) for s, p in zip(rows["shard"], rows["position"], strict=True)])


def _contour_gallery(chosen: Groups, contours: SampleContours) -> Gallery:
    outlines = {
        label: [contours.read(str(s), [int(p)])[0] for s, p in zip(rows["shard"], rows["position"], strict=True)]
        for label, rows in chosen.items()
    }
    extents = np.asarray([np.abs(o).max() for group in outlines.values() for o in group])
    # Sizes are comparable in most studies; if they are not, a common scale would shrink objects to dots.
    common = float(extents.max()) if np.quantile(extents, 0.1) > extents.max() / 4 else None
    groups = [
        (
            label,
            [
                contour_picture([outline], f"Contour {id_}, class {label}", common)
                for outline, id_ in zip(outlines[label], rows["id"], strict=True)
            ],
        )
        for label, rows in chosen.items()
    ]
    scale = f"all at one scale (frame {2.16 * common:.0f} px)" if common else "each scaled to its frame"
    return Gallery(f"Random contours{_of_classes(chosen)}, {scale}.", groups)
