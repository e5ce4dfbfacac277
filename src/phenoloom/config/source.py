"""Raw data of a study: files, tables, masks and outlines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from .base import ImageInFile, PathText, PatternText, Section, without_controls
from .effects import refuse_masks_without_effect
from .planes import Planes

Polarity = Literal["bright", "dark"]
"""Objects are brighter than the field around them, or darker."""


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
        description="field of the file pattern (or word of `columns`) -> column of the table; either may be several, "
        "like `{row}{column}`; empty: row i belongs to image i",
    )
    zero_pad: dict[str, int] = Field(
        default_factory=dict, description="column -> width that its ids are padded to with leading zeros before joining"
    )


class Masks(Section):
    """Objects: from mask files, or by segmentation."""

    files: PatternText | None = Field(
        None,
        description="pattern of the mask files, with the fields of `source.files`; none: segment images by threshold",
    )
    plane: int | None = Field(
        None,
        ge=0,
        description="page of a mask file that holds the objects, from 0 in the order of the file (of one page: its "
        "colour); none: files of several are refused",
    )
    image: ImageInFile | None = Field(
        None, description="image of a mask file that holds several, by number or name, as `source.image`"
    )
    level: int | None = Field(None, ge=0, description="resolution of a mask file that is a pyramid, as `source.level`")
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


class ObjectRows(Section):
    """A table with a row for each object."""

    path: PathText = Field(description="path of the table (CSV or TSV, also `.gz`, or Parquet), relative to `root`")
    header: list[str] | None = Field(None, description="column names, for a table without a header")
    join: dict[str, str] = Field(
        min_length=1,
        description="what names the image -> column of the table: fields of the file pattern, `plate`, `well` and "
        "`field`, or `image` for a column with the image's id, path or file name; either may be several, like "
        "`{row}{column}`",
    )
    zero_pad: dict[str, int] = Field(
        default_factory=dict, description="column -> width that its ids are padded to with leading zeros before joining"
    )
    object: str | None = Field(None, description="column with the number of the object")
    x: str | None = Field(None, description="column with x in px, from the left; 0 is the centre of the first pixel")
    y: str | None = Field(None, description="column with y in px, from the top; 0 is the centre of the first pixel")
    label: str | None = Field(None, description="column with the label of the object; none: it has that of its image")
    group: str | None = Field(None, description="column with the group of the object; none: it has that of its image")

    @property
    def by_point(self) -> bool:
        """Return whether objects are found by points in them, not by numbers."""
        return False

    @property
    def columns(self) -> list[str]:
        """Return the columns of the table that say what an object is, each once; `join` has others."""
        named = [self.object, self.x, self.y, self.label, self.group]
        return list(dict.fromkeys(name for name in named if name is not None))


class ObjectLabels(ObjectRows):
    """Labels and groups of objects: a row for each object, found by its number in the mask or by a point in it."""

    @model_validator(mode="after")
    def _one_key(self) -> ObjectLabels:
        if (self.x is None) != (self.y is None) or (self.object is None) == (self.x is None):
            raise ValueError(
                "name either the column with the number of the object in the mask (`object`) or the columns with a "
                "point in the object (`x` and `y`)"
            )
        if self.label is None and self.group is None:
            raise ValueError("name the column with labels of objects (`label`), the one with groups (`group`), or both")
        return self

    @property
    def by_point(self) -> bool:
        """Return whether objects are found by points in them, not by numbers."""
        return self.x is not None


class Points(ObjectRows):
    """Objects as points, where there are no masks: a row for each; the window of a tile is centred on it."""

    @model_validator(mode="after")
    def _placed(self) -> Points:
        if self.x is None or self.y is None:
            raise ValueError("name the columns with the coordinates of the points (`x` and `y`)")
        return self


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
        description="name of the column or field for each of these words, if it differs from the word, or several in "
        "braces: `{row}{column}`",
    )
    channels: list[str] | dict[str, str] = Field(
        default_factory=list,
        description="channel names in the order of the pages or colours in a file, or name -> text of `{channel}`",
    )
    ignore_channels: list[str] = Field(
        default_factory=list,
        description="texts of `{channel}` whose files are left out on purpose; files of other channels that `channels` "
        "lacks are counted in the report",
    )
    ignore_files: list[PatternText] = Field(
        default_factory=list,
        description="patterns of files that are left out on purpose, such as thumbnails; other files that nearly fit "
        "`files` are counted in the report",
    )
    masks: Masks | None = Field(None, description="objects")
    polarity: Literal["auto", "bright", "dark"] = Field(
        "auto",
        description="whether objects are brighter than the field (fluorescence) or darker (brightfield, H&E), for "
        "segmentation by threshold and `tiles.min_foreground`; `auto`: found from images all over the study",
    )
    outlines: Outlines | None = Field(None, description="outlines as points, for studies without images")
    objects: ObjectLabels | None = Field(
        None, description="labels and groups of objects, in place of those of their images"
    )
    points: Points | None = Field(None, description="objects as points, where there are no masks")
    label_separator: str | None = Field(
        None, description="separator between labels in one cell of the table, for several labels a unit"
    )
    classes: dict[str, str] = Field(default_factory=dict, description="label in the table -> name of the class")
    planes: Planes | None = Field(
        None,
        description="selection or projection of focal planes (`{z}`) and time points (`{t}`); none: images with "
        "several are refused",
    )
    image: ImageInFile | None = Field(
        None,
        description="image that is read of a file (TIFF) that holds several, by its number from 0 or its name; pages "
        "of the others are left out; none: files with pages that nothing is said of are refused",
    )
    level: int | None = Field(
        None,
        ge=0,
        description="resolution that is read of a file that is a pyramid: 0 is the full one, 1 the next smaller one; "
        "none: the full one",
    )
    pixel_size_um: float | None = Field(None, gt=0, description="pixel size in µm, of the `level` that is read")

    @field_validator("files")
    @classmethod
    def _patterns_are_visible(cls, files: str | dict[str, str] | None) -> str | dict[str, str] | None:
        return without_controls(files) if isinstance(files, str) else files

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

    @model_validator(mode="after")
    def _keys_have_effect(self) -> Source:
        refuse_masks_without_effect(self)
        return self

    @property
    def object_rows(self) -> ObjectLabels | Points | None:
        """Return the table with a row for each object, if there is one."""
        return self.objects or self.points

    @property
    def places_objects(self) -> bool:
        """Return whether the table of objects says where they are: points in objects, or points that are objects."""
        return self.object_rows is not None and self.object_rows.x is not None

    @property
    def labels_objects(self) -> bool:
        """Return whether labels are those of objects, so that those of images are not used."""
        return self.object_rows is not None and self.object_rows.label is not None

    @model_validator(mode="after")
    def _rows_have_objects(self) -> Source:
        if self.object_rows is None:
            return self
        if self.outlines is not None:
            raise ValueError(
                "an outline is an object with an id, so its label comes from `table` with `join: {object: <column with "
                "the id>}`; leave out `objects` and `points`"
            )
        if self.points is not None:
            if self.objects is not None or self.masks is not None:
                raise ValueError(
                    "`points` are objects where there are no masks; with `masks`, use `objects` with the columns `x` "
                    "and `y` in place of `points`"
                )
            return self
        if self.masks is None:
            raise ValueError(
                "`objects` gives labels to objects in masks, and the study has no `masks`; add `masks`, or use "
                "`points`, which needs none"
            )
        if self.objects is not None and self.objects.object is not None:
            if self.masks.files is None:
                raise ValueError(
                    "`objects.object` is a number in a mask file, and objects from segmentation have no such numbers; "
                    "name the columns of a point in each object (`x` and `y`), or give `masks.files`"
                )
            if self.masks.objects != "labels":
                raise ValueError(
                    f"`objects.object` is a value in a mask file, and with `masks.objects: {self.masks.objects}` an "
                    "object is not the pixels of one value; name the columns of a point in each object (`x` and `y`)"
                )
        return self
