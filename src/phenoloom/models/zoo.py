"""The validator of the BioImage Model Zoo, run on this machine alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from .export import library

SERIALISERS = {
    "bioimageio.spec._internal.io_packaging": "package_file_descr_serializer",
    "bioimageio.spec.model.v0_4": "package_weights",
}


def complaints(package: Path) -> list[str]:
    """What `bioimageio.core` finds wrong with a package when it reads it, runs it and compares its test vectors."""
    core = library("bioimageio.core")
    for module, name in SERIALISERS.items():
        _leave_out_info(getattr(library(module), name, None))
    summary = core.test_description(package, weight_format="onnx")
    if summary.status == "passed":
        return []
    found = [f"{'.'.join(map(str, error.loc))}: {error.msg}" for part in summary.details for error in part.errors]
    return found or [f"status {summary.status}"]


def _leave_out_info(serialise: FunctionType | None) -> None:
    """Make bioimageio.spec 0.5.12 and earlier work beside pydantic 2.14 and later.

    Their serialisers pass pydantic's `info` on where an index belongs, which pydantic ignored for long and now refuses
    (its pull request 13506). Later releases of bioimageio.spec leave it out, and nothing changes for these.
    """
    if serialise is None or serialise.__defaults__:
        return
    before = FunctionType(serialise.__code__, serialise.__globals__)
    # The models hold the function itself, so that it must stay the same object.
    serialise.__code__, serialise.__defaults__ = _without_info.__code__, (before,)


def _without_info(value: Any, handler: Callable[[Any], Any], info: Any, serialise: Callable[..., Any]) -> Any:
    return serialise(value, lambda item, *_: handler(item), info)
