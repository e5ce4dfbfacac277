"""The base class of every section of a configuration file, and types that several sections share."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _no_braces(path: str) -> str:
    if "{" in path or "}" in path:
        raise ValueError("must hold no braces, because Snakemake takes them for wildcards; rename the file or folder")
    return path


def without_controls(text: str) -> str:
    """Return a pattern of file names, unless it holds a control character; raises ValueError."""
    wrong = next((character for character in text if unicodedata.category(character) in ("Cc", "Zl", "Zp")), None)
    if wrong is not None:
        raise ValueError(
            f"holds the control character {wrong!r}, which YAML makes of a backslash and a letter in double quotes; "
            r"write the pattern in single quotes: '{well:\bA\d\d}'"
        )
    return text


PatternText = Annotated[str, AfterValidator(without_controls)]
"""A pattern of file names."""
PathText = Annotated[str, AfterValidator(_no_braces)]
"""A path that becomes part of a Snakemake rule."""
Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
ImageInFile = Annotated[int, Field(ge=0)] | str
"""Number from 0, or name, of an image among several in a file."""
Unit = Literal["object", "tile", "image", "well"]
Descriptor = Literal["regionprops", "efd", "efd-published", "fourier", "distance-spectrum", "intensity"]


class Section(BaseModel):
    """A closed, immutable section: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
