"""Manifests: the small file, written last, that makes a stage's result exist.

A manifest holds nothing that differs between two runs of the same code on the same input (no times, no host), so that
a rebuilt result with equal content does not make later steps run again. Time and memory are in `results/benchmarks`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import xxhash

from .config.settings import Settings
from .errors import PhenoloomError

SCHEMA = 1
TABLE_KEY = b"phenoloom"

Quarantine = list[dict[str, str]]
"""Rows `image_id, file, reason` of images that could not be used."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it on success and removed on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results are shared with a group like any other file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_shard(manifest: Path) -> None:
    """Remove what an earlier run left of a shard, the manifest first: without it the rest does not exist."""
    manifest.unlink(missing_ok=True)
    store, table = manifest.with_suffix(".zarr"), manifest.with_suffix(".parquet")
    table.unlink(missing_ok=True)
    for path in (manifest, table):
        for temporary in manifest.parent.glob(f".{path.name}.*"):
            temporary.unlink()
    if store.exists():
        shutil.rmtree(store)


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write` on a temporary binary file and rename it to `path`."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write(file)


@cache
def code_commit() -> str | None:
    """The git commit of the running code: of its checkout, or that which its wheel was built from; None if neither."""
    here = Path(__file__).resolve().parent
    found = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    # A virtual environment may lie in somebody else's checkout.
    tracked = subprocess.run(
        ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
        capture_output=True,
        check=False,
    )
    if found.returncode == 0 and tracked.returncode == 0:
        return found.stdout.strip()
    built = here / "commit.txt"
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
