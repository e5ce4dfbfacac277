"""What every section of a file is, and the words that several of them use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Unit = Literal["object", "tile", "image", "well"]
Descriptor = Literal["regionprops", "efd", "fourier", "distance-spectrum", "intensity"]


class Section(BaseModel):
    """A closed, immutable section: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
