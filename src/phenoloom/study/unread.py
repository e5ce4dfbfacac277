"""Count the files that a pattern leaves unread: of channels that nobody named, near misses, and others."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from .examples import Examples
from .patterns import ANYTHING, CHANNEL, Pattern, Token

MOST_CHANNELS = 20
"""Texts of `{channel}` that are counted one by one; files of further ones are counted together."""
FURTHER = "(others)"
IMAGE_SUFFIXES = frozenset(
    ".tif .tiff .png .jpg .jpeg .jpe .bmp .gif .webp .jp2 .czi .nd2 .lif .lsm .oib .oif .vsi .svs .ndpi .flex .stk .dv "
    ".dib .img .btf .tf8".split()
)

_MADE_OF_IMAGE = re.compile(
    r"[ _.-]+(?:.*[ _.-])?(?:masks?|labels?|seg|segmentation|outlines?|overlay|thumb|thumbnail|preview)\d*",
    re.IGNORECASE,
)
"""End of the names of files that were made from the image whose name is before it: `A01_mask` from `A01`."""


class Unread:
    """Files that do not fit a pattern, by the reason.

    Args:
        pattern: The pattern, `{channel}` limited to the study's channels.
        ignored_channels: Texts of `{channel}` that are left out on purpose.
        ignored: Patterns of files that are left out on purpose.
        read: Patterns and paths of files that are read as something else: masks, tables.
    """

    def __init__(
        self,
        pattern: Pattern,
        ignored_channels: Collection[str] = (),
        ignored: Iterable[Pattern] = (),
        read: Iterable[Pattern] = (),
        paths: Collection[str] = (),
    ) -> None:
        self._pattern = pattern
        self._ignored_channels = frozenset(ignored_channels)
        self._on_purpose, self._read, self._paths = list(ignored), list(read), frozenset(paths)
        self.any_channel = Pattern(pattern.text) if CHANNEL in pattern.fields else None
        self._channels: dict[str, Examples] = {}
        self._near: dict[str, Examples] = {}
        self._ignored, self._others, self._folders = Examples(), Examples(), Examples()

    def file(self, path: str, there: Callable[[str], bool] = lambda _: False) -> None:
        """Count a file that does not fit, unless it is read as something else.

        Args:
            path: The file.
            there: Tells whether another path in its folder exists: beside an image that is read, one with another
                extension is a mask or a thumbnail, and not missed.
        """
        if path in self._paths or any(other.match(path) is not None for other in self._read):
            return
        if any(other.match(path) is not None for other in self._on_purpose):
            self._ignored.add([path])
            return
        fields = self.any_channel.match(path) if self.any_channel else None
        if fields is not None:
            self._channel(fields[CHANNEL], path)
            return
        kind = self._kind(path, there)
        (self._near.setdefault(kind, Examples()) if kind else self._others).add([path])

    def folder(self, path: str) -> None:
        """Count a folder, whose path ends in `/`, that was not opened."""
        self._folders.add([path])

    def facts(self) -> dict[str, Any]:
        """Return the counts, each with examples, for a manifest."""
        channels = sorted(self._channels.items(), key=lambda item: (item[0] == FURTHER, -item[1].count, item[0]))
        return {
            "channels": {name: some.facts() for name, some in channels},
            "near": {kind: self._near[kind].facts() for kind in sorted(self._near)},
            "ignored": self._ignored.facts(),
            "others": self._others.facts(),
            "folders": self._folders.facts(),
        }

    def _channel(self, text: str, path: str) -> None:
        if text in self._ignored_channels:
            self._ignored.add([path])
            return
        name = text if text in self._channels or len(self._channels) < MOST_CHANNELS else FURTHER
        self._channels.setdefault(name, Examples()).add([path])

    def _kind(self, path: str, there: Callable[[str], bool]) -> str | None:
        """Return how a file nearly fits, if it does."""
        pure = PurePosixPath(path)
        suffix = pure.suffix.lower()
        if suffix not in IMAGE_SUFFIXES or pure.name.startswith("."):
            return None
        if self._any_case.match(path) is not None:
            return "letter case"
        own = self._suffix
        same = path if not own or suffix == own.lower() else path[: -len(suffix)] + own
        if (same is not path and there(same)) or self._made_of_image(same, there):
            return None
        if same is not path and self._any_case.match(same) is not None:
            return "extension"
        return "text of a field" if self._any_text.match(same) is not None else None

    def _made_of_image(self, path: str, there: Callable[[str], bool]) -> bool:
        """Return whether the name is that of an image which is there, with an end such as `_mask`."""
        stem, suffix = posixpath.splitext(path)
        name = posixpath.basename(stem)
        ends = [i for i, c in enumerate(name) if c in " _.-" and _MADE_OF_IMAGE.fullmatch(name, i)]
        above, suffix = stem[: len(stem) - len(name)], self._suffix or suffix
        return any(there(other := above + name[:i] + suffix) and self._pattern.match(other) is not None for i in ends)

    @cached_property
    def _suffix(self) -> str:
        """The extension that the pattern ends in, empty where it ends in a field."""
        last = self._pattern.segments[-1].tokens[-1]
        return "" if last.name else PurePosixPath("x" + last.text).suffix

    @cached_property
    def _any_case(self) -> Pattern:
        return Pattern(self._pattern.text, any_case=True)

    @cached_property
    def _any_text(self) -> Pattern:
        return Pattern(self._pattern.text, any_case=True, any_text=True)


def nearest_miss(pattern: Pattern, paths: Iterable[str]) -> str:
    """Return a sentence on the path that fits a pattern farthest, and where it stops; empty where there is no path."""
    last = pattern.segments[-1].tokens[-1]
    suffix = "" if last.name else PurePosixPath("x" + last.text).suffix.lower()

    def score(pair: tuple[_Progress, str]) -> tuple[int, ...]:
        return (*pair[0].score, pair[1].lower().endswith(suffix))

    nearest = max(((_from(pattern, path.split("/"), 0, 0), path) for path in paths), key=score, default=None)
    if nearest is None:
        return ""
    progress, path = nearest
    names = path.split("/")
    for first in range(1, len(names)):
        if pattern.match("/".join(names[first:])) is not None:
            above = "/".join(names[:first])
            return f"{path!r} fits without {above + '/'!r}: begin the pattern with it, or with `{{_}}/` for each folder"
    if progress.why:
        return f"the nearest is {path!r}: {progress.why}"
    # Not as Python writes them: a backslash is one backslash in a pattern.
    begun = f"{progress.read!r} fits '{progress.fitting}', but " if progress.read else ""
    expected = f"instead of '{progress.expected}'" if progress.expected else "where the pattern ends"
    found = f"there is {progress.rest!r} {expected}" if progress.rest else f"then comes no '{progress.expected}'"
    return f"the nearest is {path!r}: {begun}{found}"


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a path fits: the text that does, the pattern's part for it, and what comes next in both."""

    score: tuple[int, int, int]
    read: str = ""
    fitting: str = ""
    rest: str = ""
    expected: str = ""
    why: str = ""


def _from(pattern: Pattern, names: Sequence[str], at: int, depth: int) -> _Progress:
    """Return the progress from name number `at`, to be matched by segment `depth`."""
    while depth < len(pattern.segments):
        segment = pattern.segments[depth]
        if segment.any_depth:
            skips = range(at, len(names))
            return max((_from(pattern, names, skip, depth + 1) for skip in skips), key=lambda progress: progress.score)
        last = depth == len(pattern.segments) - 1
        if last != (at == len(names) - 1):
            folders = len(pattern.segments) - 1
            why = f"it lies in {_folders(len(names) - 1)}, and files that fit the pattern lie in {_folders(folders)}"
            return _Progress((depth, 0, 0), why=why)
        if segment.regex.fullmatch(names[at]) is None:
            return _within(pattern, names, at, depth)
        at, depth = at + 1, depth + 1
    return _Progress((depth, 0, 0), why="a field that occurs twice holds two texts")


def _folders(count: int) -> str:
    return f"{count or 'no'} {'folder' if count == 1 else 'folders'}"


def _within(pattern: Pattern, names: Sequence[str], at: int, depth: int) -> _Progress:
    """Return how far a name fits the tokens of its segment."""
    tokens, name = pattern.segments[depth].tokens, names[at]
    fitting, end = 0, 0
    for count in range(len(tokens), 0, -1):
        if found := pattern.compiled(tokens[:count]).match(name):
            fitting, end = count, found.end()
            break
    if goes_on := fitting == len(tokens) and not tokens[-1].name:
        # The name goes on behind the last text: `.tiff` for `.tif`.
        fitting, end = fitting - 1, end - len(tokens[-1].text)
    elif 0 < fitting < len(tokens) and _unbounded(tokens[fitting - 1]) and not tokens[fitting].name:
        end = _likely_place(name, end, tokens[fitting].text)
    spelled = [token.written for token in tokens]
    if not goes_on and fitting < len(tokens) and not tokens[fitting].name:
        shared = len(posixpath.commonprefix([name[end:], tokens[fitting].text]))
        # An extension is shown as a whole.
        dot = tokens[fitting].text.rfind(".")
        shared = dot if 0 <= dot < shared else shared
        end += shared
        spelled[fitting : fitting + 1] = [tokens[fitting].text[:shared], tokens[fitting].text[shared:]]
        fitting += 1
    folders = "".join(("".join(token.written for token in s.tokens) or "{**}") + "/" for s in pattern.segments[:depth])
    return _Progress(
        (depth, fitting, end),
        read="".join(f"{folder}/" for folder in names[:at]) + name[:end],
        fitting=folders + "".join(spelled[:fitting]),
        rest=name[end:],
        expected="".join(spelled[fitting:]),
    )


def _unbounded(token: Token) -> bool:
    return bool(token.name) and token.text == ANYTHING


def _likely_place(name: str, start: int, literal: str) -> int:
    """Return where a literal was probably meant: where most of its beginning is found in any case."""

    def agreed(place: int) -> int:
        # The name and the literal may end before one another.
        pairs = zip(name[place:].lower(), literal.lower(), strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(name) - place, len(literal)))

    best = max(range(start, len(name)), key=agreed, default=start)
    return best if best < len(name) and agreed(best) else start
