"""Read a few images as the steps would: pixels, objects, tiles and contours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..artifacts.manifest import Quarantine, by_reason, read_manifest
from ..core.errors import ImageError
from ..core.spread import spread_positions
from ..images.labels import Labels
from ..images.objects import LeftOut, fitting_side, objects
from ..shapes.batch import OutlineSource
from ..shapes.contours import ContourPolicy, accepted
from ..shapes.sources import outline_source
from ..study.points import PointTable, of_no_object
from ..tiles.polarity import MOST_TRIED, field_polarity
from ..tiles.tiler import Conversion
from .files import reasons
from .sample import MORE, MOST, MOST_BYTES, MOST_OF_SMALL, SMALL_BYTES, kinds, spread_over
from .subject import Finding, Subject, counted, listed


@dataclass(slots=True)
class Seen:
    """What was seen in one image.

    Attributes:
        image: Its id.
        files: Its files.
        reason: Why it cannot be used; empty where it can.
        pixels: Type, channels and size of its pixels, in words.
        objects: Objects in its masks; None where the study has none.
        kept: Tiles, or contours of a study without tiles.
        left_out: Counts of objects and tiles that are left out, by reason.
        sides_px: Longer side of the bounding box of each object that a tile is for.
        rows: For each row of the table of objects that is about this image, whether it belongs to no object.
    """

    image: str
    files: list[str]
    reason: str = ""
    pixels: str = ""
    objects: int | None = None
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    sides_px: list[int] = field(default_factory=list)
    rows: list[bool] = field(default_factory=list)


Look = Callable[[int], Seen]
"""Reads the image in a row of the sheet."""


def images(subject: Subject) -> Finding:
    """Read images of every kind with their masks, and say what is in them and how many cannot be used."""
    if subject.table.num_rows == 0:
        return Finding("images")
    kind, sizes = kinds(subject.table), subject.table["bytes"].to_numpy()
    small = np.flatnonzero(sizes <= MOST_BYTES)
    look, stated = _look(subject, small)
    if look is None:
        return Finding("images")
    most = MOST_OF_SMALL if len(sizes) <= MOST_OF_SMALL and sizes.sum() <= SMALL_BYTES else MOST
    seen = {row: look(row) for row in _first_of_all(small, kind, most)}
    doubtful = {int(kind[row]) for row, one in seen.items() if one.reason}
    rest = np.array([row for row in small.tolist() if row not in seen and kind[row] in doubtful], np.int64)
    seen |= {row: look(row) for row in rest[spread_over(kind[rest], MORE)].tolist()} if len(rest) else {}
    lines = [*_lines(seen, subject), *stated]
    if large := len(sizes) - len(small):
        lines.append(f"{counted(large, 'image')} of more than {MOST_BYTES >> 20} MB not read; conversion reads all")
    return Finding(
        "images", lines, [*_too_many(seen, kind, subject), *_nothing(seen, subject), *_strange_rows(seen, subject)]
    )


def _first_of_all(small: NDArray[np.int64], kind: NDArray[np.int64], most: int) -> list[int]:
    """Return the rows to read; the first of the sheet leads, since it decides the type of pixels for all."""
    found = small[spread_over(kind[small], most)].tolist()
    return list(dict.fromkeys([*small[:1].tolist(), *found]))[:most]


def _look(subject: Subject, small: NDArray[np.int64]) -> tuple[Look | None, list[str]]:
    """Return what reads an image, and lines on what was decided for all images."""
    rows = subject.table
    if subject.study.tiles:
        conversion = Conversion.of(subject.settings.convert(), objects=subject.objects)
        spread = (rows.slice(int(small[i]), 1).to_pylist()[0] for i in islice(spread_positions(len(small)), MOST_TRIED))
        if (decided := field_polarity(conversion, spread)) is None:
            return _looks_at_pixels(conversion, rows, _strange_in(subject)), []
        decided_for_all = replace(conversion, polarity=decided.polarity)
        return _looks_at_pixels(decided_for_all, rows, _strange_in(subject)), [decided.sentence()]
    settings = subject.settings.contours() if subject.study.shapes else None
    if settings is None or settings.source != "masks":
        return None, []
    source = outline_source(settings.source, None, settings.root, settings.masks, settings.outlines)
    return _looks_at_masks(source, ContourPolicy.of(settings), rows), []


def _strange_in(subject: Subject) -> Callable[[str, Labels], list[bool]]:
    """Return what says of each row of the table of objects about an image whether it belongs to none of its objects."""
    if subject.objects is None:
        return lambda image, labels: []
    table, by_point = PointTable(subject.objects.with_suffix(".parquet")), read_manifest(subject.objects)["by_point"]
    return lambda image, labels: of_no_object(table.of(image), labels, by_point).tolist()


def _looks_at_pixels(conversion: Conversion, rows: pa.Table, strange_in: Callable[[str, Labels], list[bool]]) -> Look:
    """Return what reads images and their masks; all must have the pixel type of the first that can be read."""
    known: list[np.dtype[Any]] = []
    points = conversion.points()

    def look(number: int) -> Seen:
        row = rows.slice(number, 1).to_pylist()[0]
        seen = Seen(row["image_id"], row["files"])
        try:
            image = conversion.read(row, known[0] if known else None)
            known.append(image.dtype)
            channels, height, width = image.shape
            seen.pixels = f"{image.dtype.name}, {counted(channels, 'channel')}, {height} x {width} px"
            labels = conversion.labels(row, image)
            seen.objects = None if labels is None else len(objects(labels))
            seen.rows = [] if labels is None else strange_in(row["image_id"], labels)
            there = points.of(row["image_id"]) if points else None
            windows = conversion.windows(image, labels, there, seen.left_out)
            seen.kept = sum(window.left_out is None for window in windows)
            if background := conversion.background(image, labels, windows):
                seen.kept -= background
                seen.left_out[LeftOut.BACKGROUND] += background
            seen.sides_px = [window.side_px for window in windows if window.left_out != LeftOut.AT_IMAGE_BORDER]
        except ImageError as error:
            seen.reason = str(error)
        return seen

    return look


def _looks_at_masks(source: OutlineSource, policy: ContourPolicy, rows: pa.Table) -> Look:
    """Return what reads the mask files of a study without tiles, and traces their objects."""

    def look(number: int) -> Seen:
        row = rows.slice(number, 1)
        seen = Seen(row["image_id"][0].as_py(), [row["mask"][0].as_py() or ""], pixels="masks", objects=0)
        for batch in source.batches(row, 1)[1]:
            seen.objects = len(batch.polygons) + by_reason(batch.rejected)[LeftOut.TOO_SMALL]
            contours, _ = accepted(policy, batch, batch.rejected)
            seen.kept += len(contours)
            seen.left_out += by_reason(batch.rejected)
            seen.reason = "; ".join(one["reason"] for one in batch.quarantine)
        return seen

    return look


def _lines(seen: dict[int, Seen], subject: Subject) -> list[str]:
    noun = "tile" if subject.study.tiles else "contour"
    used = [one for one in seen.values() if not one.reason]
    lines = [f"{len(seen):,} of {counted(subject.table.num_rows, 'image')} read"]
    for pixels in dict.fromkeys(one.pixels for one in used):
        alike = [one for one in used if one.pixels == pixels]
        lines.append(f"  {pixels}: {', '.join(_contents(alike, noun))} ({listed([one.image for one in alike])})")
        left_out = sum((one.left_out for one in alike), Counter[str]())
        lines += [f"    left out: {count:,} x {reason}" for reason, count in left_out.most_common()]
        if left_out[LeftOut.TOO_LARGE]:
            lines.append(_too_large([side for one in alike for side in one.sides_px], subject))
    if unusable := _quarantine(seen):
        lines += [f"{len(unusable):,} of those read cannot be used", *reasons(unusable)]
    if rows := [strange for one in used for strange in one.rows]:
        lines.append(f"{len(rows) - sum(rows):,} of {counted(len(rows), 'row')} of the table of objects have an object")
    return lines


def _too_large(sides_px: list[int], subject: Subject) -> str:
    """Return the sentence on objects that are larger than a tile."""
    tiles = subject.study.tiles
    size = tiles.size if tiles else 0
    large = sum(side > size for side in sides_px)
    return (
        f"    {large / len(sides_px):.0%} of the objects ({large:,} of {len(sides_px):,}) are larger than the window "
        f"of {size} px and get no tile; `tiles.size: {fitting_side(np.bincount(sides_px))}` would keep 99 %"
    )


def _contents(alike: list[Seen], noun: str) -> list[str]:
    found = sum(one.objects or 0 for one in alike)
    objects_found = [counted(found, "object")] if any(one.objects is not None for one in alike) else []
    return [counted(len(alike), "image"), *objects_found, counted(sum(one.kept for one in alike), noun)]


def _quarantine(seen: dict[int, Seen]) -> Quarantine:
    return [
        {"image_id": one.image, "file": "; ".join(one.files), "reason": one.reason}
        for one in seen.values()
        if one.reason
    ]


def _too_many(seen: dict[int, Seen], kind: NDArray[np.int64], subject: Subject) -> list[str]:
    """Return the sentence that a shard would have too many images in quarantine, from the share of each kind."""
    limit = subject.study.max_rejected_fraction
    read = np.bincount(kind[list(seen)], minlength=kind.max() + 1)
    failed = np.bincount([kind[row] for row, one in seen.items() if one.reason], minlength=kind.max() + 1)
    rate = np.divide(failed, read, out=np.zeros(len(read)), where=read > 0)
    shards, of = np.unique(subject.table["shard"].to_numpy(zero_copy_only=False), return_inverse=True)
    share = np.bincount(of, rate[kind]) / np.bincount(of)
    worst = int(share.argmax())
    if not share[worst] > limit:
        return []
    exact = "" if len(seen) == subject.table.num_rows else "about "
    first = next(one for one in seen.values() if one.reason)
    return [
        f"{exact}{share[worst]:.0%} of the images of shard {shards[worst]} cannot be used, more than "
        f"max_rejected_fraction = {limit:g} allows; the first of them: {first.image}: {first.reason}. Repair or leave "
        "out the files, correct what the reason names, or raise max_rejected_fraction"
    ]


def _nothing(seen: dict[int, Seen], subject: Subject) -> list[str]:
    """Return the sentence that images which can be read give nothing to work on."""
    used = [one for one in seen.values() if not one.reason]
    if not used or any(one.kept for one in used):
        return []
    section = "points" if subject.study.source.points else "masks"
    noun, keys = (
        ("tile", f"source.{section} and tiles") if subject.study.tiles else ("contour", "source.masks and shapes")
    )
    left_out = sum((one.left_out for one in used), Counter[str]())
    why = ", ".join(f"{count:,} x {reason}" for reason, count in left_out.most_common())
    return [
        f"none of {counted(len(used), 'image')} that can be read gives a {noun} ({why or 'nothing is left out'}), so "
        f"the study would be empty; correct {keys}"
    ]


def _strange_rows(seen: dict[int, Seen], subject: Subject) -> list[str]:
    """Return the sentence that most rows of the table of objects belong to no object of their image."""
    rows, settings = [strange for one in seen.values() for strange in one.rows], subject.study.source.objects
    if settings is None or 2 * sum(rows) <= len(rows):
        return []
    first = next(one for one in seen.values() if any(one.rows))
    keys = "`source.objects.x` and `y` (in px, not in µm)" if settings.by_point else "`source.objects.object`"
    return [
        f"only {len(rows) - sum(rows):,} of {counted(len(rows), 'row')} of {settings.path} belong to an object of "
        f"their image, for example not all of image {first.image!r}; correct {keys}, or its `join`"
    ]
