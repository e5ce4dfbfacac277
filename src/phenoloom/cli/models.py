"""The commands of the command line that use a finished model, outside any study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ..core.errors import PhenoloomError

Add = Callable[..., argparse.ArgumentParser]


def add_model_commands(add: Add) -> None:
    """Add the commands with `add(name, run, what, rule=False)`."""
    use = add("apply", _apply, "embed a folder of new images with a finished model", rule=False)
    use.add_argument("--model", type=Path, required=True, help="folder with model.yaml and model.safetensors")
    use.add_argument("--images", type=Path, required=True, help="folder of the new images, masks or outlines")
    use.add_argument("--output", type=Path, required=True, help="Parquet table of the vectors")
    use.add_argument("--files", help="pattern of the image files as in a study; default: images directly in the folder")
    use.add_argument(
        "--channels", nargs="+", default=[], metavar="NAME[=TEXT]",
        help="channels in the order of a file's pages or colours, or with the text of {channel}; "
        "default: the model's channels in their order",
    )  # fmt: skip
    use.add_argument("--masks", help="pattern of the mask files, with the fields of --files")
    use.add_argument("--objects", choices=["labels", "components", "one"], help="what an object is in a mask file")
    use.add_argument("--outlines", help="file of outlines in the folder, for a model of shapes")
    use.add_argument("--outlines-format", choices=["blocks", "table"], default="blocks", help="form of that file")
    use.add_argument("--columns", nargs="+", default=[], metavar="WORD=FIELD", help="e.g. field=site")
    use.add_argument("--pixel-size-um", type=float, help="where it differs from that of the model's images")
    use.add_argument("--name", help="what the columns of vectors are called; default: the model's name")
    use.add_argument("--max-rejected-fraction", type=float, default=0.1, help="stop above this share of bad images")
    use.add_argument("--scratch", type=Path, help="folder for tiles while it runs; default: beside the output")
    use.add_argument("--threads", type=int, default=1)
    give = add("export", _export, "write a finished model for other programs", rule=False)
    give.add_argument("--model", type=Path, required=True, help="folder with model.yaml and model.safetensors")
    formats = ["bioimageio", "onnx", "torch"]
    give.add_argument("--format", choices=formats, required=True, help="package of bioimage.io, ONNX, or torch.export")
    give.add_argument("--output", type=Path, required=True, help="file to write: .zip, .onnx or .pt2")
    give.add_argument("--about", type=Path, default=Path("config/about.yaml"), help="who made it, for bioimageio")


def _apply(a: argparse.Namespace) -> None:
    from ..embedding.apply import apply_model, tell
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
    )
    applied = apply_model(a.model, new, a.output, name=a.name, threads=a.threads, scratch=a.scratch)
    tell(applied, a.output)


def _export(a: argparse.Namespace) -> None:
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
