"""Say which rows of the table of objects belong to an image, and which cannot be used."""

from __future__ import annotations

from ..artifacts.manifest import read_manifest
from .subject import Finding, Subject, counted


def objects(subject: Subject) -> Finding:
    """Say how many rows of the table of objects have an image, and a number or a point to find their object by."""
    if subject.objects is None:
        return Finding("objects")
    facts = read_manifest(subject.objects)
    total, found = facts["expected"]["rows"], facts["found"]["rows"]
    lines = [f"{found:,} of {counted(total, 'row')} of {facts['table']} belong to an image"]
    for name, what in (
        ("rows_without_image", "without an image"),
        ("unusable_rows", "without a usable number or point"),
        ("repeated_points", "at exactly the place of an earlier row, each an object of its own"),
    ):
        if some := facts[name]["count"]:
            lines.append(f"{counted(some, 'row')} {what}: {facts[name]['examples'][0]}")
    return Finding("objects", lines)
