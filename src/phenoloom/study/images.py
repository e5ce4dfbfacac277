"""Group files into images: for each field of view, the files of all channels and the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

from ..config.source import Source
from ..core.errors import PhenoloomError
from .annotations import IDENTITY, Annotations
from .files import Match, Root, listed, natural, read_listing, walk
from .patterns import Pattern

CHANNEL = "channel"


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


def find_images(source: Source, root: Root, annotations: Annotations, pattern: Pattern | None) -> list[Image]:
    """Return all images in natural order of their ids, complete or not.

    Args:
        source: Section of raw data of the study.
        root: Folder of the raw data.
        annotations: The study's table, joined to the fields of the pattern.
        pattern: Pattern of the image files; None where the table names the files.

    Raises:
        PhenoloomError: Two files are one channel of one image, or no file fits the pattern.
    """
    masks = Pattern(source.masks.files).fields if source.masks and source.masks.files else frozenset()
    if pattern is None:
        images = _from_table(source.files if isinstance(source.files, dict) else {}, annotations, masks)
    else:
        matches = find_files(source, root, pattern)
        images = _from_files(matches, source, annotations, annotations.needed_fields | masks, CHANNEL in pattern.fields)
        if not images:
            raise _nothing_found(source, root, pattern)
    return sorted(images, key=lambda image: natural(image.image_id))


def _nothing_found(source: Source, root: Root, pattern: Pattern) -> PhenoloomError:
    if source.listing:
        lines = ", ".join(map(repr, read_listing(root, source.listing)[:3])) or "none"
        return PhenoloomError(
            f"No line of the listing {source.listing} fits the pattern {pattern.text!r}; its lines are for example: "
            f"{lines}. They must be paths relative to {root.folder}"
        )
    found = ", ".join(map(repr, root.examples())) or "none"
    return PhenoloomError(
        f"No file below {root.folder} fits the pattern {pattern.text!r}; files there are for example: {found}"
    )


def find_files(source: Source, root: Root, pattern: Pattern) -> Iterator[Match]:
    """Yield files that fit a pattern, in the listing if the study has one, else below the root."""
    return listed(root, source.listing, pattern) if source.listing else walk(root, pattern)


def mask_files(
    source: Source, text: str, root: Root, fields: Iterable[str]
) -> tuple[list[str], dict[tuple[str, ...], str]]:
    """Find the mask files of a study.

    Args:
        source: Its section of raw data.
        text: Pattern of the mask files.
        root: Folder of the raw data.
        fields: Fields that images have.

    Returns:
        Names of the fields that images and masks share, and the mask file for each combination of their texts.

    Raises:
        PhenoloomError: No field is shared, or two masks belong to one image.
    """
    pattern = Pattern(text)
    shared = sorted((pattern.fields & frozenset(fields)) - {CHANNEL})
    if not shared:
        raise PhenoloomError(
            f"The mask pattern {pattern.text!r} shares no field with the images (fields: "
            f"{', '.join(sorted(fields)) or 'none'}); use their fields in it, so that each mask belongs to an image"
        )
    masks: dict[tuple[str, ...], str] = {}
    for path, found in find_files(source, root, pattern):
        key = tuple(found[name] for name in shared)
        if masks.setdefault(key, path) != path:
            raise PhenoloomError(
                f"Two mask files belong to the image with {', '.join(shared)} = {', '.join(key)}: "
                f"{masks[key]!r} and {path!r}; narrow the pattern {pattern.text!r}"
            )
    return shared, masks


def _from_files(
    matches: Iterator[Match], source: Source, annotations: Annotations, needed: frozenset[str], channelled: bool
) -> list[Image]:
    names, images = channel_texts(source), dict[str, Image]()
    same = annotations.needed_fields
    for path, fields in matches:
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
        _refuse_disagreement(image, kept, same, path)
        image.fields = {name: text for name, text in image.fields.items() if kept.get(name) == text}
        channel = _channel(names, fields[CHANNEL], path) if channelled else ""
        if place is None:
            _add(image, channel, path, partial(_advice, source, fields))
        else:
            _add_plane(image, (*place, channel), path, partial(_advice, source, fields))
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


def _add_plane(image: Image, place: tuple[str, str, str], path: str, advice: Callable[[], str]) -> None:
    if place in image.stack:
        raise PhenoloomError(
            f"Two files are one plane of image {image.image_id!r}: {image.stack[place]!r} and {path!r}; add the field "
            f"that distinguishes them to the pattern, or narrow it{advice()}"
        )
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
            f"The file {path!r} is of channel {text!r}, which `channels` lacks ({', '.join(names)}); add it, or narrow "
            f"the pattern"
        )
    return names[text]


def _add(image: Image, channel: str, path: str, advice: Callable[[], str]) -> None:
    if channel in image.files:
        what = f"channel {channel!r} of image" if channel else "image"
        raise PhenoloomError(
            f"Two files are {what} {image.image_id!r}: {image.files[channel]!r} and {path!r}; add the field that "
            f"distinguishes them to the pattern, or narrow it{advice()}"
        )
    image.files[channel] = path


def _advice(source: Source, fields: Mapping[str, str]) -> str:
    """Return what to do if the files are planes, as far as it is not done yet."""
    names = {"z": "focal planes", "t": "time points"}
    unsaid = {axis: name for axis, name in names.items() if not (source.planes and getattr(source.planes, axis))}

    def say(axes: Iterable[str]) -> str:
        return "say " + " and ".join(f"in `source.planes.{axis}` what becomes of {names[axis]}" for axis in axes)

    if named := [axis for axis in unsaid if axis in fields]:
        return f"; {say(named)}"
    if not (absent := [axis for axis in names if axis not in fields]):
        return ""
    call = ", ".join(f"`{{{axis}}}` for {names[axis]}" for axis in absent)
    left = [axis for axis in absent if axis in unsaid]
    return f"; call it {call}" + (f", and {say(left)}" if left else "")


def _refuse_disagreement(image: Image, fields: dict[str, str], needed: frozenset[str], path: str) -> None:
    for name in needed & fields.keys():
        if image.fields.get(name) != fields[name]:
            raise PhenoloomError(
                f"Files of image {image.image_id!r} disagree on {name!r}: {next(iter(image.files.values()))!r} has "
                f"{image.fields.get(name)!r}, {path!r} has {fields[name]!r}"
            )
