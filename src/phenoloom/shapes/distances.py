"""Contours to matrices of Euclidean distances and back, exactly; and the step that stores the matrices of one shard.

The matrix D[i, j] = |p_i - p_j| does not see where a contour lies and how it is turned. `distances_torch` has the same
function for tensors; it is apart so that users of arrays do not import torch.
"""

from __future__ import annotations

from pathlib import Path

import xxhash

from ..artifacts.manifest import Manifest, read_manifest, remove_shard, write_manifest
from ..artifacts.provenance import Provenance
from ..config.rule_settings import DistancesSettings
from ..core.progress import progress
from .distance_matrix import distance_matrices
from .store import ArrayWriter, ContourStore

_BYTES_A_BLOCK = 1 << 26


def store_distances(settings: DistancesSettings, shapes: Path, manifest: Path) -> None:
    """Write the matrices of one shard's contours, in px, as `<manifest>.zarr`; the manifest last."""
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
            Provenance.of(settings),
            expected={"contours": n},
            found={"contours": writer.count},
            arrays=writer.arrays(),
            content=xxhash.xxh3_128_hexdigest(content.encode()),
        ),
    )
