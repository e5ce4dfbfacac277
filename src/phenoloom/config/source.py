"""Sections about the raw data of a study."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from .base import PathText, Section
from .planes import Planes


class Simulation(Section):
    """A simulated study whose truth is known: cells of four phenotypes on plates, photographed by a model camera."""

    plates: int = Field(2, ge=1, description="number of plates; each has its own gain and offset (the plate effect)")
    wells: int = Field(16, ge=4, description="wells a plate; phenotypes are dealt over the wells at random")
    fields: int = Field(2, ge=1, description="fields of view a well")
    cells: int = Field(12, ge=1, description="cells a field")
    image_size: int = Field(320, ge=96, description="height and width of a field in px")
    broken_files: int = Field(3, ge=0, description="files that are damaged on purpose and must end up in quarantine")


class Table(Section):
    """A table of labels and metadata (CSV, TSV or Parquet, by its extension; `.gz` too)."""

    path: PathText = Field(description="path of the table, relative to `root`")
    header: list[str] | None = Field(None, description="column names, for a table without a header line")
    join: dict[str, str] = Field(
        default_factory=dict,
        description="field of the file pattern -> column of the table; empty: line i belongs to image i",
    )
    zero_pad: dict[str, int] = Field(
        default_factory=dict, description="column -> width: pad ids with zeros on the left before joining"
    )


class Masks(Section):
    """Where objects come from."""

    files: str | None = Field(
        None, description="pattern of the mask files, with the fields of `source.files`; none: segment by threshold"
    )
    objects: Literal["labels", "components", "one"] = Field(
        "labels",
        description="what an object is: a label value, a connected component of the foreground, "
        "or all foreground of one image",
    )
    values: list[int] | None = Field(None, description="mask values that are foreground; none: everything above zero")
    invert_when_border_is_foreground: bool = Field(
        False, description="invert a binary mask whose border is mostly foreground"
    )
    channel: str | None = Field(
        None, description="channel that is thresholded (Otsu, watershed) where there are no mask files; none: the first"
    )
    smoothing_px: float = Field(2.0, ge=0, description="Gaussian sigma before thresholding, in px")
    split_distance_px: float = Field(8.0, gt=0, description="least distance between two seeds of the watershed, in px")
    min_area_px: int = Field(60, ge=1, description="smaller objects are rejected and counted")


class Outlines(Section):
    """Outlines given as points instead of images."""

    path: PathText = Field(description="path of the outlines, relative to `root`")
    format: Literal["blocks", "table"] = Field(
        "blocks", description="`blocks`: lines `x y`, a blank line between objects; `table`: CSV/TSV/Parquet"
    )
    object: str = Field("object", description="column with the object's id (format `table`)")
    x: str = Field("x", description="column with x in px (format `table`)")
    y: str = Field("y", description="column with y in px (format `table`)")


class Source(Section):
    """Where the raw data lies and how it is read."""

    root: PathText = Field(".", description="folder of the raw data; a relative one is taken from `data_root`")
    simulate: Simulation | None = Field(None, description="make the raw data with `phenoloom simulate`")
    files: str | dict[str, str] | None = Field(
        None,
        description="pattern of the image files with fields in braces (`{plate}/{well}_{channel}.tif`, "
        "`{name:regex}` for a narrower match), or channel -> table column that holds the file's path",
    )
    listing: PathText | None = Field(
        None, description="text file with one path a line, matched instead of walking the folder"
    )
    table: Table | None = Field(None, description="table of labels and metadata")
    columns: dict[Literal["image", "plate", "well", "field", "label", "group"], str] = Field(
        default_factory=dict,
        description="what each word is called in the table or in the file pattern, where it is not called so itself",
    )
    channels: list[str] | dict[str, str] = Field(
        default_factory=list,
        description="channel names in the order of the file's pages or colours, or name -> text of `{channel}`",
    )
    masks: Masks | None = Field(None, description="where objects come from")
    outlines: Outlines | None = Field(None, description="outlines given as points, for studies without images")
    label_separator: str | None = Field(None, description="separator of several labels in one cell (multi-label)")
    classes: dict[str, str] = Field(default_factory=dict, description="label in the table -> name of the class")
    planes: Planes | None = Field(
        None, description="what becomes of focal planes (`{z}`) and time points (`{t}`); none: such images are refused"
    )
    pixel_size_um: float | None = Field(None, gt=0, description="pixel size in µm")

    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A key that came after the first sheets were made: without it their digests are as they were.
        values: dict[str, Any] = handler(self)
        return {key: value for key, value in values.items() if key != "planes" or value is not None}

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> Source:
        if (self.files is None) == (self.outlines is None):
            raise ValueError("give exactly one of `files` (images or silhouettes) and `outlines` (points)")
        if isinstance(self.files, dict):
            if self.table is None:
                raise ValueError("`files` names table columns, so `table` must say which table")
            if list(self.files) != list(self.channels):
                raise ValueError("`files` and `channels` must name the same channels in the same order")
        return self
