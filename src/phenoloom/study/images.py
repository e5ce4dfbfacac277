"""Group files into images: for each field of view, the files of all channels and the mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..config.source import Source
from ..core.errors import PhenoloomError
from .annotations import IDENTITY, Annotations
from .files import Match, Root, natural
from .image_errors import Naming
from .patterns import CHANNEL, Pattern
from .searches import find_files, nothing_found
from .unread import Unread


@dataclass(slots=True)
class Image:
    """One field of view.

    Attributes:
        image_id: Its id.
        fields: Fields of the file pattern that all of its files share.
        row: Its row in the study's table; None: it has none.
        files: The file of each channel; one entry "" for a file that holds all.
        stack: Where the pattern distinguishes planes: the file of each time point, focal plane and channel.
        whole: Id of the stack or film that the image is a plane of.
    """

    image_id: str
    fields: dict[str, str]
    row: int | None
    files: dict[str, str] = field(default_factory=dict)
    stack: dict[tuple[str, str, str], str] = field(default_factory=dict)
    whole: str | None = None


def file_pattern(source: Source) -> Pattern | None:
    """Return the pattern of the image files, `{channel}` limited to the study's channels; None for other sources."""
    if not isinstance(source.files, str):
        if source.table and source.table.join:
            raise PhenoloomError("`files` names table columns, so each row is an image already; remove `table.join`")
        return None
    pattern = Pattern(source.files, {CHANNEL: list(channel_texts(source))})
    if CHANNEL in pattern.fields and not source.channels:
        raise PhenoloomError(
            f"The file pattern {pattern.text!r} has `{{channel}}`, so `channels` must name the channels"
        )
    if CHANNEL not in pattern.fields and isinstance(source.channels, dict):
        raise PhenoloomError(
            f"`channels` gives the text of `{{channel}}`, but the file pattern {pattern.text!r} has no such field; "
            f"give a list of channels in the order of the file's pages or colours"
        )
    return pattern


def channel_texts(source: Source) -> dict[str, str]:
    """Return the name of the channel for each text of `{channel}` in a file's name."""
    if isinstance(source.channels, dict):
        return {text: name for name, text in source.channels.items()}
    return {name: name for name in source.channels}


def find_images(
    source: Source, root: Root, annotations: Annotations, pattern: Pattern | None, unread: Unread | None = None
) -> list[Image]:
    """Return all images in natural order of their ids, complete or not.

    Args:
        source: Section of raw data of the study.
        root: Folder of the raw data.
        annotations: The study's table, joined to the fields of the pattern.
        pattern: Pattern of the image files; None where the table names the files.
        unread: Counts the files that do not fit the pattern.

    Raises:
        PhenoloomError: Two files are one channel of one image, or no file fits the pattern.
    """
    masks = Pattern(source.masks.files).fields if source.masks and source.masks.files else frozenset()
    if pattern is None:
        images = _from_table(source.files if isinstance(source.files, dict) else {}, annotations, masks)
    else:
        matches = find_files(source, root, pattern, unread)
        images = _from_files(matches, Naming(source, annotations, pattern), annotations.needed_fields | masks)
        if not images:
            raise nothing_found(source, root, pattern, unread)
    return sorted(images, key=lambda image: natural(image.image_id))


def _from_files(matches: Iterator[Match], naming: Naming, needed: frozenset[str]) -> list[Image]:
    source, annotations = naming.source, naming.annotations
    names, images = channel_texts(source), dict[str, Image]()
    channelled = CHANNEL in naming.pattern.fields
    for path, fields in matches:
        if channelled and fields[CHANNEL] not in names and fields[CHANNEL] in source.ignore_channels:
            continue
        row = annotations.row(fields)
        image_id = _image_id(annotations, fields, row) or (
            "" if channelled else str(PurePosixPath(path).with_suffix(""))
        )
        if not image_id:
            raise PhenoloomError(
                f"The pattern {source.files!r} finds one file per channel, but neither its fields nor the table have "
                f"plate, well, field or image, so it is unknown which files belong together; add one, or use `columns`"
            )
        kept = {name: text for name, text in fields.items() if name in needed and name != CHANNEL}
        whole = image_id
        place, suffix = _plane(source, fields)
        image_id += suffix
        image = images.setdefault(image_id, Image(image_id, kept, row, whole=whole if suffix else None))
        _refuse_disagreement(image, kept, naming, path)
        image.fields = {name: text for name, text in image.fields.items() if kept.get(name) == text}
        channel = _channel(names, fields[CHANNEL], path) if channelled else ""
        if place is not None:
            _add_plane(image, (*place, channel), path, naming)
        elif channel in image.files:
            what = f"channel {channel!r} of image" if channel else "image"
            raise naming.two_files(f"{what} {image_id!r}", image.files[channel], path)
        else:
            image.files[channel] = path
    return list(images.values())


def _plane(source: Source, fields: dict[str, str]) -> tuple[tuple[str, str] | None, str]:
    """Return time point and focal plane of a file where the study projects them, and the end of its id where it keeps
    all planes.

    The former is None where the pattern has no such field, or the study no policy for it.
    """
    texts, suffix, projected = {"t": "", "z": ""}, "", False
    for axis in texts:
        policy = getattr(source.planes, axis) if source.planes else None
        if axis in fields and policy == "all":
            suffix += f"/{axis}{fields[axis]}"
        elif axis in fields and policy:
            texts[axis], projected = fields[axis], True
    return ((texts["t"], texts["z"]) if projected else None), suffix


def _add_plane(image: Image, place: tuple[str, str, str], path: str, naming: Naming) -> None:
    if place in image.stack:
        raise naming.two_files(f"one plane of image {image.image_id!r}", image.stack[place], path)
    image.stack[place] = path
    image.files.setdefault(place[2], path)


def _without_suffix(path: str) -> str:
    # A cell that holds "." names no file and has no suffix; its image is reported with those that lack files.
    return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).name else path


def _from_table(columns: dict[str, str], annotations: Annotations, masks: frozenset[str]) -> list[Image]:
    """Return one image a row of the table; `columns` holds the column of each channel's paths."""
    images: dict[str, Image] = {}
    annotations.use(sorted(masks & annotations.columns.keys()))
    for row in range(annotations.rows):
        paths = {channel: annotations.columns[column][row] for channel, column in columns.items()}
        first = next((path for path in paths.values() if path), None)
        image_id = _image_id(annotations, {}, row) or (first and _without_suffix(first))
        if not image_id:
            raise PhenoloomError(f"Row {row + 1} of the table {annotations.path} names no file")
        fields = {name: text for name in masks & annotations.columns.keys() if (text := annotations.columns[name][row])}
        if image_id in images:
            raise PhenoloomError(
                f"Two rows of the table {annotations.path} are image {image_id!r}: its files are "
                f"{next(iter(images[image_id].files.values()), None)!r} and {first!r}; ids must be unique"
            )
        files = {channel: path for channel, path in paths.items() if path}
        images[image_id] = Image(image_id, fields, row, files)
    return list(images.values())


def _image_id(annotations: Annotations, fields: dict[str, str], row: int | None) -> str:
    """Join what is known of plate, well and field by "/"; `image` replaces a field; "" where nothing is known."""
    image, plate, well, site = (annotations.word(word, fields, row) for word in IDENTITY)
    return "/".join(part for part in (plate, well, site or image) if part)


def _channel(names: dict[str, str], text: str, path: str) -> str:
    if text not in names:
        raise PhenoloomError(
            f"The file {path!r} is of channel {text!r}, which `channels` lacks ({', '.join(names)}); add it, name it "
            "in `ignore_channels`, or narrow the pattern"
        )
    return names[text]


def _refuse_disagreement(image: Image, fields: dict[str, str], naming: Naming, path: str) -> None:
    for name in naming.annotations.needed_fields & fields.keys():
        if image.fields.get(name) != fields[name]:
            first = next(iter(image.files.values()))
            raise naming.disagreement(image.image_id, name, {first: image.fields.get(name), path: fields[name]})
