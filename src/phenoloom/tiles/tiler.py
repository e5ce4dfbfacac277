"""Turn one image into encoded, measured tiles."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config.rule_settings import ConvertSettings
from ..config.source import Masks, Polarity
from ..config.study import Tiles
from ..core.errors import ImageError, PhenoloomError
from ..images.labels import Labels, read_labels
from ..images.objects import LeftOut, run_lengths
from ..images.reader import ImageFiles, Reader
from ..images.segment import segment
from ..images.threshold import foreground
from ..study.points import LocatedPoints, Lost, Points, PointTable
from .crop import Window, crop, grid_windows, inside, object_windows, point_windows
from .measure import Measurements, Measurer, image_digest
from .store import TileWriter


@dataclass(frozen=True)
class Conversion:
    """Settings by which the images of a study become tiles.

    Attributes:
        root: Folder that the paths of the sheet are relative to.
        channels: Names of the channels, in their order.
        reader: Reads an image.
        tiles: Size and places of tiles, and how they are stored.
        masks: Where objects come from; None: the study has no objects.
        pixel_size_um: Side of a pixel in µm, where it is known.
        max_rejected_fraction: Fraction of images that may be unusable.
        objects: Manifest of the table of objects, where it says where they are; None: it does not, or there is none.
        polarity: Whether objects are brighter or darker than the field; `auto`: found from the images.
    """

    root: Path
    channels: list[str]
    reader: Reader
    tiles: Tiles
    masks: Masks | None = None
    pixel_size_um: float | None = None
    max_rejected_fraction: float = 0.0
    objects: Path | None = None
    polarity: Literal["auto"] | Polarity = "auto"

    @property
    def by_threshold(self) -> bool:
        """Whether a threshold says what is foreground, and not mask files."""
        return self.masks is None or self.masks.files is None

    @classmethod
    def of(cls, settings: ConvertSettings, reader: Reader | None = None, objects: Path | None = None) -> Conversion:
        """Return the conversion that settings state.

        Args:
            settings: Settings of `convert`.
            reader: Reader of the images, if it is not that of the settings.
            objects: Manifest of the table of objects, for settings with `places`.

        Raises:
            PhenoloomError: The settings need a table of objects, and none is given.
        """
        if settings.places and objects is None:
            raise PhenoloomError(
                "The table of objects says where objects are (columns `x` and `y`), so its manifest must be given with "
                "`--objects`"
            )
        return cls(
            root=Path(settings.root),
            channels=settings.channels,
            reader=reader or Reader(len(settings.channels), settings.planes, settings.image, settings.level),
            tiles=settings.tiles,
            masks=settings.masks,
            pixel_size_um=settings.pixel_size_um,
            max_rejected_fraction=settings.max_rejected_fraction,
            objects=objects if settings.places else None,
            polarity=settings.polarity,
        )

    def points(self, shard: str | None = None) -> PointTable | None:
        """Return the points of a shard, or of all; None where the study has none."""
        return None if self.objects is None else PointTable(self.objects.with_suffix(".parquet"), shard)

    def read(self, row: dict[str, Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
        """Read the image of a row of the sheet as (c, h, w).

        Args:
            row: Row of the sheet.
            dtype: Pixel type that all images of the study have; None: not known yet.

        Raises:
            ImageError: The image cannot be used, or its pixels are of another type.
        """
        image = self.reader.read(ImageFiles.of(row, self.root))
        if dtype is not None and image.dtype != dtype:
            raise ImageError(
                f"expected pixels of type {dtype.name} like the study's first image, found {image.dtype.name}"
            )
        return image

    @cached_property
    def foreground_channel(self) -> int:
        """The number of the channel that is segmented; raises PhenoloomError where the study has no such channel."""
        name = self.channels[0] if self.masks is None or self.masks.channel is None else self.masks.channel
        if name not in self.channels:
            raise PhenoloomError(
                f"`source.masks.channel` is {name!r}, but the channels are {', '.join(self.channels)}; name one of "
                "these"
            )
        return self.channels.index(name)

    def labels(self, row: dict[str, Any], image: NDArray[Any]) -> Labels | None:
        """Return the objects of the image (c, h, w) in a row of the sheet; None where the study has no masks.

        Raises:
            ImageError: Its mask is missing, cannot be used, or has another size.
        """
        masks = self.masks
        if masks is None:
            return None
        if masks.files is None:
            return segment(image[self.foreground_channel], masks, self._bright_or_dark)
        if row["mask"] is None:
            raise ImageError("expected a mask file, found none in the sheet")
        try:
            labels = read_labels(self.root / row["mask"], masks)
        except ImageError as error:
            raise ImageError(f"its mask {row['mask']}: {error}") from None
        if labels.shape != image.shape[1:]:
            raise ImageError(
                f"expected a mask of {image.shape[1]} x {image.shape[2]} px like its image, "
                f"found {labels.shape[0]} x {labels.shape[1]} px in {row['mask']}{self._levels_apart(masks)}"
            )
        return labels

    def _levels_apart(self, masks: Masks) -> str:
        """Return what the study says of the resolutions of images and of masks, where these differ."""
        image, mask = self.reader.level or 0, masks.level or 0
        if image == mask:
            return ""
        return (
            f"; images are read at level {image} (`source.level`) and masks at level {mask} (`source.masks.level`), "
            "where 0 is the full resolution: choose levels of one size, or save masks in the size of that of the images"
        )

    def foreground(self, plane: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pixels of the channel (h, w) that is segmented are foreground, by threshold."""
        return foreground(plane, self._bright_or_dark)

    def background(self, image: NDArray[Any], labels: Labels | None, windows: list[Window]) -> int:
        """Return how many windows of a grid have less foreground than the study asks for."""
        tiles = self.tiles
        if tiles.mode != "grid" or not tiles.min_foreground:
            return 0
        above = self.foreground(image[self.foreground_channel]) if labels is None else labels != 0
        return sum(bool(inside(above, window, tiles.size).mean() < tiles.min_foreground) for window in windows)

    @property
    def _bright_or_dark(self) -> Polarity:
        # Whoever reads single images decides first, for all of them (`tiles.polarity`).
        if self.polarity == "auto":
            raise ValueError("the polarity of a conversion must be decided before images are segmented")
        return self.polarity

    def windows(
        self, image: NDArray[Any], labels: Labels | None, points: Points | None, rejected: Counter[str]
    ) -> list[Window]:
        """Return the windows of an image, also of objects that get no tile (`Window.left_out`).

        Args:
            image: The image (c, h, w).
            labels: Its objects; None where the study has no masks.
            points: Its points; None where the study has none.
            rejected: Counts of objects without a tile, by reason; they are added to.
        """
        tiles, masks = self.tiles, self.masks
        if tiles.mode == "grid":
            return grid_windows(image.shape[1], image.shape[2], tiles.size, tiles.stride or tiles.size)
        if points is not None and masks is None:
            return point_windows(points, image.shape[1:], tiles.size, tiles.border == "keep", rejected)
        if labels is None or masks is None:
            raise PhenoloomError(
                "`tiles.mode: objects` needs `source.masks` or `source.points`; `masks: {}` segments the first channel"
            )
        return object_windows(labels, tiles.size, masks.min_area_px, tiles.border == "keep", rejected)


@dataclass(slots=True)
class TiledImage:
    """The tiles of one image in order, or the reason why it has none.

    Attributes:
        reason: Why the image cannot be used; empty where it can.
        digest: Digest of its pixels.
        windows: Where each tile lies, and each object that has none (`Window.left_out`).
        runs: Masks of the objects that are larger than a tile, as `run_lengths` in their bounding boxes.
        encoded: Compressed tile and mask, by name of the array.
        foreground: Fraction of each tile that is foreground.
        measured: Measurements of the tiles.
        rejected: Counts of objects and tiles left out, by reason.
        points: For each of `windows`, rows of the table of objects whose points lie in its object; empty without them.
        lost: Rows of that table whose points lie in no object, by reason.
    """

    reason: str = ""
    digest: str = ""
    windows: list[Window] = field(default_factory=list)
    runs: list[NDArray[np.int32]] = field(default_factory=list)
    encoded: list[dict[str, bytes]] = field(default_factory=list)
    foreground: list[float] = field(default_factory=list)
    measured: Measurements | None = None
    rejected: Counter[str] = field(default_factory=Counter)
    points: list[list[int]] = field(default_factory=list)
    lost: Lost = field(default_factory=dict)


class Tiler:
    """A worker that reads, segments, crops, measures and encodes images. It keeps no state: they may come in any order.

    Args:
        conversion: How images become tiles.
        dtype: Pixel type that all images of the study have.
        encoder: Compresses tiles.
        points: Points of the images; None where the study has none.
    """

    def __init__(
        self, conversion: Conversion, dtype: np.dtype[Any], encoder: TileWriter, points: PointTable | None = None
    ) -> None:
        self.conversion, self.dtype, self.encoder, self.points = conversion, dtype, encoder, points
        self.foreground_channel = conversion.foreground_channel

    def tile(self, row: dict[str, Any]) -> TiledImage:
        """Return the tiles of the image in a row of the sheet, or the reason why it cannot be used."""
        try:
            image = self.conversion.read(row, self.dtype)
            labels = self.conversion.labels(row, image)
            points = self.points.of(row["image_id"]) if self.points else None
            result = self._tiles(image, labels, points)
        except ImageError as error:
            return TiledImage(reason=str(error))
        if points is not None and labels is None:
            result.lost = points.outside(*image.shape[1:])
        elif points is not None and labels is not None:
            located = LocatedPoints(points, labels)
            result.points = located.rows_of([window.object for window in result.windows])
            result.lost = located.lost
        return result

    def _tiles(self, image: NDArray[Any], labels: Labels | None, points: Points | None) -> TiledImage:
        tiles, result, measurer = self.conversion.tiles, TiledImage(), Measurer()
        plane = image[self.foreground_channel]
        # One comparison for the whole plane: tiles that overlap share it, and counting bytes costs little.
        above = self.conversion.foreground(plane).view(np.uint8) if labels is None else None
        for window in self.conversion.windows(image, labels, points, result.rejected):
            if window.left_out is not None:
                result.windows.append(window)
                if labels is not None and window.left_out == LeftOut.TOO_LARGE:
                    box = labels[window.y : window.y + window.height_px, window.x : window.x + window.width_px]
                    result.runs.append(run_lengths(box == window.object))
                continue
            # The mask of an object's tile shows that object alone; a neighbour in the window is background.
            mask = None if labels is None else crop(labels, window, tiles.size)
            if mask is not None and window.object >= 0:
                mask = (mask == window.object).astype(np.uint8)
            part = inside(image, window, tiles.size)
            seen = mask if above is None else inside(above, window, tiles.size)
            foreground = cv2.countNonZero(seen) / (part.shape[1] * part.shape[2])
            if window.object < 0 and foreground < tiles.min_foreground:
                result.rejected[LeftOut.BACKGROUND] += 1
                continue
            tile = crop(image, window, tiles.size)
            result.windows.append(window)
            result.foreground.append(foreground)
            # Measured first: the copy of the tile still lies in the cache.
            measurer.add(tile if part.shape == tile.shape else part)
            result.encoded.append(self.encoder.encode(tile, mask))
        result.measured = measurer.finish(len(image))
        result.digest = image_digest(image) if result.windows else ""
        return result
