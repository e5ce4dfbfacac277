"""Commands that use a finished model, outside any study."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..core.errors import PhenoloomError
from .command import THREADS, Argument, command

_MODEL = Argument("--model", type=Path, required=True, help="folder with model.yaml and model.safetensors")


@command(
    _MODEL,
    Argument("--images", type=Path, required=True, help="folder of the new images, masks or outlines"),
    Argument("--output", type=Path, required=True, help="Parquet table of the vectors"),
    Argument("--files", help="pattern of the image files as in a study; default: images directly in the folder"),
    Argument(
        "--channels",
        nargs="+",
        default=[],
        metavar="NAME[=TEXT]",
        help="channels in the order of a file's pages or colours, or with the text of {channel}; "
        "default: the model's channels in their order",
    ),
    Argument("--masks", help="pattern of the mask files, with the fields of --files"),
    Argument("--objects", choices=["labels", "components", "one"], help="what an object is in a mask file"),
    Argument("--outlines", help="file of outlines in the folder, for a model of shapes"),
    Argument("--outlines-format", choices=["blocks", "table"], default="blocks", help="form of that file"),
    Argument("--points", help="table of points in the folder (columns image, x, y in px), for a model around points"),
    Argument("--columns", nargs="+", default=[], metavar="WORD=FIELD", help="e.g. field=site"),
    Argument("--pixel-size-um", type=float, help="where it differs from that of the model's images"),
    Argument("--name", help="what the columns of vectors are called; default: the model's name"),
    Argument("--max-rejected-fraction", type=float, default=0.1, help="stop above this share of bad images"),
    Argument("--scratch", type=Path, help="folder for tiles while it runs; default: beside the output"),
    THREADS,
)
def apply(a: argparse.Namespace) -> None:
    """Embed a folder of new images with a finished model."""
    from ..embedding.apply import apply_model, print_result
    from ..embedding.new_images import NewImages

    _refuse_numbers(a)
    new = NewImages(
        a.images,
        a.files,
        tuple(a.channels),
        a.masks,
        a.objects,
        a.outlines,
        a.outlines_format,
        _pairs(a.columns),
        a.pixel_size_um,
        a.max_rejected_fraction,
        a.points,
    )
    applied = apply_model(a.model, new, a.output, name=a.name, threads=a.threads, scratch=a.scratch)
    print_result(applied, a.output)


@command(
    _MODEL,
    Argument(
        "--format",
        choices=["bioimageio", "onnx", "torch"],
        required=True,
        help="package of bioimage.io, ONNX, or torch.export",
    ),
    Argument("--output", type=Path, required=True, help="file to write: .zip, .onnx or .pt2"),
    Argument("--about", type=Path, default=Path("config/about.yaml"), help="who made it, for bioimageio"),
)
def export(a: argparse.Namespace) -> None:
    """Write a finished model for other programs."""
    if a.format == "bioimageio":
        from ..models.bioimageio import export_package

        export_package(a.model, a.about, a.output)
    else:
        from ..models.export import export_onnx, export_torch

        (export_onnx if a.format == "onnx" else export_torch)(a.model, a.output)
    print(f"{a.output}: {a.output.stat().st_size / 1e6:.1f} MB, checked against the model", file=sys.stderr)


def _refuse_numbers(a: argparse.Namespace) -> None:
    if not 0 <= a.max_rejected_fraction < 1:
        raise PhenoloomError(
            f"`--max-rejected-fraction` must be at least 0 and below 1, found {a.max_rejected_fraction:g}"
        )
    if a.pixel_size_um is not None and not a.pixel_size_um > 0:
        raise PhenoloomError(f"`--pixel-size-um` must be above 0, found {a.pixel_size_um:g}")
    if a.threads < 1:
        raise PhenoloomError(f"`--threads` must be at least 1, found {a.threads}")


def _pairs(entries: list[str]) -> dict[str, str]:
    pairs = {}
    for entry in entries:
        word, equals, name = entry.partition("=")
        if not (word and equals and name):
            raise PhenoloomError(f"`--columns {entry}` must read WORD=FIELD, for example field=site")
        pairs[word] = name
    return pairs
