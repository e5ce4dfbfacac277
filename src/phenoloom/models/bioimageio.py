"""A model as a package of the BioImage Model Zoo (https://bioimage.io, model format 0.5): one zip with everything.

The description is written as plain YAML of a fixed version of the format, so that equal models give equal bytes, and
then read, validated and run by `bioimageio.core`, which is asked for nothing that lies on a network.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageDraw
from torch import Tensor

from ..config.about import About
from ..config.base import Section
from ..config.messages import validated
from ..config.yaml_file import read_yaml
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from .export import OPSET, Exported, library, write_onnx

FORMAT, WEIGHTS = "0.5.4", "encoder.onnx"
COVER_PX = 256
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip knows: times would make equal packages differ."""
COVERS = {".png", ".jpg", ".jpeg", ".gif", ".svg"}


def export_package(model: Path, about: Path, output: Path) -> None:
    """Write the package of a model folder.

    Args:
        model: Folder of the model.
        about: YAML file of the authors, the licence and the citations.
        output: Zip to write.

    Raises:
        PhenoloomError: The file `about` is missing or incomplete, or the validator finds an error in the package.
    """
    library("bioimageio.core")
    made_by = validated(About, read_yaml(about), str(about))
    exported = Exported(model)
    with atomic_path(output) as temporary:
        weights = temporary.with_suffix(".onnx")
        package = temporary.with_suffix(".zip")
        try:
            files = _files(exported, made_by, about.parent)
            write_onnx(exported, weights)
            files[WEIGHTS] = weights.read_bytes()
            description = _description(exported, made_by, files)
            text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=120)
            _write_zip(package, {"rdf.yaml": text.encode(), **files})
            _refuse_invalid(package, output)
            package.replace(temporary)
        finally:
            weights.unlink(missing_ok=True)
            package.unlink(missing_ok=True)


def _files(exported: Exported, about: About, folder: Path) -> dict[str, bytes]:
    return {
        "test_input.npy": _npy(exported.inputs[:1]),
        "test_output.npy": _npy(exported.vectors[:1]),
        "README.md": _documentation(exported, about, folder).encode(),
        **_cover(exported, about, folder),
    }


def _description(exported: Exported, about: About, files: dict[str, bytes]) -> dict[str, Any]:
    card = exported.card
    cover = next(name for name in files if name.startswith("cover."))
    return {
        "format_version": FORMAT,
        "type": "model",
        "name": re.sub(r"[^\w +()-]", "-", f"{card.name} of {card.study} ({card.split})"),
        "description": f"Self-supervised encoder: {exported.name} to vectors of {exported.vectors.shape[1]} values",
        "authors": [_said(author) for author in about.authors],
        "cite": [_said(entry) for entry in about.cite],
        "license": about.licence,
        "tags": ["phenoloom", "embedding", "self-supervised", exported.name, *about.tags],
        "documentation": "README.md",
        "covers": [cover],
        "inputs": [_input(exported, files)],
        "outputs": [
            {
                "id": "vectors",
                "description": "one vector for each of the batch",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": [f"v{i:04d}" for i in range(exported.vectors.shape[1])]},
                ],
                "data": {"type": "float32"},
                "test_tensor": _described("test_output.npy", files),
            }
        ],
        "weights": {"onnx": {**_described(WEIGHTS, files), "opset_version": OPSET}},
        "config": {"phenoloom": {**exported.facts(), "model_yaml": yaml.safe_load(exported.card_text)}},
    }


def _input(exported: Exported, files: dict[str, bytes]) -> dict[str, Any]:
    shape, facts = exported.inputs.shape[1:], exported.facts()
    if exported.name == "contours":
        axes: list[dict[str, Any]] = [
            {"type": "batch"},
            {"type": "index", "id": "point", "size": shape[0], "description": "points of equal arc length"},
            {"type": "channel", "channel_names": ["x", "y"]},
        ]
        meaning = "closed contours in px, whose last point is not the first one again"
    else:
        scale = facts["pixel_size_um"]
        space = {"type": "space", "size": shape[1], **({"unit": "micrometer", "scale": scale} if scale else {})}
        channels = [re.sub(r"\W", "_", name) for name in facts["channels"]]
        axes = [{"type": "batch"}, {"type": "channel", "channel_names": channels}]
        axes += [{**space, "id": "y"}, {**space, "id": "x"}]
        meaning = "tiles in the unit of the camera; they are normalised and resized inside the network"
    return {
        "id": exported.name,
        "description": meaning,
        "axes": axes,
        "data": {"type": "float32"},
        "test_tensor": _described("test_input.npy", files),
    }


def _documentation(exported: Exported, about: About, folder: Path) -> str:
    card, facts = exported.card, exported.facts()
    shape = " x ".join(map(str, facts["shape"]))
    if exported.name == "contours":
        taken = f"closed contours of {facts['shape'][0]} points (x, y) of equal arc length, of any place and size in px"
        inside = "They are centred and divided by their size inside the network."
    else:
        names = ", ".join(f"{i}: {name}" for i, name in enumerate(facts["channels"]))
        size = f", {facts['pixel_size_um']:g} µm a pixel" if facts["pixel_size_um"] else ""
        taken = f"tiles of {shape} (channels, y, x){size}, as float32 in the unit of the camera; channels {names}"
        inside = (
            f"Each channel is centred and divided by its standard deviation over the train tiles ({facts['study']}, "
            f"{facts['dtype_of_training']}), and the tile is resized, inside the network."
        )
    seen = (
        "all groups of the study"
        if card.split == "all"
        else f"the train groups of {card.split}; scores on any other group of the study are not fair to compare with"
    )
    begin = _read(folder, about.documentation).decode() + "\n\n" if about.documentation else ""
    return (
        f"{begin}# {card.name}\n\n"
        f"An encoder that phenoloom {card.phenoloom} trained without labels on the study `{card.study}` "
        f"({card.model.objective.name}, {card.train_rows} {exported.name} of {card.train_groups} groups).\n\n"
        f"Input: {taken}. {inside}\n\nOutput: a vector of {facts['values']} values each, without unit.\n\n"
        f"## Validation\n\nEpoch {card.best_epoch} of {card.epochs_run} was kept, with a loss of "
        f"{card.validation_loss:.6g} on {card.validation_rows} {exported.name} of {card.validation_groups} other "
        f"groups. It has seen {seen}. Look at whether images of another microscope have the intensities of the "
        f"study before trusting their vectors.\n\n"
        "All settings are in `rdf.yaml` under `config.phenoloom`. With the model's own folder, `phenoloom apply` "
        "prepares new images as training did.\n"
    )


def _cover(exported: Exported, about: About, folder: Path) -> dict[str, bytes]:
    if about.cover:
        suffix = Path(about.cover).suffix.lower()
        if suffix not in COVERS:
            raise PhenoloomError(f"`cover` must be one of {', '.join(sorted(COVERS))}, found {about.cover!r}")
        return {f"cover{suffix}": _read(folder, about.cover)}
    canvas = Image.new("RGB", (2 * COVER_PX, COVER_PX), "white")
    canvas.paste(DRAWN[exported.name](exported.inputs[0].numpy()), (0, 0))
    canvas.paste(_draw_vectors(exported.vectors.numpy()), (COVER_PX, 0))
    content = io.BytesIO()
    canvas.save(content, "PNG")
    return {"cover.png": content.getvalue()}


def _draw_tile(tile: np.ndarray) -> Image.Image:
    """Magenta, green and blue for the first three channels."""
    colours = np.array([[1, 0, 1], [0, 1, 0], [0, 0.4, 1]])[: len(tile)]
    low, high = tile.min((1, 2), keepdims=True), tile.max((1, 2), keepdims=True)
    planes = ((tile - low) / np.maximum(high - low, 1e-9))[:3]
    mixed = np.einsum("cyx,ck->yxk", planes, colours).clip(0, 1)
    return Image.fromarray((mixed * 255).astype(np.uint8)).resize((COVER_PX, COVER_PX))


def _draw_contour(contour: np.ndarray) -> Image.Image:
    image = Image.new("RGB", (COVER_PX, COVER_PX), "white")
    middle = (contour.max(0) + contour.min(0)) / 2
    points = (contour - middle) / np.ptp(contour, 0).max() * 0.8 * COVER_PX + COVER_PX / 2
    ImageDraw.Draw(image).polygon([tuple(point) for point in points.tolist()], outline="black", fill="#b0c4de")
    return image


DRAWN: Mapping[str, Callable[[np.ndarray], Image.Image]] = {"tiles": _draw_tile, "contours": _draw_contour}
"""Items -> picture of one of them."""


def _draw_vectors(vectors: np.ndarray) -> Image.Image:
    """The vectors of the test inputs as rows of grey."""
    spread = np.abs(vectors).max(0, keepdims=True)
    grey = 0.5 + 0.5 * vectors / np.maximum(spread, 1e-9)
    rows = Image.fromarray((grey * 255).astype(np.uint8)).convert("RGB")
    return rows.resize((COVER_PX, COVER_PX), Image.Resampling.NEAREST)


def _refuse_invalid(package: Path, output: Path) -> None:
    """Let the model zoo's own validator read the package, run it and compare its vectors."""
    if found := complaints(package):
        raise PhenoloomError(
            f"bioimageio.core does not accept the package {output} ({'; '.join(found)}); correct the file that "
            "`--about` names"
        )


def _write_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, TIMESTAMP), content, zipfile.ZIP_DEFLATED)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise PhenoloomError(
            f"There is no file {folder / name}, which `--about` names; paths start from its folder"
        ) from None


def _described(name: str, files: dict[str, bytes]) -> dict[str, str]:
    return {"source": name, "sha256": sha256(files[name]).hexdigest()}


def _npy(values: Tensor) -> bytes:
    content = io.BytesIO()
    np.save(content, values.numpy(), allow_pickle=False)
    return content.getvalue()


def _said(section: Section) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude_none=True)


SERIALISERS = {
    "bioimageio.spec._internal.io_packaging": "package_file_descr_serializer",
    "bioimageio.spec.model.v0_4": "package_weights",
}
"""Functions of bioimageio.spec up to 0.5.12 that pydantic 2.14 and later refuse."""


def complaints(package: Path) -> list[str]:
    """Return what `bioimageio.core` finds wrong when it reads a package, runs it and compares its test vectors.

    Args:
        package: The zip of a model.

    Returns:
        One text for each error; empty for a package that passes.
    """
    core = library("bioimageio.core")
    for module, name in SERIALISERS.items():
        _pass_value_alone(getattr(library(module), name, None))
    summary = core.test_description(package, weight_format="onnx")
    if summary.status == "passed":
        return []
    found = [f"{'.'.join(map(str, error.loc))}: {error.msg}" for part in summary.details for error in part.errors]
    return found or [f"status {summary.status}"]


def _pass_value_alone(serialise: FunctionType | None) -> None:
    """Make a serialiser call its handler with the value alone, as bioimageio.spec does from 0.5.13 on.

    Before, it also passes pydantic's `info` in the place of an index, which pydantic 2.14 refuses. Every release of
    bioimageio.core up to 0.11 requires one such version exactly, so that no choice of versions helps; once a release
    requires 0.5.13 or later, this function can go.
    """
    if serialise is None or serialise.__defaults__:
        return
    before = FunctionType(serialise.__code__, serialise.__globals__)
    # The models hold the function itself, so that it must stay the same object.
    serialise.__code__, serialise.__defaults__ = _value_alone.__code__, (before,)


def _value_alone(value: Any, handler: Callable[[Any], Any], info: Any, serialise: Callable[..., Any]) -> Any:
    return serialise(value, lambda item, *_: handler(item), info)
