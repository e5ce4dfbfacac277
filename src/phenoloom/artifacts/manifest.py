"""Manifests: the small file, written last, that makes a stage's result exist.

A manifest holds nothing that differs between two runs of the same code on the same input (no times, no host), so that
a rebuilt result with equal content does not make later steps run again. Time and memory are in `results/benchmarks`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from ..config.rule_settings import Settings
from ..core.atomic import remove_leftovers, write_atomically
from ..core.errors import PhenoloomError

SCHEMA = 1
TABLE_KEY = b"phenoloom"

Quarantine = list[dict[str, str]]
"""Rows `image_id, file, reason` of images that could not be used."""


def remove_shard(manifest: Path) -> None:
    """Remove what an earlier run left of a shard, the manifest first: without it the rest does not exist."""
    remove_leftovers(manifest)
    remove_leftovers(manifest.with_suffix(".parquet"))
    store = manifest.with_suffix(".zarr")
    if store.exists():
        shutil.rmtree(store)


@cache
def code_commit() -> str | None:
    """The git commit of the running code: of its checkout, or that which its wheel was built from; None if neither."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A virtual environment may lie in somebody else's checkout.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        # Not a checkout, or a machine without git, as containers are.
        built = here.parent / "commit.txt"
        return built.read_text(encoding="utf-8").strip() if built.exists() else None


def provenance(settings: Settings) -> dict[str, str | None]:
    """What every result says about how it was made: digest of the settings, release and commit of the code."""
    return {
        "settings_sha256": settings.digest(),
        "phenoloom": version("phenoloom"),
        "commit": code_commit(),
    }


def table_metadata(facts: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Schema metadata of a Parquet table that holds `facts` under the key `phenoloom`."""
    return {TABLE_KEY: json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()}


def table_facts(schema: pa.Schema) -> dict[str, Any]:
    """What a Parquet table says of itself; empty where it says nothing."""
    facts: dict[str, Any] = json.loads((schema.metadata or {}).get(TABLE_KEY, b"{}"))
    return facts


def write_manifest(
    path: Path,
    stage: str,
    settings: Settings,
    *,
    expected: dict[str, int],
    found: dict[str, int],
    content: str,
    rejected: Counter[str] | dict[str, int] | None = None,
    quarantine: Quarantine | None = None,
    arrays: dict[str, dict[str, Any]] | None = None,
    **facts: Any,
) -> None:
    """Write a manifest by atomic rename.

    `expected` and `found` count things by name; `rejected` counts objects or tiles left out, by reason; `quarantine`
    lists images left out; `arrays` gives shape and dtype by array name; `content` is the digest of what was written.
    """
    manifest = {
        "schema": SCHEMA,
        "stage": stage,
        "study": settings.study,
        **provenance(settings),
        "settings": settings.model_dump(mode="json"),
        "expected": expected,
        "found": found,
        "rejected": dict(sorted((rejected or {}).items())),
        "quarantine": quarantine or [],
        "arrays": arrays or {},
        "content": content,
        **facts,
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
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
    """xxh3-128 of the files' bytes, in the order given, as hex."""
    digest = xxhash.xxh3_128()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def refuse_too_many(quarantine: Quarantine, total: int, limit: float, where: str) -> None:
    """Fail when more than the fraction `limit` of `total` images was quarantined."""
    if total and len(quarantine) / total > limit:
        reasons = Counter(row["reason"] for row in quarantine)
        worst = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
        raise PhenoloomError(
            f"{where}: {len(quarantine)} of {total} images cannot be used, more than max_rejected_fraction = {limit:g} "
            f"allows ({worst}). First: {quarantine[0]['file']}. Repair the files, or raise max_rejected_fraction."
        )
