"""Raw data of a study: files, tables, masks and outlines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .base import PathText, Section
from .planes import Planes


class Simulation(Section):
    """A simulated study with known truth: cells of four phenotypes on plates, imaged by a simulated camera."""

    plates: int = Field(2, ge=1, description="number of plates; each has its own gain and offset (the plate effect)")
    wells: int = Field(16, ge=4, description="wells a plate; phenotypes are assigned to wells at random")
    fields: int = Field(2, ge=1, description="fields of view a well")
    cells: int = Field(12, ge=1, description="cells a field")
    image_size: int = Field(320, ge=96, description="height and width of a field in px")
    broken_files: int = Field(3, ge=0, description="files that are damaged on purpose, to be quarantined")


class Table(Section):
    """A table of labels and metadata: CSV or TSV (also `.gz`), or Parquet."""

    path: PathText = Field(description="path of the table, relative to `root`")
    header: list[str] | None = Field(None, description="column names, for a table without a header")
    join: dict[str, str] = Field(
        default_factory=dict,
        description="field of the file pattern -> column of the table; empty: row i belongs to image i",
    )
    zero_pad: dict[str, int] = Field(
        default_factory=dict, description="column -> width that its ids are padded to with leading zeros before joining"
    )


class Masks(Section):
    """Objects: from mask files, or by segmentation."""

    files: str | None = Field(
        None,
        description="pattern of the mask files, with the fields of `source.files`; none: segment images by threshold",
    )
    objects: Literal["labels", "components", "one"] = Field(
        "labels",
        description="what an object is. `labels`: all pixels of one value; `components`: a connected component of the "
        "foreground; `one`: all foreground of an image",
    )
    values: list[int] | None = Field(None, description="mask values that are foreground; none: everything above zero")
    invert_when_border_is_foreground: bool = Field(
        False, description="invert a binary mask if most of its border is foreground"
    )
    channel: str | None = Field(
        None, description="channel to segment (Otsu threshold, watershed) if there are no mask files; none: the first"
    )
    smoothing_px: float = Field(2.0, ge=0, description="sigma of the Gaussian filter before thresholding, in px")
    split_distance_px: float = Field(
        8.0, gt=0, description="minimum distance between two seeds of the watershed, in px"
    )
    min_area_px: int = Field(
        60, ge=1, description="minimum area of an object in px; smaller ones are rejected and counted"
    )


class Outlines(Section):
    """Outlines as lists of points, in place of images."""

    path: PathText = Field(description="path of the file with the outlines, relative to `root`")
    format: Literal["blocks", "table"] = Field(
        "blocks", description="`blocks`: lines `x y`, with a blank line between objects; `table`: CSV, TSV or Parquet"
    )
    object: str = Field("object", description="column with the object's id, for `format: table`")
    x: str = Field("x", description="column with x in px, for `format: table`")
    y: str = Field("y", description="column with y in px, for `format: table`")


class Source(Section):
    """Raw data: where it is and how to read it."""

    root: PathText = Field(".", description="folder of the raw data, absolute or relative to `data_root`")
    simulate: Simulation | None = Field(None, description="simulate the raw data")
    files: str | dict[str, str] | None = Field(
        None,
        description="pattern of the image files with fields in braces (`{plate}/{well}_{channel}.tif`; "
        "`{name:regex}` narrows a field), or channel -> column of the table with the path of its file",
    )
    listing: PathText | None = Field(
        None, description="text file with one path a line, to be matched in place of the files in the folder"
    )
    table: Table | None = Field(None, description="table of labels and metadata")
    columns: dict[Literal["image", "plate", "well", "field", "label", "group"], str] = Field(
        default_factory=dict,
        description="name of the column or field for each of these words, if it differs from the word",
    )
    channels: list[str] | dict[str, str] = Field(
        default_factory=list,
        description="channel names in the order of the pages or colours in a file, or name -> text of `{channel}`",
    )
    masks: Masks | None = Field(None, description="objects")
    outlines: Outlines | None = Field(None, description="outlines as points, for studies without images")
    label_separator: str | None = Field(
        None, description="separator between labels in one cell of the table, for several labels a unit"
    )
    classes: dict[str, str] = Field(default_factory=dict, description="label in the table -> name of the class")
    planes: Planes | None = Field(
        None,
        description="selection or projection of focal planes (`{z}`) and time points (`{t}`); none: images with "
        "several are refused",
    )
    pixel_size_um: float | None = Field(None, gt=0, description="pixel size in µm")

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> Source:
        if (self.files is None) == (self.outlines is None):
            raise ValueError("give exactly one of `files` (images or masks) and `outlines` (points)")
        if isinstance(self.files, dict):
            if self.table is None:
                raise ValueError("`files` names columns of a table, so `table` must be given")
            if list(self.files) != list(self.channels):
                raise ValueError("`files` and `channels` must name the same channels in the same order")
        return self
