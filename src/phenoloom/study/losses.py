"""Count what a study loses on the way to its rows, by reason and class: objects, tiles of a grid, and images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..images.objects import LeftOut, fitting_side

OF_IMAGES = frozenset({LeftOut.UNUSABLE, LeftOut.NO_OBJECTS, LeftOut.NO_POINTS, LeftOut.EMPTY_MASK})
"""Reasons that are counted in images; all others are counted in objects, or in tiles of a grid."""


@dataclass(slots=True)
class Counted:
    """A number of things, and of each class.

    Attributes:
        total: The number; a thing with several labels counts once.
        classes: The number in each class.
    """

    total: int = 0
    classes: Counter[str] = field(default_factory=Counter)

    def add(self, labels: pa.ChunkedArray, numbers: NDArray[np.int64] | None = None) -> None:
        """Add one thing for each label (n,), or as many as `numbers` (n,) say; null is no label, a list several."""
        each = np.ones(len(labels), np.int64) if numbers is None else numbers
        self.total += int(each.sum())
        labelled = pd.DataFrame({"label": labels.to_pandas().array, "number": each}).explode("label").dropna()
        self.classes.update({str(name): int(n) for name, n in labelled.groupby("label")["number"].sum().items()})

    def plus(self, other: Counted) -> Counted:
        """Return the sum of both."""
        return Counted(self.total + other.total, self.classes + other.classes)


class Losses:
    """Counts over the shards of a study, which are added one by one.

    Args:
        images: The sheet, with `image_id` and `label`.
    """

    def __init__(self, images: pa.Table) -> None:
        self._images = images
        self._rows, self._sheet = Counted(), Counted()
        self._sheet.add(images["label"])
        self._lost: dict[str, Counted] = {}
        self._rowless: set[str] = set()
        self._sides = np.zeros(1, np.int64)

    def add(self, rows: pa.Table, manifest: Mapping[str, Any]) -> None:
        """Add one shard.

        Args:
            rows: All rows of its table with their `label`, also those of objects without a tile; of tiles with
                `left_out`, `height_px` and `width_px`.
            manifest: Its manifest, which counts by image what has no row.
        """
        self._rows.add(rows["label"])
        if "left_out" in rows.column_names:
            for reason in pc.unique(rows["left_out"].drop_null()).to_pylist():
                self._of(reason).add(rows["label"].filter(pc.equal(rows["left_out"], reason)))
            at_border = pc.equal(rows["left_out"], str(LeftOut.AT_IMAGE_BORDER)).fill_null(False)
            inside = rows.filter(pc.invert(at_border))
            sides = np.maximum(inside["height_px"].to_numpy(), inside["width_px"].to_numpy())
            # On a grid there are no boxes.
            counts = np.bincount(sides[sides > 0], minlength=len(self._sides))
            self._sides = counts + np.pad(self._sides, (0, len(counts) - len(self._sides)))
        for reason, numbers in manifest.get("rejected_by_image", {}).items():
            self._rowless.add(reason)
            self._of(reason).add(self._labels(list(numbers)), np.array(list(numbers.values()), np.int64))
        self._of(LeftOut.UNUSABLE).add(self._labels([row["image_id"] for row in manifest["quarantine"]]))

    def facts(self, unlisted: int) -> dict[str, Any]:
        """Return the counts as the manifest of the index states them.

        Args:
            unlisted: Images that cannot be used and are not in the sheet; their classes are not known.

        Returns:
            `reasons`: for each reason how many were `lost` `of` how many, and both for each of the `classes` as a pair,
            if these are known. Specks (`LeftOut.TOO_SMALL`) are shares of all that was found, other objects of what is
            larger.
            `fitting_px`: side in px of a window that holds 99 % of the objects; None where there are no boxes.
        """
        objects = self._rows
        for reason in self._rowless - OF_IMAGES - {LeftOut.TOO_SMALL}:
            objects = objects.plus(self._of(reason))
        everything = objects.plus(self._of(LeftOut.TOO_SMALL))
        images = Counted(self._sheet.total + unlisted, self._sheet.classes)
        self._of(LeftOut.UNUSABLE).total += unlisted
        # Where labels are those of objects, the classes of what has no row are not known.
        unknown = set() if self._sheet.classes else self._rowless
        stated = []
        for reason, lost in sorted(self._lost.items()):
            of = images if reason in OF_IMAGES else everything if reason == LeftOut.TOO_SMALL else objects
            if lost.total:
                classes = {name: [lost.classes[name], n] for name, n in sorted(of.classes.items())}
                classes = {} if reason in unknown else classes
                stated.append({"reason": str(reason), "lost": lost.total, "of": of.total, "classes": classes})
        return {"reasons": stated, "fitting_px": fitting_side(self._sides)}

    def _of(self, reason: str) -> Counted:
        return self._lost.setdefault(str(reason), Counted())

    def _labels(self, image_ids: list[str]) -> pa.ChunkedArray:
        at = pc.index_in(pa.array(image_ids, pa.string()), value_set=self._images["image_id"].combine_chunks())
        return self._images["label"].take(at)
