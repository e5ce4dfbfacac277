"""What becomes of focal planes and time points: a tile shows one plane a channel."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .base import Section

Policy = Literal["max", "mean", "middle", "sharpest", "first", "last", "all"]
POLICIES = (
    "`max` or `mean` of all (`mean` rounded to the camera's integers), the `middle` one, the `sharpest` (largest "
    "variance of the Laplacian over all channels), the `first`, the `last`, or `all` as images of their own, which "
    "share a fold"
)


class Planes(Section):
    """What becomes of focal planes (z) and time points (t); first z at each time point, then t."""

    z: Policy | None = Field(None, description=f"focal planes: {POLICIES}; none: images with several are refused")
    t: Policy | None = Field(None, description="time points, in the same words; none: images with several are refused")
    axes: str | None = Field(
        None,
        pattern=r"^[CZT]{1,3}$",
        description="axes of the pages of TIFFs that tell nothing or nothing right of them, slowest first, e.g. `ZC`: "
        "the channels of the first plane, then those of the second; it overrules what a file tells; none: pages are "
        "channels",
    )

    @model_validator(mode="after")
    def _axes_are_known(self) -> Planes:
        axes = self.axes or ""
        if len(set(axes)) < len(axes):
            raise ValueError(f"`axes` must name each axis once, found {axes}")
        if "Z" in axes and "T" in axes:
            raise ValueError(
                f"`axes` is {axes}, but a number of pages tells the size of one axis beside the channels; use OME-TIFF"
            )
        for axis in "ZT":
            if axis in axes and getattr(self, axis.lower()) is None:
                raise ValueError(f"`axes` has {axis}, so `{axis.lower()}` must say what becomes of it, e.g. `max`")
        return self

    def as_the_sheet_sees(self) -> Planes:
        """The same but for choices between projections: only which axes become images of their own matters to it."""
        seen = {axis: "all" if (p := getattr(self, axis)) == "all" else p and "first" for axis in ("z", "t")}
        return self.model_copy(update=seen)
