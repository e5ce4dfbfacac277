"""Say why files do not make images, and what to write into the study file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..config.source import Source
from ..core.errors import PhenoloomError
from .annotations import Annotations
from .patterns import CHANNEL, Pattern

PLANES = {"z": "focal planes", "t": "time points"}


@dataclass(frozen=True, slots=True)
class Naming:
    """What names the images of a study.

    Attributes:
        source: Its section of raw data.
        annotations: Its table, joined to the fields of the pattern.
        pattern: Pattern of its image files.
    """

    source: Source
    annotations: Annotations
    pattern: Pattern

    def two_files(self, what: str, first: str, second: str) -> PhenoloomError:
        """Return the error of two files (paths) that are `what`."""
        fields, others = (self.pattern.match(path) or {} for path in (first, second))
        differing = [name for name in fields if others.get(name) != fields[name] and name not in {CHANNEL, *PLANES}]
        cure = f"to tell images apart by {differing[0]!r}, write {self._cure(differing[0])}; else " if differing else ""
        return PhenoloomError(
            f"Two files are {what}: {first!r} and {second!r}; {cure}add the field that distinguishes them to the "
            f"pattern, or narrow it{self._planes_advice(fields)}"
        )

    def disagreement(self, image: str, name: str, files: Mapping[str, str | None]) -> PhenoloomError:
        """Return the error of files of one image (its id) that hold two texts of a field; `files` is path -> text."""
        shown = ", ".join(f"{path!r} has {text!r}" for path, text in files.items())
        return PhenoloomError(
            f"Files of image {image!r} disagree on {name!r}: {shown}; to tell images apart by it, write "
            f"{self._cure(name)}; if they are one image, use {name!r} neither in `table.join` nor in `columns`, and "
            "write `{_}` for it in the pattern"
        )

    def _cure(self, name: str) -> str:
        """Return the entry of `columns` that makes a field part of the name of an image."""
        folders = self.pattern.segments[:-1]
        known = self.annotations.templates()
        word = "image" if "image" in known and "field" not in known else "field"
        if any(name in segment.regex.groupindex for segment in folders) and known.get("plate") != f"{{{name}}}":
            word = "plate"
        return (
            f'`columns: {{{word}: "{known[word]}_{{{name}}}"}}`' if word in known else f"`columns: {{{word}: {name}}}`"
        )

    def _planes_advice(self, fields: Mapping[str, str]) -> str:
        """Return what to do if the files are planes, as far as it is not done yet."""
        planes = self.source.planes
        unsaid = {axis: name for axis, name in PLANES.items() if not (planes and getattr(planes, axis))}

        def say(axes: Iterable[str]) -> str:
            return "say " + " and ".join(f"in `source.planes.{axis}` what becomes of {PLANES[axis]}" for axis in axes)

        if named := [axis for axis in unsaid if axis in fields]:
            return f"; {say(named)}"
        if not (absent := [axis for axis in PLANES if axis not in fields]):
            return ""
        call = ", ".join(f"`{{{axis}}}` for {PLANES[axis]}" for axis in absent)
        left = [axis for axis in absent if axis in unsaid]
        return f"; call it {call}" + (f", and {say(left)}" if left else "")
