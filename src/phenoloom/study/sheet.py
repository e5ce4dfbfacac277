"""Make the sheet: the table of a study's images, with files per channel, labels, groups and shards."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..artifacts.manifest import Manifest, Quarantine, file_digest, refuse_too_many, write_manifest
from ..artifacts.provenance import Provenance
from ..config.source import Outlines, Source
from ..core.atomic import atomic_path
from ..core.errors import ImageError, PhenoloomError
from ..images.choice import Choice
from ..images.size import MOST_HEADERS, Size, largest
from .annotations import Annotations
from .examples import Examples, examples_of
from .files import MissingFileError, Root, natural
from .image_files import Row, channel_files, rows_of_planes
from .images import Image, file_pattern, find_images
from .outline_files import read_outlines
from .patterns import Pattern
from .searches import mask_files, unread_files
from .shards import assign_shards
from .wells import row_and_column, same_well

BYTES_A_POINT = 16


@dataclass(slots=True)
class Rows:
    """Images found for a study.

    Attributes:
        used: Rows of the sheet.
        quarantine: Images that cannot be used.
        table_rows: Rows of the study's table that belong to an image.
        unannotated: Ids of images without a row in the table.
        unread: Counts of files that no pattern of the study reads, by reason.
    """

    used: list[Row] = field(default_factory=list)
    quarantine: Quarantine = field(default_factory=list)
    table_rows: set[int] = field(default_factory=set)
    unannotated: list[str] = field(default_factory=list)
    unread: dict[str, Any] = field(default_factory=dict)


def sheet_schema(multi_label: bool, planes: bool = False) -> pa.Schema:
    """Return the columns of a sheet, the same whatever is null in it.

    Args:
        multi_label: Whether an image may have several labels.
        planes: Whether the study says what becomes of focal planes and time points. The sheet then has three columns
            more: the id of the stack that the image is a plane of, the number of time points and focal planes that its
            files spread over, and the time point and focal plane that are meant (-1: by the study's policy).
    """
    text, texts = pa.string(), pa.list_(pa.string())
    names = ["image_id", "plate", "well", "row", "column", "field"]
    return pa.schema(
        [(name, text) for name in names]
        + [("files", texts), ("mask", text), ("label", texts if multi_label else text), ("group", text)]
        + [("shard", text), ("bytes", pa.int64()), ("line", pa.int64())]
        + ([("stack", text), *((name, pa.list_(pa.int32())) for name in ("grid", "plane"))] if planes else [])
    )


def make_sheet(
    source: Source, shards: int, max_rejected_fraction: float, sheet: Path, manifest: Path, made_by: Provenance
) -> None:
    """Find the images of a study, and write the sheet in natural order of their ids and its manifest last.

    Images without a file for every channel, or without the mask that the study expects, are quarantined. `line` is the
    row of the table, or the position of the outline in its file, from 0; -1 where there is none.

    Args:
        source: Where the raw data lies; `root` must be the folder itself, not relative to `data_root`.
        shards: Number of shards to divide the images into.
        max_rejected_fraction: Fraction of images that may be unusable.
        sheet: Where the sheet is written.
        manifest: Where the manifest is written.
        made_by: Study and settings, for the manifest.

    Raises:
        PhenoloomError: Files, table and patterns do not fit together, or too many images cannot be used.
    """
    root = Root(source.root)
    manifest.unlink(missing_ok=True)
    annotations, rows = _outline_rows(source, source.outlines, root) if source.outlines else _image_rows(source, root)
    total = len(rows.used) + len(rows.quarantine)
    _refuse_other_channels(source, rows)
    refuse_too_many(rows.quarantine, total, max_rejected_fraction, f"The sheet of {source.root}")
    _refuse_strangers(source, annotations, rows, total)
    _refuse_two_spellings(rows.used)
    rows.used.sort(key=lambda row: natural(row["image_id"]))
    columns = {name: [row[name] for row in rows.used] for name in ("plate", "well", "bytes")}
    assigned = assign_shards(columns["plate"], columns["well"], columns["bytes"], shards)
    for row, shard in zip(rows.used, assigned, strict=True):
        row["shard"] = shard
    table = pa.Table.from_pylist(rows.used, sheet_schema(source.label_separator is not None, source.planes is not None))
    with atomic_path(sheet) as temporary:
        pq.write_table(table, temporary)
    sizes = _largest_images(source, root, rows.used)
    write_manifest(manifest, _manifest(sheet, annotations, rows, sizes, made_by))


def _image_rows(source: Source, root: Root) -> tuple[Annotations, Rows]:
    pattern = file_pattern(source)
    annotations = Annotations(source, root, pattern.fields if pattern else ())
    annotations.check_classes()
    pattern_of_masks = source.masks and source.masks.files
    unread = unread_files(source, pattern, [pattern_of_masks] if pattern_of_masks else []) if pattern else None
    images = find_images(source, root, annotations, pattern, unread)
    if pattern and annotations.by_line:
        _number_lines(images, annotations, source)
    fields = pattern.fields if pattern else annotations.columns
    shared: list[str] = []
    masks: dict[tuple[str, ...], str] = {}
    rows = Rows(unread=unread.facts() if unread else {})
    if pattern_of_masks:
        others = unread_files(source, Pattern(pattern_of_masks), [pattern.text] if pattern else [])
        shared, masks = mask_files(source, pattern_of_masks, root, fields, annotations.normal_field, others)
        rows.unread["near_masks"] = others.facts()["near"]
    missing, all_masks = Examples(), frozenset(masks.values())
    for image in images:
        row = _row(annotations, rows, image.image_id, image.fields, image.row)
        try:
            row["files"] = channel_files(image, source)
            row["bytes"] = sum(_size(file, root, missing) for file in row["files"])
            if shared:
                key = tuple(annotations.normal_field(name, image.fields.get(name, "")) for name in shared)
                row["mask"] = _mask(key, image, masks, all_masks)
                root.size(row["mask"])
            planes = rows_of_planes(row, image, source, root)
        except ImageError as error:
            file = next(iter(image.files.values()), "")
            rows.quarantine.append({"image_id": image.image_id, "file": file, "reason": str(error)})
        else:
            rows.used += planes
    rows.unread["missing"] = missing.facts()
    if missing.count and not rows.used:
        raise PhenoloomError(
            f"None of the files that {'the listing ' + source.listing if source.listing else annotations.path} names "
            f"could be read; {missing.count} do not exist, the first is {missing.names[0]}. Paths must be relative "
            f"to {root.folder}"
        )
    return annotations, rows


def _size(file: str, root: Root, missing: Examples) -> int:
    """Return the bytes of a file; one that does not exist is counted, with the nearest that does."""
    try:
        return root.size(file)
    except MissingFileError:
        near = root.nearest(file) if missing.wanted else None
        missing.add([f"{file!r} (there is {near!r})" if near else repr(file)])
        raise


def _outline_rows(source: Source, outlines: Outlines, root: Root) -> tuple[Annotations, Rows]:
    ids, points = read_outlines(root.path(outlines.path), outlines)
    if twice := [name for name, times in Counter(ids).items() if times > 1]:
        raise PhenoloomError(f"The outline {twice[0]!r} occurs twice in {outlines.path}; ids must be unique")
    annotations = Annotations(source, root, ["object"])
    annotations.check_classes()
    images = [Image(name, {"object": name}, annotations.row({"object": name})) for name in ids]
    if annotations.by_line:
        _number_lines(images, annotations, source)
    rows = Rows()
    for line, (image, outline) in enumerate(zip(images, points, strict=True)):
        row = _row(annotations, rows, image.image_id, image.fields, image.row)
        rows.used.append({**row, "files": [], "bytes": BYTES_A_POINT * len(outline), "line": line})
    return annotations, rows


def _row(annotations: Annotations, rows: Rows, image_id: str, fields: dict[str, str], line: int | None) -> Row:
    """Return what the table and the file's name say about an image."""
    if line is not None:
        rows.table_rows.add(line)
    elif annotations.rows:
        rows.unannotated.append(image_id)
    plate, well, site = (annotations.word(word, fields, line) for word in ("plate", "well", "field"))
    letters, number = row_and_column(well) if well else (None, None)
    labels = annotations.labels(annotations.word("label", fields, line))
    return {
        "image_id": image_id,
        "plate": plate,
        "well": well,
        "row": letters,
        "column": number,
        "field": site,
        "mask": None,
        "label": (labels or None) if annotations.multi_label else next(iter(labels), None),
        "group": annotations.word("group", fields, line),
        "line": -1 if line is None else line,
    }


def _number_lines(images: list[Image], annotations: Annotations, source: Source) -> None:
    if len(images) != annotations.rows:
        what = "outlines" if source.outlines else "images"
        raise PhenoloomError(
            f"The table {annotations.path} has {annotations.rows} rows, but there are {len(images)} "
            f"{what}; without `table.join`, row i belongs to number i, so both must have the same number"
        )
    for line, image in enumerate(images):
        image.row = line


def _mask(key: tuple[str, ...], image: Image, masks: dict[tuple[str, ...], str], all_masks: frozenset[str]) -> str:
    """Return the mask file of an image, by the fields that images and masks share."""
    if mask := masks.get(key):
        return mask
    if not all_masks.isdisjoint(image.files.values()):
        raise ImageError(
            "it is the mask of another image; narrow a field of `source.files` by a regex (`{name:regex}`), so that "
            "the pattern fits no masks"
        )
    raise ImageError("there is no mask file for it")


def _refuse_other_channels(source: Source, rows: Rows) -> None:
    """Refuse a study without any image whose files have other channels than the study names: these are misspelt."""
    unread = rows.unread.get("channels", {})
    if rows.used or not rows.quarantine or not unread:
        return
    some = next(iter(unread.values()))
    raise PhenoloomError(
        f"No image of {source.root} has a file for each channel of `source.channels`, but there are files of "
        f"{', '.join(map(repr, unread))}, such as {some['examples'][0]}; correct the texts in `source.channels`"
    )


def _refuse_strangers(source: Source, annotations: Annotations, rows: Rows, total: int) -> None:
    """Refuse a table in which no row fits an image: it is a wrong join, not a study without labels."""
    if annotations.rows and not rows.table_rows:
        padded = source.table is not None and source.table.zero_pad
        cure = (
            "correct `table.join` or `table.zero_pad`"
            if padded
            else "correct `table.join`, or pad the ids with `table.zero_pad`"
        )
        raise PhenoloomError(
            f"None of {total} images has a row in the table: the images are for example {rows.unannotated[0]!r}, the "
            f"table's first row is {annotations.key(0)!r}; {cure}"
        )


def _refuse_two_spellings(rows: list[Row]) -> None:
    spelling: dict[tuple[str | None, str], str] = {}
    for row in rows:
        well = row["well"]
        if well and spelling.setdefault((row["plate"], same_well(well)), well) != well:
            other = spelling[row["plate"], same_well(well)]
            of_plate = f" of plate {row['plate']!r}" if row["plate"] else ""
            raise PhenoloomError(
                f"{other!r} and {well!r} are one well{of_plate}, and its fields could get into two folds; give each "
                "well one name"
            )


def _largest_images(source: Source, root: Root, rows: list[Row]) -> dict[str, Size]:
    """Return the MB and megapixels of the largest image of each shard, which its jobs need memory for."""
    if source.outlines:
        return {}
    by_shard: dict[str, list[Row]] = {}
    for row in rows:
        by_shard.setdefault(row["shard"], []).append(row)
    choice = Choice.of_images(source.image, source.level, source.planes)
    largest_files = {
        shard: heapq.nlargest(MOST_HEADERS, members, key=lambda row: row["bytes"])
        for shard, members in by_shard.items()
    }
    return {
        shard: largest([[root.path(file) for file in row["files"]] for row in members], choice)
        for shard, members in sorted(largest_files.items())
    }


def _manifest(
    sheet: Path, annotations: Annotations, rows: Rows, sizes: dict[str, Size], made_by: Provenance
) -> Manifest:
    lost = [row for row in range(annotations.rows) if row not in rows.table_rows]
    shards: Counter[str] = Counter(row["shard"] for row in rows.used)
    return Manifest(
        "sheet",
        made_by,
        expected={"images": len(rows.used) + len(rows.quarantine), "table_rows": annotations.rows},
        found={"images": len(rows.used), "table_rows": len(rows.table_rows)},
        quarantine=rows.quarantine,
        content=file_digest([sheet]),
        facts={
            "plates": len({row["plate"] for row in rows.used} - {None}),
            "wells": len({(row["plate"], row["well"]) for row in rows.used if row["well"]}),
            "shards": dict(sorted(shards.items())),
            "largest_image": sizes,
            "unlabelled": sum(row["label"] is None for row in rows.used),
            "table": annotations.facts,
            "unread": rows.unread,
            "images_without_table_row": examples_of(rows.unannotated),
            "table_rows_without_image": examples_of([annotations.key(row) for row in lost]),
        },
    )
