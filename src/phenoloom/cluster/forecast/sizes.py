"""How large studies are: a table of their sizes, and the number of shards that follows from it."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import PhenoloomError

SHARD_LEAST_BYTES = 50 * 10**9
SHARD_MOST_BYTES = 200 * 10**9
# Paths of all shards are on one command line, and Linux allows 128 KiB for one argument of a shell.
SHARDS_MOST = 1000
SAMPLE_BYTES = 2

_REQUIRED = ("study", "plates", "images", "bytes")
_OPTIONAL = ("channels", "tiles", "objects", "shards", "dimensions")


@dataclass(frozen=True)
class StudySize:
    """Size of one study.

    Attributes:
        name: name of the study.
        plates: whole plates.
        images: fields of view.
        bytes: decompressed raw bytes.
        samples: pixels of one channel over all planes: bytes / channels / 2, for 16-bit data.
        channels: mean number of channels.
        tiles, objects, shards: their numbers; None where the table does not say.
        stacked: share of the bytes in stacks and films; None where the table does not say.
    """

    name: str
    plates: int
    images: int
    bytes: int
    samples: float
    channels: float
    tiles: int | None = None
    objects: int | None = None
    shards: int | None = None
    stacked: float | None = None


def recommended_shards(plates: int, size: int) -> int:
    """Return the number of shards for `size` bytes of raw pixels.

    It is one a plate. Small plates share a shard until it holds 50 GB, large ones are split above 200 GB, and a study
    has at most 1,000 shards.
    """
    wanted = max(math.ceil(size / SHARD_MOST_BYTES), min(plates, math.ceil(size / SHARD_LEAST_BYTES)))
    return max(1, min(SHARDS_MOST, wanted))


def read_sizes(path: Path, columns: Mapping[str, str], one_plane: bool = False) -> list[StudySize]:
    """Read a TSV with a line a study; lines of one study are added up.

    Columns are study, plates, images, bytes, and optionally channels, tiles, objects, shards and dimensions: text of
    the form `X x Y x Z x C x T`, from which the number of channels is taken.

    Args:
        path: the table.
        columns: word -> name of its column, where that has another name.
        one_plane: whether bytes are divided by Z and T.

    Raises:
        PhenoloomError: naming the file, the line and what to correct.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            header, lines = list(reader.fieldnames or []), list(reader)
    except FileNotFoundError:
        raise PhenoloomError(f"There is no table {path}; give a TSV with the columns {', '.join(_REQUIRED)}") from None
    except UnicodeDecodeError as error:
        raise PhenoloomError(f"{path} is not UTF-8 text ({error.reason}); save the table as UTF-8 TSV") from None
    where = _places(path, header, columns)
    if one_plane and "dimensions" not in where:
        raise PhenoloomError(f"{path} has no column `dimensions`, which says how many planes an image has; name it")
    if not lines:
        raise PhenoloomError(f"{path} holds a header but no study; add a line a study")
    parts: dict[str, list[StudySize]] = {}
    for number, line in enumerate(lines, start=2):
        part = _size(line, where, f"{path}, line {number}", one_plane)
        parts.setdefault(part.name, []).append(part)
    return [_sum(group) for group in parts.values()]


def _places(path: Path, header: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    unknown = sorted(set(columns) - set(_REQUIRED) - set(_OPTIONAL))
    if unknown:
        raise PhenoloomError(f"`--columns` knows {', '.join(_REQUIRED + _OPTIONAL)}, but not {', '.join(unknown)}")
    where: dict[str, str] = {}
    by_word = {name.strip().lower(): name for name in header}
    for word in (*_REQUIRED, *_OPTIONAL):
        column = columns[word] if word in columns else by_word.get(word)
        if column is None and word in _OPTIONAL:
            continue
        if column is None or column not in header:
            raise PhenoloomError(
                f"{path} has no column {column or word!r} for `{word}` (it has: {', '.join(header)}); "
                f"say which one it is with --columns {word}='NAME'"
            )
        where[word] = column
    return where


def _size(line: Mapping[str, str | None], where: Mapping[str, str], place: str, one_plane: bool) -> StudySize:
    name = (line[where["study"]] or "").strip()
    if not name:
        raise PhenoloomError(f"{place}: the study has no name; fill column {where['study']!r}")
    counts = {word: _count(line, where, word, place) for word in (*_REQUIRED[1:], *_OPTIONAL[:-1])}
    plates, images, size = (counts[word] or 0 for word in _REQUIRED[1:])
    dimensions = _dimensions(line, where, place)
    planes = dimensions[2] * dimensions[4] if dimensions else 1
    channels = counts["channels"] or (dimensions[3] if dimensions else 1)
    size = round(size / planes) if one_plane else size
    return StudySize(
        name=name,
        plates=plates,
        images=images,
        bytes=size,
        samples=size / SAMPLE_BYTES / channels,
        channels=channels,
        tiles=counts["tiles"],
        objects=counts["objects"],
        shards=counts["shards"],
        stacked=float(planes > 1) if dimensions else None,
    )


def _count(line: Mapping[str, str | None], where: Mapping[str, str], word: str, place: str) -> int | None:
    """Return a whole number of 0 or more; None for an optional one that is absent or empty."""
    if word not in where:
        return None
    text = (line[where[word]] or "").strip()
    if not text and word in _OPTIONAL:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise PhenoloomError(f"{place}: `{where[word]}` must be a number of 0 or more, found {text!r}; correct it")
    return round(value)


def _dimensions(line: Mapping[str, str | None], where: Mapping[str, str], place: str) -> list[float] | None:
    """Return the mean sizes X, Y, Z, C and T of an image."""
    if "dimensions" not in where:
        return None
    text = (line[where["dimensions"]] or "").strip()
    try:
        sizes = [float(size) for size in text.split("x")]
    except ValueError:
        sizes = []
    if len(sizes) != 5 or not all(math.isfinite(size) and size >= 1 for size in sizes):
        raise PhenoloomError(
            f"{place}: `{where['dimensions']}` must read `X x Y x Z x C x T`, sizes of 1 or more, found {text!r}; "
            "correct it"
        )
    return sizes


def _sum(parts: Sequence[StudySize]) -> StudySize:
    """Add up the lines of one study; an optional count stays unknown when one of its lines does not say it."""

    def total(values: Sequence[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    stacked: float | None = None
    if all(part.stacked is not None for part in parts):
        stacked = sum(part.bytes * (part.stacked or 0) for part in parts)
    samples, size = sum(part.samples for part in parts), sum(part.bytes for part in parts)
    return StudySize(
        name=parts[0].name,
        plates=sum(part.plates for part in parts),
        images=sum(part.images for part in parts),
        bytes=size,
        samples=samples,
        channels=size / SAMPLE_BYTES / samples if samples else max(part.channels for part in parts),
        tiles=total([part.tiles for part in parts]),
        objects=total([part.objects for part in parts]),
        shards=total([part.shards for part in parts]),
        stacked=None if stacked is None or not size else stacked / size,
    )
