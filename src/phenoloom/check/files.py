"""What the sheet says: images found and left out, and rows of the table without an image."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from ..artifacts.manifest import Quarantine
from .subject import Finding, Subject, counted, listed

_VARYING = re.compile(r"b'[^']*'|b\"[^\"]*\"|\d+")

MOST_REASONS = 5
"""Reasons of quarantine that are printed; the others are counted together."""


def files(subject: Subject) -> Finding:
    """Say how many images there are, on how many plates and in how many wells, and which are left out and why."""
    facts = subject.manifest
    noun = "outline" if subject.study.source.outlines else "image"
    counts = {noun: facts["found"]["images"], "plate": facts["plates"], "well": facts["wells"]}
    counts["shard"] = len(facts["shards"])
    lines = [", ".join(counted(number, what) for what, number in counts.items() if number)]
    table = subject.study.source.object_rows
    lines += unread(_without(posixpath.normpath(table.path), facts["unread"]) if table else facts["unread"])
    if subject.quarantine:
        lines += [f"left out: {counted(len(subject.quarantine), noun)}", *reasons(subject.quarantine)]
    return Finding("files", lines)


def _without(table: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the counts without the table of objects, of which the sheet knows nothing; it is among the examples."""
    others = facts.get("others", {"count": 0, "examples": []})
    examples = [path for path in others["examples"] if path != table]
    count = others["count"] - len(others["examples"]) + len(examples)
    return {**facts, "others": {"count": count, "examples": examples}}


def unread(facts: Mapping[str, Any]) -> list[str]:
    """Return a line for each kind of files that the study does not read, as the manifest of a sheet counts them."""
    lines = [
        f"channel {name!r} is not read: {counted(some['count'], 'file')} ({_examples(some)}); add it to "
        "`source.channels` or `source.ignore_channels`"
        for name, some in facts.get("channels", {}).items()
    ]
    for key, pattern in (("near", "source.files"), ("near_masks", "source.masks.files")):
        lines += [
            f"{counted(some['count'], 'file')} not read, for `{pattern}` fits but for the {kind} "
            f"({_examples(some)}); change it, or name them in `source.ignore_files`"
            for kind, some in facts.get(key, {}).items()
        ]
    for key, noun in (("missing", "missing file"), ("ignored", "file ignored on purpose"), ("others", "other file")):
        some = facts.get(key, {"count": 0})
        plural = noun.replace("file", "files", 1) if some["count"] != 1 else noun
        lines += [f"{some['count']:,} {plural}: {_examples(some)}"] if some["count"] else []
    if (folders := facts.get("folders", {"count": 0}))["count"]:
        lines.append(f"{counted(folders['count'], 'folder')} not opened: {_examples(folders)}")
    return lines


def reasons(quarantine: Quarantine) -> list[str]:
    """Return a line for each kind of reason, the most frequent first, with examples."""
    alike: dict[str, Quarantine] = {}
    for row in quarantine:
        alike.setdefault(_kind(row), []).append(row)
    ordered = sorted(alike.values(), key=lambda rows: -len(rows))
    lines = [
        f"  {len(rows):,} x {rows[0]['reason']} ({listed([row['image_id'] for row in rows])})"
        for rows in ordered[:MOST_REASONS]
    ]
    if rest := ordered[MOST_REASONS:]:
        lines.append(f"  {sum(map(len, rest)):,} x {len(rest)} other reasons")
    return lines


def _kind(row: Mapping[str, str]) -> str:
    """Return a reason without names of files, bytes and numbers, which differ from image to image."""
    reason = row["reason"]
    for file in row["file"].split("; "):
        reason = reason.replace(file, "").replace(PurePosixPath(file).name, "") if file else reason
    return _VARYING.sub("", reason)


def table(subject: Subject) -> Finding:
    """Say which rows of the study's table found an image, and which images have no row."""
    facts, noun = subject.manifest, "outline" if subject.study.source.outlines else "image"
    total = facts["expected"]["table_rows"]
    if not total:
        return Finding("table")
    rows, images = facts["table_rows_without_image"], facts["images_without_table_row"]
    short = facts["table"].get("short_rows", {"count": 0})
    lines = [f"{total - rows['count']:,} of {counted(total, 'row')} belong to an {noun}"]
    if short["count"]:
        lines.append(
            f"{counted(short['count'], 'row')} with fewer cells than the header, read as empty (line "
            f"{', '.join(map(str, short['examples']))})"
        )
    if rows["count"]:
        lines.append(f"{counted(rows['count'], 'row')} without an {noun}: {_examples(rows, repr)}")
    if images["count"]:
        lines.append(
            f"{counted(images['count'], noun)} without a row, so without what the table says: {_examples(images, repr)}"
        )
    return Finding("table", lines)


def _examples(some: Mapping[str, Any], written: Callable[[str], str] = str) -> str:
    shown = [written(name) for name in some["examples"][:3]]
    return ", ".join(shown) + (", ..." if some["count"] > len(shown) else "")
