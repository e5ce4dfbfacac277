"""Give the objects of a study the labels and groups of their rows in the table of objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..artifacts.manifest import read_manifest
from ..artifacts.parquet import read_result
from ..core.errors import PhenoloomError
from ..images.objects import LeftOut
from .examples import MOST_EXAMPLES, Examples

ROWS_OF_POINTS = "points"
"""Column of the tables of tiles and contours with the rows of the table of objects whose points lie in the object."""

_BETWEEN = "\x1f"
"""Separator that no label has: the characters that cannot be seen are refused. Pandas cuts texts at a NUL."""

NO_SUCH_NUMBER = "no object of this number in the mask"
LEFT_OUT_OR_NONE = "number of an object that was left out, or of none"
"""Of a row about an image of which objects were left out: those have no row in the tables, and so no number."""

_FROM_TABLE = ("section", "table", "rows_without_image", "unusable_rows", "repeated_points")
"""Facts that the manifest of the table of objects and that of the index both state."""


class LabelledObjects:
    """The table of objects of a study, joined shard by shard to the objects that were found.

    An object has the label and the group of its row. One without a row, or with an empty cell, has none, since those of
    its image may not be meant for it; neither has one whose rows contradict each other.

    Args:
        manifest: That of the step `objects`; the table lies beside it.
    """

    def __init__(self, manifest: Path) -> None:
        self._made = read_manifest(manifest)
        self._table = manifest.with_suffix(".parquet")
        self._matched = self._quarantined = self._without_row = 0
        self._lost: dict[str, Examples] = {}
        # Rows that may be about an object that was left out, which is no mistake.
        self._excused = 0
        self._torn = Examples()

    @property
    def gives_labels(self) -> bool:
        """Return whether labels are those of objects, so that those of images are not used."""
        return bool(self._made["labels"])

    def join(self, rows: pa.Table, shard: str, manifest: Mapping[str, Any]) -> pa.Table:
        """Return the rows of a shard with the labels and groups of objects, where the table has them.

        Args:
            rows: Rows with `id, image_id, object, label, group`, and `points` where the table has points in objects.
            shard: Name of the shard.
            manifest: Its manifest, which states the images that could not be used, objects that have no row, and points
                in no object.
        """
        given = read_result(self._table, filters=[("shard", "=", shard)])
        at = _rows_with_points(given, rows) if self._made["by_point"] else _rows_with_numbers(given, rows)
        self._count(given, at, manifest)
        source = self._choose(given, at, rows)
        index = pa.array(source, mask=source < 0)
        for name, used in (("label", self._made["labels"]), ("group", self._made["groups"])):
            if used:
                place = rows.schema.get_field_index(name)
                rows = rows.set_column(place, given.schema.field(name), given[name].combine_chunks().take(index))
        return rows

    def finish(self) -> dict[str, Any]:
        """Return what the manifest of the index states about the table.

        Raises:
            PhenoloomError: Most rows have no object.
        """
        # A row for an object that the study leaves out is no mistake.
        strange = {why: some for why, some in self._lost.items() if why != LeftOut.IN_NO_KEPT_OBJECT and some.count}
        count = sum(some.count for some in strange.values()) - self._excused
        if count > self._matched:
            raise self._wrong_join(strange, count)
        return {
            **{name: self._made[name] for name in _FROM_TABLE},
            "rows": self._made["expected"]["rows"],
            "rows_with_object": self._matched,
            "rows_in_quarantine": self._quarantined,
            "rows_without_object": {reason: some.facts() for reason, some in self._lost.items() if some.count},
            "contradictory_objects": self._torn.facts(),
            "objects_without_row": self._without_row,
        }

    def _count(self, given: pa.Table, at: NDArray[np.int64], manifest: Mapping[str, Any]) -> None:
        quarantined = sorted({row["image_id"] for row in manifest["quarantine"]})
        bad = pc.is_in(given["image_id"], value_set=pa.array(quarantined, pa.string())).to_numpy()
        self._matched += int((at >= 0).sum())
        self._quarantined += int(((at < 0) & bad).sum())
        if not self._made["places"]:
            self._count_numbers(given, np.flatnonzero((at < 0) & ~bad), manifest)
            return
        lines = given["line"].to_numpy()
        for reason, some in manifest.get("points", {}).items():
            rows = np.searchsorted(lines, some["rows"], sorter=(order := np.argsort(lines)))
            self._add(reason, some["count"], _examples(given, order[rows]))

    def _count_numbers(self, given: pa.Table, lost: NDArray[np.int64], manifest: Mapping[str, Any]) -> None:
        """Count rows whose number no object of the tables has, apart where objects of their image were left out."""
        left_out = Counter[str]()
        for numbers in manifest.get("rejected_by_image", {}).values():
            left_out.update(numbers)
        images = given["image_id"].take(pa.array(lost)).to_pylist()
        doubtful = np.array([left_out[image] > 0 for image in images], bool)
        for reason, rows in ((NO_SUCH_NUMBER, lost[~doubtful]), (LEFT_OUT_OR_NONE, lost[doubtful])):
            self._add(reason, len(rows), _examples(given, rows))
        self._excused += sum(min(count, left_out[image]) for image, count in Counter(images).items())

    def _add(self, reason: str, count: int, examples: list[str]) -> None:
        self._lost.setdefault(reason, Examples()).add(examples, count)

    def _choose(self, given: pa.Table, at: NDArray[np.int64], rows: pa.Table) -> NDArray[np.int64]:
        """Return the row of `given` that each object takes its label from, -1 for none."""
        found = np.flatnonzero(at >= 0)
        pairs = pd.DataFrame({"object": at[found], "row": found, "says": _sayings(given)[found]})
        first = pairs.drop_duplicates("object")
        source = np.full(rows.num_rows, -1)
        source[first["object"]] = first["row"]
        shown = np.ones(rows.num_rows, bool)
        if "left_out" in rows.column_names:
            shown = pc.is_null(rows["left_out"]).to_numpy()
        self._without_row += int((shown & (source < 0)).sum())
        distinct = pairs.drop_duplicates(["object", "says"])
        torn = distinct.loc[distinct["object"].duplicated(), "object"].unique()
        source[torn] = -1
        self._torn.add(rows["id"].take(pa.array(torn[:MOST_EXAMPLES])).to_pylist(), len(torn))
        return source

    def _wrong_join(self, strange: Mapping[str, Examples], count: int) -> PhenoloomError:
        reason, some = max(strange.items(), key=lambda item: item[1].count)
        section = self._made["section"]
        advice = (
            f"correct `source.{section}.object` and `join`: numbers are the values of the mask files"
            if not self._made["places"]
            else f"correct `source.{section}.x` and `y`, which are in px from the top left corner of the image (not in "
            "µm), and `join`"
        )
        return PhenoloomError(
            f"Only {self._matched} of {self._matched + count} rows of {self._made['table']} belong to an object of "
            f"their image; most do not ({reason}), for example {some.names[0]}; {advice}"
        )


def _rows_with_numbers(given: pa.Table, rows: pa.Table) -> NDArray[np.int64]:
    """Return the position of the object of each row, by image and number; -1 for none."""
    names = ["image_id", "object"]
    objects = rows.select(names).to_pandas()
    objects["at"] = np.arange(len(objects))
    found: pd.Series[float] = given.select(names).to_pandas().merge(objects, on=names, how="left")["at"]
    return np.asarray(found.fillna(-1), np.int64)


def _rows_with_points(given: pa.Table, rows: pa.Table) -> NDArray[np.int64]:
    """Return the position of the object in which the point of each row lies; -1 for none."""
    points = rows[ROWS_OF_POINTS].combine_chunks()
    if points.null_count:
        raise PhenoloomError(
            "The tiles or contours were made without the points of the table of objects; rerun `convert` or `contours`"
        )
    owner = pd.Series(pc.list_parent_indices(points).to_numpy(), index=pc.list_flatten(points).to_numpy())
    return np.asarray(pd.Series(given["line"].to_numpy()).map(owner).fillna(-1), np.int64)


def _sayings(given: pa.Table) -> NDArray[np.int64]:
    """Return a number for what each row says about its object: equal for equal labels, in any order, and groups."""
    labels = given["label"]
    if pa.types.is_list(labels.type):
        labels = pc.binary_join(labels, _BETWEEN)
    codes, texts = pd.factorize(labels.to_numpy())
    in_order = [_BETWEEN.join(sorted(text.split(_BETWEEN))) for text in texts]
    codes_of_sets = pd.factorize(np.array([*in_order, ""], object))[0]
    groups = pd.factorize(given["group"].to_numpy())[0]
    return np.asarray(codes_of_sets[codes].astype(np.int64) * (len(given) + 1) + groups, np.int64)


def _examples(given: pa.Table, rows: NDArray[np.int64]) -> list[str]:
    found = given.take(pa.array(rows[:MOST_EXAMPLES])).to_pylist()
    return [
        f"row {row['line'] + 1} (image {row['image_id']!r}, "
        + (f"object {row['object']})" if row["x"] is None else f"x {row['x']:g}, y {row['y']:g})")
        for row in found
    ]
