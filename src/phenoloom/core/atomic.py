"""Write files that exist whole or not at all: under another name beside their own, then renamed."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_RANDOM = "?" * 8
"""The end that mkstemp gives a name."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success and remove it on failure.

    Temporary files that killed processes left of the same file are removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_temporaries(path)
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


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write` on a temporary binary file and rename it to `path`."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write(file)


def remove_leftovers(path: Path) -> None:
    """Remove a file, and the temporary files that killed processes left of it."""
    path.unlink(missing_ok=True)
    remove_temporaries(path)


def remove_temporaries(path: Path) -> None:
    """Remove the temporary files that killed processes left of a file, but not the file."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.{_RANDOM}"):
        temporary.unlink(missing_ok=True)
