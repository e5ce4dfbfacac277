"""Focal planes and time points: which of them become a tile, since a tile shows one plane a channel."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .base import Section

Policy = Literal["max", "mean", "middle", "sharpest", "first", "last", "all"]
POLICIES = (
    "`max` or `mean`: a projection (`mean` is rounded to the camera's integers); `middle`, `first` or `last`: that "
    "plane; `sharpest`: the plane with the largest variance of the Laplacian over all channels; `all`: every plane "
    "as an image of its own, in the same fold as the others"
)


class Planes(Section):
    """Selection or projection of focal planes (z) and time points (t): first z at each time point, then t."""

    z: Policy | None = Field(None, description=f"focal planes. {POLICIES}; none: images with several are refused")
    t: Policy | None = Field(None, description="time points, with the same choices as `z`")
    axes: str | None = Field(
        None,
        pattern=r"^[CZT]{1,3}$",
        description="axes of the pages of TIFF files, slowest first, for files with no or wrong metadata; it overrides "
        "what a file states. `ZC`: the channels of the first plane, then those of the second; none: as the file "
        "states, else pages are channels",
    )

    @model_validator(mode="after")
    def _axes_are_known(self) -> Planes:
        axes = self.axes or ""
        if len(set(axes)) < len(axes):
            raise ValueError(f"`axes` must name each axis once, found {axes}")
        if "Z" in axes and "T" in axes:
            raise ValueError(
                f"`axes` is {axes}, but the number of pages determines the size of only one axis beside the channels; "
                "use OME-TIFF"
            )
        for axis in "ZT":
            if axis in axes and getattr(self, axis.lower()) is None:
                raise ValueError(f"`axes` has {axis}, so `{axis.lower()}` must say how to reduce it, e.g. `max`")
        return self

    def as_the_sheet_sees(self) -> Planes:
        """Return the policies that the sheet depends on: `all`, which makes images, or any other, as `first`."""
        seen = {axis: "all" if (p := getattr(self, axis)) == "all" else p and "first" for axis in ("z", "t")}
        return self.model_copy(update=seen)
