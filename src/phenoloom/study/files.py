"""Find the files of a study below its root, by pattern, in a listing, or by name; never outside the root."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath

from ..core.errors import ImageError, PhenoloomError
from .patterns import Pattern

Match = tuple[str, dict[str, str]]
"""A path relative to the root, with `/` between folders, and the fields of the pattern."""


class Root:
    """The folder that all files of a study lie in; a path that leads out of it is refused."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise PhenoloomError(f"There is no folder {folder} of raw data; correct `source.root` or `data_root`")
        self._real = self.folder.resolve()
        self._resolve = lru_cache(maxsize=4096)(lambda folder: (self.folder / folder).resolve())

    def path(self, relative: str) -> Path:
        """Return the path of a file relative to the root; refuse `..`, absolute paths and links out of the root."""
        pure = PurePosixPath(relative)
        if pure.is_absolute() or ".." in pure.parts or "\0" in relative:
            raise PhenoloomError(
                f"The path {relative!r} leads out of the root {self.folder}; paths must be relative to `source.root`"
            )
        path = self.folder / pure
        # Parents repeat, so they are resolved once; the file itself needs it only where it is a link.
        real = path.resolve() if path.is_symlink() else self._resolve(str(pure.parent)) / pure.name
        if not real.is_relative_to(self._real):
            raise PhenoloomError(
                f"{path} is reached through a link out of the root {self._real}; set `source.root` to a folder that "
                f"holds all files, or copy them"
            )
        return path

    def size(self, relative: str) -> int:
        """Return the bytes of a file; raise ImageError where there is none."""
        try:
            found = self.path(relative).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise ImageError("the file does not exist") from None
        except RuntimeError:
            raise ImageError("its links lead in a circle") from None
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
                raise
            raise ImageError(f"no file can have this name ({error.strerror})") from None
        if not stat.S_ISREG(found.st_mode):
            raise ImageError("it is not a file")
        return found.st_size

    def examples(self, count: int = 3) -> list[str]:
        """Return the first files below the root, for error messages."""
        return list(islice(self._files(self.folder), count))

    def _files(self, folder: Path) -> Iterator[str]:
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from self._files(Path(entry.path))
            else:
                yield Path(entry.path).relative_to(self.folder).as_posix()


def walk(root: Root, pattern: Pattern) -> Iterator[Match]:
    """Yield every file below the root that fits the pattern, folders in the order of their names.

    Only folders that fit the pattern so far are opened; names are compared, never expanded, so brackets, quotes and
    spaces mean nothing special.
    """
    yield from _walk(root.folder, "", {}, 0, pattern)


def _walk(folder: Path, prefix: str, fields: dict[str, str], depth: int, pattern: Pattern) -> Iterator[Match]:
    last = depth == len(pattern.segments) - 1
    for entry in _entries(folder):
        found = pattern.extend(fields, depth, entry.name)
        if found is None:
            continue
        relative = prefix + _text(entry)
        if not last:
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{relative}/", found, depth + 1, pattern)
        elif not entry.is_dir():
            yield relative, found


def listed(root: Root, listing: str, pattern: Pattern) -> Iterator[Match]:
    """Yield every line of a listing (one path a line, relative to the root) that fits the pattern."""
    for path in read_listing(root, listing):
        found = pattern.match(path)
        if found is not None:
            yield path, found


def read_listing(root: Root, listing: str) -> list[str]:
    """Read the paths of a listing, without `./` and blank lines."""
    path = root.path(listing)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise PhenoloomError(f"There is no listing {path}; correct `source.listing`") from None
    except UnicodeDecodeError as error:
        raise PhenoloomError(f"The listing {path} is not UTF-8 text: {error}") from None
    return [line.rstrip("\r").removeprefix("./") for line in lines if line.strip()]


def natural(text: str) -> tuple[list[str | int], str]:
    """Return a sorting key in which "s2" comes before "s10"; equal numbers fall back on the text."""
    parts = re.split(r"(\d+)", text)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], text


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except PermissionError:
        raise PhenoloomError(
            f"The folder {folder} cannot be opened; give the user that runs this read permission"
        ) from None


def _text(entry: os.DirEntry[str]) -> str:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise PhenoloomError(f"The name of {entry.path!r} is not valid UTF-8; rename it") from None
    return entry.name
