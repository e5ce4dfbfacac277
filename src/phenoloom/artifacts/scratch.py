"""Node-local scratch: write a store there and move it when it is whole; read copies of stores from there.

Parallel file systems are slow where many jobs write small pieces or read at random. Results do not depend on it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from .manifest import read_manifest, remove_shard

HEADROOM = 1.1
"""Bytes that must stay free after a copy."""


def scratch_folder(text: str) -> Path | None:
    """Return the folder that `text` names on this machine, with variables (`$TMPDIR`) replaced; None for an empty text.

    Raises:
        PhenoloomError: A variable is not set, or the folder does not exist.
    """
    if not text:
        return None
    folder = Path(os.path.expandvars(text)).expanduser()
    unset = re.search(r"\$\{?(\w+)", str(folder))
    if unset:
        raise PhenoloomError(f"scratch is {text!r}, and ${unset[1]} is not set on this machine; give a folder instead")
    if not folder.is_dir():
        raise PhenoloomError(f"scratch is {text!r}, and there is no folder {folder} on this machine")
    return folder


@contextmanager
def staged_output(manifest: Path, scratch: Path | None, need_bytes: int = 0) -> Iterator[Path]:
    """Yield the manifest of the shard to write: `manifest` itself, or one on scratch beside its table and store.

    From scratch they are moved when the body succeeds: the store first, the manifest last and atomically. Where scratch
    has less than `need_bytes` free, `manifest` itself is yielded, with a note on stderr.
    """
    if scratch is None or not _fits(scratch, need_bytes, manifest):
        yield manifest
        return
    remove_shard(manifest)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="phenoloom-", ignore_cleanup_errors=True) as temporary:
        staged = Path(temporary) / manifest.parent.name / manifest.name
        staged.parent.mkdir()
        yield staged
        shutil.copytree(staged.with_suffix(".zarr"), manifest.with_suffix(".zarr"))
        for name in (manifest.with_suffix(".parquet").name, manifest.name):
            with atomic_path(manifest.with_name(name)) as target:
                shutil.copyfile(staged.with_name(name), target)


@contextmanager
def staged_stores(manifests: Sequence[Path], scratch: Path | None) -> Iterator[list[Path]]:
    """Yield manifests of copies on scratch, shared by all processes of this machine; the last one removes the copies.

    Where scratch is too small for all of them, `manifests` themselves are yielded, with a note on stderr.
    """
    need = sum(_bytes_of(path) for path in manifests) if scratch else 0
    if scratch is None or not manifests or not _fits(scratch, need, manifests[0].parent):
        yield list(manifests)
        return
    with _shared_copies(manifests, scratch) as copies:
        yield copies


@contextmanager
def _shared_copies(manifests: Sequence[Path], scratch: Path) -> Iterator[list[Path]]:
    names = [f"{path.resolve()}\0{read_manifest(path)['content']}" for path in manifests]
    key = hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]
    folder = scratch / f"phenoloom-{os.getuid()}-{key}"
    # Shards of several studies have the same names.
    copies = [folder / Path(*path.resolve().parts[-3:]) for path in manifests]
    lock = _locked(folder, fcntl.LOCK_SH)
    if not all(copy.exists() for copy in copies):
        os.close(lock)
        lock = _locked(folder, fcntl.LOCK_EX)
    try:
        for path, copy in zip(manifests, copies, strict=True):
            _copy(path, copy)
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield copies
    finally:
        _release(lock, folder)


def _copy(manifest: Path, copy: Path) -> None:
    # The manifest is copied last: a copy that a kill cut short has none and is made anew.
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(manifest.with_suffix(".zarr"), copy.with_suffix(".zarr"), dirs_exist_ok=True)
        with atomic_path(copy) as target:
            shutil.copyfile(manifest, target)


def _locked(folder: Path, kind: int) -> int:
    """Hold a lock beside the folder; one on a file that its last holder has just removed does not count."""
    path = folder.with_suffix(".lock")
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, kind)
        if path.exists() and os.path.samestat(os.fstat(lock), path.stat()):
            return lock
        os.close(lock)


def _release(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass  # Others still read it.
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".lock").unlink(missing_ok=True)
    os.close(lock)


def _bytes_of(manifest: Path) -> int:
    return sum(path.stat().st_size for path in manifest.with_suffix(".zarr").rglob("*") if path.is_file())


def _fits(scratch: Path, need_bytes: int, what: Path) -> bool:
    free = shutil.disk_usage(scratch).free
    if free >= need_bytes * HEADROOM:
        return True
    print(
        f"scratch {scratch} has {free / 1e9:.1f} GB free and {what} needs {need_bytes * HEADROOM / 1e9:.1f} GB; "
        "it is used where it is",
        file=sys.stderr,
    )
    return False
