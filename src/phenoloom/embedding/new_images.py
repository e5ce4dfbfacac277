"""Settings of the steps that turn new images into items like those that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..config.rule_settings import ALGORITHM, ContoursSettings, ConvertSettings, ObjectsSettings, SheetSettings
from ..config.source import Masks, Outlines, Points, Source
from ..core.errors import PhenoloomError
from ..images.reader import Reader
from ..models.preprocessing import Preparation
from ..study.patterns import CHANNEL, Pattern
from ..tiles.tiler import Conversion

ANY_IMAGE = "{image}.{kind:(?i:tiff?|png|jpe?g|bmp)}"
"""Files of one folder that hold all channels of an image each."""


@dataclass(frozen=True)
class NewImages:
    """New images, described in the words of a study file; None: as when the model was trained.

    Attributes:
        folder: Folder of the images, masks or outlines.
        files: Pattern of the image files; images directly in the folder by default.
        channels: `NAME`, in the order of a file's pages or colours, or `NAME=TEXT` with the text of `{channel}` in the
            names of the files; the model's channels in their order by default.
        masks: Pattern of the mask files.
        objects: What an object is in a mask file.
        outlines: File of outlines.
        outlines_format: Format of that file.
        columns: What the words plate, well, field and image are called in the patterns.
        pixel_size_um: Size of a pixel in µm.
        max_rejected_fraction: Share of bad images above which the run stops.
        points: Table of points, for a model of windows around points: columns `image` (id, path or file name), `x` and
            `y` in px.
    """

    folder: Path
    files: str | None = None
    channels: tuple[str, ...] = ()
    masks: str | None = None
    objects: Literal["labels", "components", "one"] | None = None
    outlines: str | None = None
    outlines_format: Literal["blocks", "table"] = "blocks"
    columns: Mapping[str, str] = field(default_factory=dict)
    pixel_size_um: float | None = None
    max_rejected_fraction: float = 0.1
    points: str | None = None


@dataclass(frozen=True)
class Steps:
    """Settings of the steps.

    Attributes:
        sheet: Settings of `sheet`.
        convert: Settings of `convert`; None where no pixels are needed.
        contours: Settings of `contours`; None where no shapes are needed.
        reader: Reader of the images; None where no pixels are needed.
        objects: Settings of `objects`; None where the model needs no points.
    """

    sheet: SheetSettings
    convert: ConvertSettings | None
    contours: ContoursSettings | None
    reader: Reader | None = None
    objects: ObjectsSettings | None = None

    def conversion(self, objects: Path | None) -> Conversion | None:
        """Return the conversion of the images to tiles, or None where no pixels are needed.

        Args:
            objects: Manifest of the table of points; None where the model needs none.
        """
        if self.convert is None or self.reader is None:
            return None
        return Conversion.of(self.convert, self.reader, objects)


def steps_for(made: Preparation, new: NewImages, study: str) -> Steps:
    """Return the steps that turn new images into items like those that a model was trained on.

    Args:
        made: How the items of the model were made.
        new: The new images.
        study: Name that their study gets.

    Raises:
        PhenoloomError: The images lack something that the model needs, or have something that it cannot use.
    """
    convert, contours = made.convert, made.contours
    if convert is not None and (contours is None or (not new.outlines and (new.files or not new.masks))):
        return _with_tiles(convert, made, new, study)
    if contours is None:
        raise PhenoloomError("The model does not state how its tiles or contours were made; train it again")
    if new.files:
        raise PhenoloomError(
            "The model looks at contours alone, so images (`--files`) are of no use to it; give `--masks PATTERN` with "
            "mask files, or `--outlines FILE`"
        )
    if new.channels or new.pixel_size_um:
        raise PhenoloomError(
            "Contours are divided by their size and have no channels; leave out `--channels` and `--pixel-size-um`, or "
            "give the images too (`--files`)"
        )
    if new.outlines:
        return _of_outlines(contours, Outlines(path=new.outlines, format=new.outlines_format), new, study)
    return _of_masks(made, contours, new, study)


def _with_tiles(trained: ConvertSettings, made: Preparation, new: NewImages, study: str) -> Steps:
    if new.outlines:
        raise PhenoloomError("The model looks at pixels, which `--outlines` lack; give images")
    pattern = Pattern(new.files or ANY_IMAGE)
    named, in_file, select = _channels(trained.channels, new.channels, CHANNEL in pattern.fields, pattern.text)
    masks, points = _masks(trained.masks, new), _points(trained, new)
    convert = trained.model_copy(
        update={
            "study": study,
            "root": str(new.folder),
            "masks": masks,
            "places": points is not None,
            "max_rejected_fraction": new.max_rejected_fraction,
        }
    )
    files = Masks(files=masks.files) if masks and masks.files else None
    planes = trained.planes and trained.planes.as_the_sheet_sees()
    source = Source(
        files=pattern.text,
        channels=named,
        planes=planes,
        image=trained.image,
        level=trained.level,
        masks=files,
        columns=_columns(new),
    )
    contours = made.contours and made.contours.model_copy(
        update={"study": study, "max_rejected_fraction": new.max_rejected_fraction}
    )
    reader = Reader(
        in_file, convert.planes, convert.image, convert.level, select, made.dtype if contours is None else None
    )
    sheet, objects = _sheet(new, study, source), None
    if points is not None:
        placed = source.model_copy(update={"points": points})
        objects = ObjectsSettings(algorithm=ALGORITHM["objects"], study=study, root=sheet.root, source=placed)
    return Steps(sheet, _of_pixel_size(convert, new.pixel_size_um), contours, reader, objects)


def _of_outlines(trained: ContoursSettings, outlines: Outlines, new: NewImages, study: str) -> Steps:
    if new.masks:
        raise PhenoloomError("Give `--masks` or `--outlines`, not both")
    update = {"source": "outlines", "masks": None, "outlines": outlines}
    return Steps(_sheet(new, study, Source(outlines=outlines)), None, _contours(trained, new, study, update))


def _of_masks(made: Preparation, trained: ContoursSettings, new: NewImages, study: str) -> Steps:
    if not new.masks:
        raise PhenoloomError(
            f"The model looks at contours of objects, and {new.folder} was given without masks; give `--masks PATTERN` "
            "with the mask files there, or `--outlines FILE`"
        )
    base = trained.masks or (made.convert and made.convert.masks) or Masks()
    masks = base.model_copy(update={"files": new.masks, **_objects(new)})
    source = Source(files=new.masks, masks=Masks(files=new.masks), columns=_columns(new))
    return Steps(_sheet(new, study, source), None, _contours(trained, new, study, {"source": "masks", "masks": masks}))


def _contours(trained: ContoursSettings, new: NewImages, study: str, update: dict[str, Any]) -> ContoursSettings:
    # Points in objects give labels, which new images have not.
    common = {"study": study, "root": str(new.folder), "max_rejected_fraction": new.max_rejected_fraction}
    common["places"] = False
    return trained.model_copy(update={**common, **update})


def _sheet(new: NewImages, study: str, source: Source) -> SheetSettings:
    return SheetSettings(
        algorithm=ALGORITHM["sheet"],
        study=study,
        root=str(new.folder),
        source=source,
        shards=1,
        max_rejected_fraction=new.max_rejected_fraction,
    )


def _columns(new: NewImages) -> dict[Any, str]:
    known = ("image", "plate", "well", "field")
    if unknown := sorted(set(new.columns) - set(known)):
        raise PhenoloomError(f"`--columns` knows {', '.join(known)}, but not {', '.join(unknown)}")
    return dict(new.columns)


def _objects(new: NewImages) -> dict[str, Any]:
    return {"objects": new.objects} if new.objects else {}


def _points(trained: ConvertSettings, new: NewImages) -> Points | None:
    """Return the table of points, which a model of windows around points needs and no other can use."""
    around = trained.places and trained.masks is None
    if around and not new.points:
        raise PhenoloomError(
            f"The model was trained on windows around points (`source.points`), and {new.folder} was given without "
            "any; give `--points TABLE`, a table there with columns `image` (id, path or file name), `x` and `y` in px"
        )
    if new.points and not around:
        raise PhenoloomError("The model was trained on tiles that need no points; leave out `--points`")
    return Points(path=new.points, join={"image": "image"}, x="x", y="y") if new.points else None


def _masks(trained: Masks | None, new: NewImages) -> Masks | None:
    if new.masks:
        if trained is None:
            raise PhenoloomError(
                "The model was trained on tiles without masks, of a grid or around points; leave out `--masks`, which "
                "would change which tiles count as empty"
            )
        return trained.model_copy(update={"files": new.masks, **_objects(new)})
    if trained is not None and trained.files is not None:
        raise PhenoloomError(
            f"The model was trained on objects that mask files gave, and {new.folder} was given without masks; give "
            "`--masks PATTERN`, with the fields that images and masks share"
        )
    if new.objects:
        raise PhenoloomError("`--objects` says what an object is in mask files; give these with `--masks`")
    return trained


def _channels(
    needed: Sequence[str], given: Sequence[str], channelled: bool, pattern: str
) -> tuple[list[str] | dict[str, str], int, tuple[int, ...] | None]:
    """Return channels in the model's order, the number of channels in the files, and which of these to read."""
    texts: dict[str, str] = {}
    for entry in given:
        name, equals, text = entry.partition("=")
        if name in texts:
            raise PhenoloomError(f"`--channels` names {name!r} twice; name each channel once")
        if equals and not channelled:
            raise PhenoloomError(
                f"`--channels {entry}` gives the text of `{{channel}}`, but the file pattern {pattern!r} has no such "
                "field; name the channels in the order of a file's pages or colours"
            )
        texts[name] = text if equals else name
    if missing := [name for name in needed if name not in texts] if texts else []:
        raise PhenoloomError(
            f"The model was trained on channels {', '.join(needed)}, and `--channels` lacks {', '.join(missing)}; a "
            "channel that was not recorded cannot be made up: use a model that was trained without it"
        )
    if channelled:
        return {name: texts.get(name, name) for name in needed}, len(needed), None
    if not texts or list(texts) == list(needed):
        return list(needed), len(needed), None
    order = list(texts)
    return list(needed), len(order), tuple(order.index(name) for name in needed)


def _of_pixel_size(trained: ConvertSettings, pixel_size_um: float | None) -> ConvertSettings:
    """The same lengths in µm where pixels have another size; the model resizes its windows to one number of pixels."""
    if pixel_size_um is None or pixel_size_um == trained.pixel_size_um:
        return trained
    if trained.pixel_size_um is None:
        raise PhenoloomError(
            "The model does not know the pixel size of its own images (`source.pixel_size_um` of its study), so "
            "`--pixel-size-um` has nothing to be compared with; leave it out, or state it in the study and train again"
        )
    ratio = trained.pixel_size_um / pixel_size_um
    tiles, masks = trained.tiles, trained.masks
    stride = None if tiles.stride is None else max(1, round(tiles.stride * ratio))
    tiles = tiles.model_copy(update={"size": max(8, round(tiles.size * ratio)), "stride": stride})
    if masks is not None:
        lengths = {name: getattr(masks, name) * ratio for name in ("smoothing_px", "split_distance_px")}
        area = max(1, round(masks.min_area_px * ratio**2))
        masks = masks.model_copy(update={**lengths, "min_area_px": area})
    return trained.model_copy(update={"pixel_size_um": pixel_size_um, "tiles": tiles, "masks": masks})
