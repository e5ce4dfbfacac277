"""Manifests: the small file, written last, that makes a stage's result exist.

A manifest holds nothing that differs between two runs of the same code on the same input (no times, no host), so that
a rebuilt result with equal content does not make later steps run again. Time and memory are in `results/benchmarks`.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from ..core.atomic import remove_leftovers, write_atomically
from ..core.errors import PhenoloomError
from .provenance import Provenance

SCHEMA = 1

Quarantine = list[dict[str, str]]
"""Rows `image_id, file, reason` of images that could not be used."""


Rejected = Counter[tuple[str, str]]
"""Counts of objects or tiles left out, by reason and image."""


def by_reason(rejected: Rejected) -> Counter[str]:
    """Return counts summed over images."""
    counts: Counter[str] = Counter()
    for (reason, _), count in rejected.items():
        counts[reason] += count
    return counts


def by_image(rejected: Rejected) -> dict[str, dict[str, int]]:
    """Return counts by image for each reason, sorted, as manifests of shards state them in `rejected_by_image`."""
    counts: dict[str, dict[str, int]] = {}
    for (reason, image), count in sorted(rejected.items()):
        counts.setdefault(reason, {})[image] = count
    return counts


def remove_shard(manifest: Path) -> None:
    """Remove what an earlier run left of a shard, the manifest first: without it the rest does not exist."""
    remove_leftovers(manifest)
    remove_leftovers(manifest.with_suffix(".parquet"))
    store = manifest.with_suffix(".zarr")
    if store.exists():
        shutil.rmtree(store)


@dataclass(frozen=True)
class Manifest:
    """Statements of a stage about its result.

    Attributes:
        stage: Name of the step.
        made_by: Study and settings.
        expected: Counts of what the input announces, by name.
        found: Counts of what was made, by the same names.
        content: Digest of what was written, as hex.
        rejected: Counts of objects or tiles left out, by reason.
        quarantine: Images that could not be used.
        arrays: Shape and dtype of each array of a store, by name.
        facts: Anything else that later steps read.
    """

    stage: str
    made_by: Provenance
    expected: Mapping[str, int]
    found: Mapping[str, int]
    content: str
    rejected: Mapping[str, int] = field(default_factory=dict)
    quarantine: Quarantine = field(default_factory=list)
    arrays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest by atomic rename."""
    values = {
        "schema": SCHEMA,
        "stage": manifest.stage,
        "study": manifest.made_by.study,
        **manifest.made_by.record(),
        "settings": manifest.made_by.settings,
        "expected": manifest.expected,
        "found": manifest.found,
        "rejected": dict(sorted(manifest.rejected.items())),
        "quarantine": manifest.quarantine,
        "arrays": manifest.arrays,
        "content": manifest.content,
        **manifest.facts,
    }
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest; a store without one does not exist."""
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PhenoloomError(
            f"There is no manifest {path}, so the result beside it is not finished; rerun its step"
        ) from None
    except json.JSONDecodeError as error:
        raise PhenoloomError(f"{path} is not a manifest ({error}); delete it and rerun its step") from None
    if manifest.get("schema") != SCHEMA:
        raise PhenoloomError(
            f"{path} has manifest schema {manifest.get('schema')!r}, this version reads {SCHEMA}; rerun its step"
        )
    return manifest


def file_digest(paths: Sequence[Path]) -> str:
    """Return xxh3-128 of the files' bytes, in the order given, as hex."""
    digest = xxhash.xxh3_128()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def refuse_too_many(quarantine: Quarantine, total: int, limit: float, where: str) -> None:
    """Refuse a result with too many images in quarantine.

    Args:
        quarantine: Images that could not be used.
        total: Number of all images.
        limit: Share of `total` that may be in quarantine.
        where: Study or shard, for the message.

    Raises:
        PhenoloomError: More images are in quarantine.
    """
    if total and len(quarantine) / total > limit:
        reasons = Counter(row["reason"] for row in quarantine)
        worst = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
        raise PhenoloomError(
            f"{where}: {len(quarantine)} of {total} images cannot be used, more than max_rejected_fraction = {limit:g} "
            f"allows ({worst}). First: {quarantine[0]['file']}. Repair the files, or raise max_rejected_fraction."
        )
