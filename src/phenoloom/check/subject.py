"""The study that a check looks at, and the findings that it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..artifacts.manifest import Quarantine, read_manifest
from ..artifacts.parquet import read_result
from ..artifacts.provenance import Provenance
from ..config import RuleSettings
from ..config.study import Study
from ..study.objects import make_objects


@dataclass(frozen=True)
class Subject:
    """A study whose sheet was made.

    Attributes:
        name: Its name.
        settings: The settings of its rules.
        sheet: Its sheet, in a temporary folder.
        manifest: The manifest of the sheet.
    """

    name: str
    settings: RuleSettings
    sheet: Path
    manifest: dict[str, Any]

    @property
    def study(self) -> Study:
        """Return the study file."""
        return self.settings.study

    @property
    def quarantine(self) -> Quarantine:
        """Return the images that the sheet leaves out."""
        rows: Quarantine = self.manifest["quarantine"]
        return rows

    @cached_property
    def table(self) -> pa.Table:
        """The rows of the sheet."""
        return read_result(self.sheet)

    @cached_property
    def objects(self) -> Path | None:
        """The manifest of the table of objects, made beside the sheet; None where the study has none."""
        if self.study.source.object_rows is None:
            return None
        settings, manifest = self.settings.objects(), self.sheet.with_name("objects.json")
        source = settings.source.model_copy(update={"root": settings.root})
        make_objects(source, self.sheet, manifest.with_suffix(".parquet"), manifest, Provenance.of(settings))
        return manifest

    @cached_property
    def labelled(self) -> pa.Table:
        """What has labels and groups of its own, with the columns of the sheet: images, or the rows of objects."""
        if self.objects is None:
            return self.table
        rows, facts = read_result(self.objects.with_suffix(".parquet")), read_manifest(self.objects)
        found = self.table.take(pc.index_in(rows["image_id"], value_set=self.table["image_id"].combine_chunks()))
        for name, used in (("label", facts["labels"]), ("group", facts["groups"])):
            if used:
                place = found.schema.get_field_index(name)
                found = found.set_column(place, rows.schema.field(name), rows[name])
        names = pc.binary_join_element_wise(rows["image_id"], pc.cast(rows["line"], pa.string()), "#")
        return found.append_column("id", names)


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        topic: Word that its lines begin with.
        lines: What is as it should be, or what should be known; a line that begins with a space belongs to the one
            before.
        problems: Why the study would not get through; each a sentence with what to do.
    """

    topic: str
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 image", "1,400 images", "2 classes"."""
    return f"{number:,} {noun if number == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def listed(names: list[str], most: int = 3) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
