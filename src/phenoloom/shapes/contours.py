"""The step that turns outlines into contours: closed, of equal point count, in one standard order, centred.

Of an object with several components the largest is taken (`components` counts them), holes are ignored (`holes` counts
them), contact with the border is flagged or the object dropped, and an outline may touch or cross itself. What is left
out is counted by reason. Points are distinct if they differ from the next one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ..artifacts.manifest import (
    Manifest,
    Quarantine,
    Rejected,
    by_image,
    by_reason,
    refuse_too_many,
    remove_shard,
    write_manifest,
)
from ..artifacts.provenance import Provenance
from ..config.rule_settings import ContoursSettings
from ..core.progress import progress
from ..images.objects import LeftOut
from ..study.points import Lost, LostPoints
from .batch import Batch, OutlineSource
from .polygons import Floats, perimeters, signed_areas, standard_contours, without_repeats
from .store import CONVENTIONS, TABLE, ArrayWriter, write_table

# An area below this share of the squared perimeter is rounding, or a curve that runs back along itself.
_LEAST_AREA = 1e-9


@dataclass(frozen=True)
class ContourPolicy:
    """Rules by which outlines become contours.

    Attributes:
        points: Points of a contour.
        min_points: Distinct points that an outline needs.
        border: Whether objects that touch the border are kept, with a flag, or dropped.
        max_rejected_fraction: Share of images that may be unusable.
    """

    points: int
    min_points: int
    border: Literal["keep", "drop"]
    max_rejected_fraction: float

    @classmethod
    def of(cls, settings: ContoursSettings) -> ContourPolicy:
        """Return the rules that the settings of `contours` state."""
        return cls(settings.points, settings.min_points, settings.border, settings.max_rejected_fraction)


def extract_contours(
    source: OutlineSource, rows: pa.Table, policy: ContourPolicy, manifest: Path, threads: int, made_by: Provenance
) -> None:
    """Write the contours of one shard: `<manifest>.zarr`, its table, and the manifest last.

    Memory holds a few batches of outlines and the rows of the table, whatever the size of the shard.

    Args:
        source: Where the outlines come from.
        rows: The shard's rows of the sheet.
        policy: Which outlines become contours, and of how many points.
        manifest: File to write, `<shard>.json`; the store and the table lie beside it.
        threads: Threads that read and trace masks; the result does not depend on them.
        made_by: Study and settings of the step.

    Raises:
        PhenoloomError: The source has no outlines for these rows, or too many images cannot be used.
    """
    remove_shard(manifest)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    writer = ArrayWriter(manifest.with_suffix(".zarr"), "contours", (policy.points, 2), {"conventions": CONVENTIONS})
    tables: list[pa.Table] = []
    rejected: Rejected = Counter()
    quarantine: Quarantine = []
    lost, objects = LostPoints(), 0
    total, parts = source.batches(rows, threads)
    for batch in progress(parts, total, f"contours of shard {manifest.stem}", "batch"):
        objects += len(batch.polygons) + batch.rejected.total()
        quarantine += batch.quarantine
        rejected += batch.rejected
        contours, table = accepted(policy, batch, rejected)
        lost.add(batch.lost)
        lost.add(_points_without(batch, table))
        writer.append(contours)
        tables.append(table)
    where = f"Contours of shard {manifest.stem}"
    refuse_too_many(quarantine, rows.num_rows, policy.max_rejected_fraction, where)
    content = writer.close() + write_table(manifest, pa.concat_tables([TABLE.empty_table(), *tables]))
    write_manifest(
        manifest,
        Manifest(
            "contours",
            made_by,
            expected={"images": rows.num_rows, "contours": objects},
            found={"images": rows.num_rows - len(quarantine), "contours": writer.count},
            rejected=by_reason(rejected),
            quarantine=quarantine,
            arrays=writer.arrays(),
            content=xxhash.xxh3_128_hexdigest(content.encode()),
            facts={
                "source": source.kind,
                "rejected_by_image": by_image(rejected),
                "points": lost.facts(),
                **source.facts(),
            },
        ),
    )


def accepted(policy: ContourPolicy, batch: Batch, rejected: Rejected) -> tuple[Floats, pa.Table]:
    """Return contours (n, points, 2) and table rows of the outlines that follow the policy.

    Args:
        policy: Which outlines become contours.
        batch: The outlines.
        rejected: Counts of what was left out, by reason and image; they are added to.
    """
    polygons = without_repeats(batch.polygons)
    keep = np.ones(len(polygons), bool)

    def drop(where: np.ndarray, reason: str) -> None:
        images = pa.array(batch.columns["image_id"], pa.string()).filter(pa.array(keep & where))
        rejected.update((reason, image) for image in images.to_pylist())
        keep[where] = False

    if policy.border == "drop":
        drop(np.asarray(batch.columns["border"], bool), LeftOut.AT_BORDER)
    drop(polygons.counts < policy.min_points, LeftOut.TOO_FEW_POINTS)
    some = polygons.select(keep)
    flat = np.zeros(len(polygons), bool)
    flat[keep] = np.abs(signed_areas(some)) <= _LEAST_AREA * perimeters(some) ** 2
    drop(flat, LeftOut.NO_AREA)
    contours, centres, scales = standard_contours(polygons.select(keep), policy.points)
    columns = {"points": pa.nulls(int(keep.sum()))}
    columns |= {name: pa.array(values).filter(pa.array(keep)) for name, values in batch.columns.items()}
    columns |= {
        "scale": pa.array(scales.astype(np.float32)),
        "centre_y": pa.array(centres[:, 1].astype(np.float32)),
        "centre_x": pa.array(centres[:, 0].astype(np.float32)),
        "vertices": pa.array(polygons.counts[keep]),
    }
    return contours, pa.table([columns[f.name].cast(f.type) for f in TABLE], schema=TABLE)


def _points_without(batch: Batch, kept: pa.Table) -> Lost:
    """Return the rows of the table of objects whose points lie in an object without a contour."""
    if "points" not in batch.columns:
        return {}
    rows, found = (pc.list_flatten(points) for points in (pa.array(batch.columns["points"]), kept["points"]))
    lost = rows.filter(pc.invert(pc.is_in(rows, value_set=found))).to_pylist()
    return {str(LeftOut.IN_NO_KEPT_OBJECT): sorted(lost)} if lost else {}
