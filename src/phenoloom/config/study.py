"""A study file: raw data, views, folds, representations, probes and report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from .base import Fraction, Name, Section, Unit
from .effects import refuse_tiles_without_effect
from .representation import Representation
from .source import Source


class Tiles(Section):
    """The tile store: crops of the images with one size."""

    mode: Literal["grid", "objects"] = Field(
        "grid", description="`grid`: crops on a grid; `objects`: one crop centred on each object"
    )
    size: int = Field(
        224, ge=8, description="height and width of a tile in px; larger objects get no tile, and are counted"
    )
    stride: int | None = Field(
        None, ge=1, description="step of the grid in px; none: `size`, so that tiles do not overlap"
    )
    min_foreground: Fraction = Field(
        0.0, description="tiles of a grid with a smaller share of foreground are rejected and counted"
    )
    border: Literal["keep", "drop"] = Field(
        "drop",
        description="objects that touch the border of the image. `keep`: flag them; `drop`: leave them out and count "
        "them",
    )
    tiles_per_shard_file: int = Field(128, ge=1, description="tiles in one file of the store")
    compression: Literal["lz4", "zstd"] = Field("lz4", description="`lz4`: fast to read; `zstd`: smaller, for archives")


class Shapes(Section):
    """Contours of objects and their distance matrices."""

    points: int = Field(64, ge=8, le=4096, description="points a contour, equally spaced by arc length")
    border: Literal["keep", "drop"] = Field(
        "drop",
        description="objects with a mask that touches the border of the image. `keep`: flag them; `drop`: "
        "leave them out and count them",
    )
    min_points: int = Field(8, ge=3, description="outlines with fewer distinct points are rejected and counted")
    store_distances: bool = Field(
        False,
        description="store the distance matrices too, `points` / 2 times as large as contours; training does not need "
        "them",
    )


class Folds(Section):
    """Cross-validation folds, the same for all representations of a study."""

    scheme: Literal["stratified-group-kfold", "leave-one-group-out"] = Field(
        "stratified-group-kfold",
        description="how test folds are chosen; each must hold two classes, or several labels",
    )
    count: int = Field(5, ge=2, description="number of folds; for leave-one-group-out the number of groups")
    group: Literal["object", "image", "well", "plate", "group"] = Field(
        "well", description="unit that is never split over two folds; `group`: the column of that name"
    )


class Classify(Section):
    """Probes: classifiers on frozen vectors."""

    unit: Unit = Field("object", description="unit that is classified; the vectors of a unit are averaged")
    probes: list[Literal["dummy", "knn", "logistic", "forest"]] = Field(
        ["dummy", "knn", "logistic", "forest"], min_length=1, description="classifiers fitted on the train folds"
    )
    shuffled_labels: bool = Field(
        True, description="also score logistic regression on labels shuffled between groups, which must be at chance"
    )
    forest_trees: int = Field(300, ge=1, description="trees of the random forest")
    neighbours: int = Field(5, ge=1, description="neighbours of kNN, by cosine distance")


class Report(Section):
    """Contents of the report."""

    sample_tiles: int = Field(6, ge=1, le=50, description="sample tiles a class")
    map_points: int = Field(3000, ge=10, description="points in the 2-D map of an embedding")


class Study(Section):
    """A study: one data set, in one file."""

    title: str = Field(min_length=1, description="title of the study in the report")
    licence: str = Field(min_length=1, description="licence of the data, shown in the report")
    reference: str | None = Field(None, description="publication, accession or address of the data")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random in the study")
    shards: int = Field(
        1,
        ge=1,
        le=10_000,
        description="parts of the study, of whole plates or wells, each converted by a job of its own",
    )
    max_rejected_fraction: Fraction = Field(
        0.1, description="a step fails if it quarantines a larger share of its images"
    )
    source: Source = Field(description="raw data")
    tiles: Tiles | None = Field(None, description="tile store; none: the study has no view `tiles`")
    shapes: Shapes | None = Field(None, description="contours; none: the study has no view `shapes`")
    folds: Folds = Field(default_factory=Folds, description="cross-validation")
    models: dict[Name, dict[str, object]] = Field(
        default_factory=dict, description="model -> keys that replace those in its file, for this study only"
    )
    representations: dict[Name, Representation] = Field(min_length=1, description="name -> representation")
    classify: Classify = Field(default_factory=Classify, description="probes")
    transfer: list[Name] = Field(
        default_factory=list,
        description="studies with encoders and probes to test on this one, in the representations that both declare in "
        "the same words",
    )
    report: Report = Field(default_factory=Report, description="the report")

    @field_validator("transfer")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("must name each study once")
        return names

    @model_validator(mode="after")
    def _sections_fit(self) -> Study:
        source = self.source
        if self.tiles is None and self.shapes is None:
            raise ValueError("give `tiles`, `shapes` or both: without a view there is nothing to embed")
        if source.outlines and self.tiles:
            raise ValueError("`source.outlines` has no pixels, so `tiles` cannot be made from it; remove `tiles`")
        if self.tiles and not source.channels:
            raise ValueError("`source.channels` must name the channels of the images, for example [DNA, actin]")
        if source.object_rows and self.tiles and self.tiles.mode == "grid":
            section = "objects" if source.objects else "points"
            raise ValueError(
                f"`source.{section}` is a table of objects, and tiles of a grid show none; use `tiles.mode: objects`"
            )
        if source.points and self.shapes:
            raise ValueError(
                "`source.points` have no outlines, so there are no `shapes`; leave these out, or add masks"
            )
        if (
            source.points is None
            and source.files
            and not source.masks
            and (self.shapes or (self.tiles and self.tiles.mode == "objects"))
        ):
            raise ValueError(
                "`source.masks` must say where objects come from; `masks: {}` segments the first channel by threshold"
            )
        if self.shapes and self.tiles and self.tiles.mode == "grid":
            raise ValueError(
                "`shapes` come from the masks of object tiles, and a grid cuts objects; use `tiles.mode: objects`"
            )
        if self.shapes and not self.tiles and source.files and not (source.masks and source.masks.files):
            raise ValueError("`shapes` without `tiles` come from mask files; name them in `source.masks.files`")
        if self.classify.unit == "tile" and not self.tiles:
            raise ValueError("`classify.unit: tile` needs `tiles`; use `object`")
        refuse_tiles_without_effect(source, self.tiles)
        return self

    def trained_as(self, encoder: str) -> Representation | None:
        """Return the first representation that trains an encoder of this name, or None."""
        return next((entry for entry in self.representations.values() if entry.encoder == encoder), None)

    @model_validator(mode="after")
    def _encoders_are_one(self) -> Study:
        for name, entry in self.representations.items():
            first = self.trained_as(entry.encoder) if entry.encoder else None
            same = first is None or (set(first.trained_on), first.shared_groups) == (
                set(entry.trained_on),
                entry.shared_groups,
            )
            if not same:
                raise ValueError(
                    f"`representations.{name}` trains {entry.encoder} in another way than a representation before it: "
                    "give both the same `trained_on` and `shared_groups`, or use two model files"
                )
        return self

    @model_validator(mode="after")
    def _parts_are_there(self) -> Study:
        whole = [name for name, entry in self.representations.items() if not entry.concatenate]
        for name, entry in self.representations.items():
            for part in entry.concatenate or ():
                if part not in whole:
                    what = "is itself concatenated" if part in self.representations else "is not a representation"
                    raise ValueError(
                        f"`representations.{name}.concatenate` names {part!r}, which {what} of this study; it can "
                        f"join {', '.join(whole)}"
                    )
        return self
