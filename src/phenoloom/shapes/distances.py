"""The step that stores the distance matrices of one shard's contours."""

from __future__ import annotations

from pathlib import Path

import xxhash

from ..artifacts.manifest import Manifest, read_manifest, remove_shard, write_manifest
from ..artifacts.provenance import Provenance
from ..core.progress import progress
from .distance_matrix import distance_matrices
from .store import ArrayWriter, ContourStore

_BYTES_A_BLOCK = 1 << 26


def store_distances(shapes: Path, manifest: Path, made_by: Provenance) -> None:
    """Write the distance matrices (n, points, points) of one shard's contours, in px, as `<manifest>.zarr`.

    One block of contours is in memory at a time; the manifest is written last.

    Args:
        shapes: Manifest of the shard's contours.
        manifest: File to write; the store lies beside it.
        made_by: Study and settings of the step.
    """
    remove_shard(manifest)
    contours = ContourStore(shapes)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    n, points, _ = contours.shape
    attributes = {"axes": ["contour", "point", "point"], "unit": "px", "order": "as in shapes/ of the same shard"}
    writer = ArrayWriter(manifest.with_suffix(".zarr"), "distances", (points, points), attributes)
    rows = max(1, _BYTES_A_BLOCK // (4 * points * points))
    blocks = progress(contours.blocks(rows), -(-n // rows), f"distances of shard {manifest.stem}", "block")
    for _, block in blocks:
        writer.append(distance_matrices(block))
    content = writer.close() + read_manifest(shapes)["content"]
    write_manifest(
        manifest,
        Manifest(
            "distances",
            made_by,
            expected={"contours": n},
            found={"contours": writer.count},
            arrays=writer.arrays(),
            content=xxhash.xxh3_128_hexdigest(content.encode()),
        ),
    )
