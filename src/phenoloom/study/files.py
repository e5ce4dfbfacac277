"""Find the files of a study below its root, by pattern, in a listing, or by name; never outside the root."""

from __future__ import annotations

import difflib
import errno
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath

from ..core.errors import ImageError, PhenoloomError
from .patterns import Pattern, State
from .unread import Unread

MOST_SAMPLES, MOST_IN_A_FOLDER = 2000, 100
"""Files that are looked at for an error message."""

Match = tuple[str, dict[str, str]]
"""A path relative to the root, with `/` between folders, and the fields of the pattern."""


class MissingFileError(ImageError):
    """A file that a table or listing names does not exist."""


class Root:
    """The folder that all files of a study lie in; a path that leads out of it is refused."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise PhenoloomError(f"There is no folder {folder} of raw data; correct `source.root` or `data_root`")
        self._real = self.folder.resolve()
        self._resolve = lru_cache(maxsize=4096)(lambda folder: (self.folder / folder).resolve())
        self._names = lru_cache(maxsize=64)(self._names_in)

    def path(self, relative: str) -> Path:
        """Return the path of a file relative to the root; refuse `..`, absolute paths and links out of the root."""
        pure = PurePosixPath(relative)
        if pure.is_absolute() and pure.is_relative_to(self.folder) and ".." not in pure.parts:
            raise PhenoloomError(
                f"The path {relative!r} is absolute; write it relative to `source.root`: "
                f"{str(pure.relative_to(self.folder))!r}"
            )
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
            raise MissingFileError(f"the file does not exist{self._why_missing(relative)}") from None
        except RuntimeError:
            raise ImageError("its links lead in a circle") from None
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
                raise
            raise ImageError(f"no file can have this name ({error.strerror})") from None
        if not stat.S_ISREG(found.st_mode):
            raise ImageError("it is not a file")
        return found.st_size

    def samples(self) -> Iterator[str]:
        """Yield some files below the root, of many folders, for error messages."""
        return islice(self._files(self.folder), MOST_SAMPLES)

    def nearest(self, relative: str) -> str | None:
        """Return the path of the file in the folder of a missing one whose name is most like it."""
        folder, name = posixpath.split(relative)
        names = self._names(folder)
        alike = [other for other in names if other.lower() == name.lower()] or [
            other for other in names if PurePosixPath(other).stem.lower() == PurePosixPath(name).stem.lower()
        ]
        stems = {PurePosixPath(other).stem: other for other in names[:MOST_SAMPLES]}
        close = difflib.get_close_matches(PurePosixPath(name).stem, stems, n=1)
        found = alike or [stems[stem] for stem in close]
        return posixpath.join(folder, found[0]) if found else None

    def _names_in(self, folder: str) -> list[str]:
        path = self.path(folder)
        return [entry.name for entry in _entries(path)] if path.is_dir() else []

    def _why_missing(self, relative: str) -> str:
        if "\\" in relative and "/" not in relative:
            return "; write `/` between folders in place of a backslash"
        folder, name = posixpath.split(relative)
        if folder and not self.path(folder).is_dir():
            return ", nor does its folder"
        near = self.nearest(relative)
        if near and posixpath.basename(near).lower() == name.lower():
            return ", but one in other upper and lower case does"
        if near and PurePosixPath(near).stem.lower() == PurePosixPath(name).stem.lower():
            return f", but one with the extension {PurePosixPath(near).suffix or 'none'} does"
        return ""

    def _files(self, folder: Path) -> Iterator[str]:
        try:
            entries = _entries(folder)
        except PhenoloomError:
            return
        for entry in entries[:MOST_IN_A_FOLDER]:
            if entry.is_dir(follow_symlinks=False):
                yield from self._files(Path(entry.path))
            else:
                yield Path(entry.path).relative_to(self.folder).as_posix()


def walk(root: Root, pattern: Pattern, unread: Unread | None = None) -> Iterator[Match]:
    """Yield every file below the root that fits the pattern, folders in the order of their names.

    Only folders that fit the pattern so far are opened; names are compared, never expanded, so brackets, quotes and
    spaces mean nothing special. A link to a folder that it lies in is not followed.

    Args:
        root: Folder of the raw data.
        pattern: Pattern of the files.
        unread: Counts the other files of the folders that are opened, and the folders that are not. Folders that fit
            but for a channel that the study does not name are opened for it.
    """
    loose = unread.any_channel if unread else None
    yield from _walk(root.folder, "", (pattern.start(), loose.start() if loose else []), pattern, unread)


def _walk(
    folder: Path, prefix: str, states: tuple[list[State], list[State]], pattern: Pattern, unread: Unread | None
) -> Iterator[Match]:
    loose = unread.any_channel if unread else None
    entries = _entries(folder)
    names = {entry.name for entry in entries} if unread else set()
    for entry in entries:
        fitting = pattern.advance(states[0], entry.name) if states[0] else []
        if entry.is_dir():
            also = loose.advance(states[1], entry.name) if loose and states[1] else []
            relative = f"{prefix}{_text(entry) if fitting or also else entry.name}/"
            if _deeper(pattern, fitting) or (loose and _deeper(loose, also)):
                if not _leads_up(entry):
                    yield from _walk(Path(entry.path), relative, (fitting, also), pattern, unread)
            elif unread:
                unread.folder(relative)
            continue
        fields = pattern.complete(fitting)
        if fields is not None:
            yield prefix + _text(entry), fields
        elif unread:
            unread.file(prefix + entry.name, lambda path: posixpath.basename(path) in names)


def _deeper(pattern: Pattern, states: list[State]) -> bool:
    return any(depth < len(pattern.segments) for depth, _ in states)


def _leads_up(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a link to a folder above it, which `{**}` would follow for ever."""
    return entry.is_symlink() and Path(entry.path).absolute().is_relative_to(os.path.realpath(entry.path))


def listed(root: Root, listing: str, pattern: Pattern, unread: Unread | None = None) -> Iterator[Match]:
    """Yield every line of a listing (one path a line, relative to the root) that fits the pattern."""
    paths = read_listing(root, listing)
    known = frozenset(paths) if unread else frozenset()
    for path in paths:
        found = pattern.match(path)
        if found is not None:
            yield path, found
        elif unread:
            unread.file(path, known.__contains__)


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
