"""What the steps that look for files see of a study's raw data, so that other keys do not make them run again."""

from __future__ import annotations

from .source import Masks, Source


def source_of_sheet(source: Source) -> Source:
    """Return what `sheet` depends on: where files lie, what they are called, and the labels of images."""
    seen = _source_of_files(source).model_copy(update={"objects": None, "points": None})
    # Labels of objects take the place of those of images, so a renamed class does not change the sheet.
    return _without_classes(seen) if source.labels_objects else seen


def source_of_objects(source: Source) -> Source:
    """Return what `objects` depends on: the table of objects, and how its rows find an image."""
    seen = _source_of_files(source).model_copy(update={"ignore_channels": [], "ignore_files": []})
    if seen.masks is None and seen.objects is not None:
        seen = seen.model_copy(update={"masks": Masks()})
    return seen if source.labels_objects else _without_classes(seen)


def _source_of_files(source: Source) -> Source:
    """Return the raw data without the meaning of a mask and the content of a simulation."""
    masks, planes = source.masks, source.planes
    return source.model_copy(
        update={
            "root": ".",
            "simulate": None,
            "pixel_size_um": None,
            "polarity": "auto",
            "planes": planes and planes.as_the_sheet_sees(),
            "masks": Masks(files=masks.files) if masks and masks.files else None,
        }
    )


def _without_classes(source: Source) -> Source:
    return source.model_copy(update={"classes": {}, "label_separator": None})
