"""The base class of every section of a configuration file, and types that several sections share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _no_braces(path: str) -> str:
    if "{" in path or "}" in path:
        raise ValueError("must hold no braces, because Snakemake takes them for wildcards; rename the file or folder")
    return path


PathText = Annotated[str, AfterValidator(_no_braces)]
"""A path that becomes part of a Snakemake rule."""
Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
ImageInFile = Annotated[int, Field(ge=0)] | str
"""Number from 0, or name, of an image among several in a file."""
Unit = Literal["object", "tile", "image", "well"]
Descriptor = Literal["regionprops", "efd", "fourier", "distance-spectrum", "intensity"]


class Section(BaseModel):
    """A closed, immutable section: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
