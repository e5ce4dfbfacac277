"""Search the files of a study by its patterns, and say what was left unread or what nearly fitted."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator

from ..config.source import Source
from ..core.errors import PhenoloomError
from .files import Match, Root, listed, read_listing, walk
from .patterns import CHANNEL, Pattern
from .unread import Unread, nearest_miss

MOST_LINES = 2000
"""Lines of a listing among which the nearest miss is looked for."""


def find_files(source: Source, root: Root, pattern: Pattern, unread: Unread | None = None) -> Iterator[Match]:
    """Yield files that fit a pattern, in the listing if the study has one, else below the root."""
    if source.listing:
        return listed(root, source.listing, pattern, unread)
    return walk(root, pattern, unread)


def unread_files(source: Source, pattern: Pattern, read: Iterable[str]) -> Unread:
    """Return the count, still empty, of the files that a pattern of the study leaves unread.

    Args:
        source: Section of raw data of the study.
        pattern: Pattern of its images, or of its masks.
        read: Other patterns of files that the study reads.
    """
    tables = (source.table, source.outlines, source.object_rows)
    named = [section.path for section in tables if section] + ([source.listing] if source.listing else [])
    return Unread(
        pattern,
        ignored_channels=source.ignore_channels,
        ignored=[Pattern(text) for text in source.ignore_files],
        read=[Pattern(text) for text in read],
        paths={posixpath.normpath(path) for path in named},
    )


def nothing_found(source: Source, root: Root, pattern: Pattern, unread: Unread | None = None) -> PhenoloomError:
    """Return the error of a pattern that no file fits, with the file that comes nearest."""
    counts = unread.facts()["channels"] if unread else {}
    if counts:
        return PhenoloomError(
            f"No file fits the pattern {pattern.text!r} with a channel that `channels` names; the files have the "
            f"channels {', '.join(map(repr, counts))}, for example {next(iter(counts.values()))['examples'][0]!r}"
        )
    if source.listing:
        lines = read_listing(root, source.listing)[:MOST_LINES]
        shown = ", ".join(map(repr, lines[:3])) or "none"
        # A path from the root of the file system has no place in the pattern.
        miss = nearest_miss(pattern, (line for line in lines if not line.startswith("/")))
        if lines and all("\\" in line and "/" not in line for line in lines):
            miss = "write `/` between folders in place of a backslash"
        return PhenoloomError(
            f"No line of the listing {source.listing} fits the pattern {pattern.text!r}; its lines are for example: "
            f"{shown}. They must be paths relative to {root.folder}{f'; {miss}' if miss else ''}"
        )
    miss = nearest_miss(pattern, root.samples()) or "it holds no file"
    return PhenoloomError(f"No file below {root.folder} fits the pattern {pattern.text!r}; {miss}")


def mask_files(
    source: Source,
    text: str,
    root: Root,
    fields: Iterable[str],
    normal: Callable[[str, str], str] = lambda _, text: text,
    unread: Unread | None = None,
) -> tuple[list[str], dict[tuple[str, ...], str]]:
    """Find the mask files of a study.

    Args:
        source: Its section of raw data.
        text: Pattern of the mask files.
        root: Folder of the raw data.
        fields: Fields that images have.
        normal: Gives the one spelling of the text of a field, which images and masks are compared in.
        unread: Counts files that do not fit.

    Returns:
        Names of the fields that images and masks share, and the mask file for each combination of their texts.

    Raises:
        PhenoloomError: No field is shared, two masks belong to one image, or no file fits.
    """
    pattern = Pattern(text)
    shared = sorted((pattern.fields & frozenset(fields)) - {CHANNEL})
    if not shared:
        raise PhenoloomError(
            f"The mask pattern {pattern.text!r} shares no field with the images (fields: "
            f"{', '.join(sorted(fields)) or 'none'}); use their fields in it, so that each mask belongs to an image"
        )
    masks: dict[tuple[str, ...], str] = {}
    for path, found in find_files(source, root, pattern, unread):
        key = tuple(normal(name, found[name]) for name in shared)
        if masks.setdefault(key, path) != path:
            raise PhenoloomError(
                f"Two mask files belong to the image with {', '.join(shared)} = {', '.join(key)}: "
                f"{masks[key]!r} and {path!r}; narrow the pattern {pattern.text!r}"
            )
    if not masks:
        raise nothing_found(source, root, pattern)
    return shared, masks
