"""The preprocessing of the images that a model was trained on, kept in `model.yaml` to repeat it on new images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..artifacts.manifest import read_manifest
from ..config.base import Section
from ..config.rule_settings import ContoursSettings, ConvertSettings

R = TypeVar("R", ConvertSettings, ContoursSettings)


class Preparation(Section):
    """Settings of the steps before training, with the root of the raw data left out.

    `dtype` is the camera's type of pixels: the model's mean and standard deviation have its unit. A model of contours
    that were traced in the masks of tiles has both settings, any other one has one of them.
    """

    convert: ConvertSettings | None = None
    dtype: str | None = None
    contours: ContoursSettings | None = None


def preparation_of(stores: Sequence[Path]) -> Preparation:
    """Return the preprocessing that the manifest of the first shard states: all shards of a study are made alike."""
    manifest = read_manifest(min(stores))
    if manifest["stage"] == "convert":
        return _of_tiles(manifest)
    contours = _without_root(ContoursSettings, manifest["settings"])
    if contours.source != "tiles":
        return Preparation(contours=contours)
    return _of_tiles(manifest["tiles"]).model_copy(update={"contours": contours})


def _of_tiles(manifest: dict[str, Any]) -> Preparation:
    convert = _without_root(ConvertSettings, manifest["settings"])
    if decided := manifest["polarity"]:
        # New images may be few, or without an object: what was found for the study holds for them too.
        convert = convert.model_copy(update={"polarity": decided["polarity"]})
    return Preparation(convert=convert, dtype=manifest["dtype"])


def _without_root(kind: type[R], settings: dict[str, Any]) -> R:
    # Models are passed on, and the path of the raw data means nothing on another machine.
    return kind.model_validate(settings | ({"root": "."} if settings["root"] is not None else {}))
