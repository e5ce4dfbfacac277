"""What every section of a file is, and the words that several of them use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _no_braces(path: str) -> str:
    if "{" in path or "}" in path:
        raise ValueError("must hold no braces, which Snakemake takes for wildcards; rename the file or folder")
    return path


PathText = Annotated[str, AfterValidator(_no_braces)]
"""A path that Snakemake is told."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Unit = Literal["object", "tile", "image", "well"]
Descriptor = Literal["regionprops", "efd", "fourier", "distance-spectrum", "intensity"]


class Section(BaseModel):
    """A closed, immutable section: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
