"""Validation of a section, with complaints that name the file, the key and the nearest valid one."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..core.errors import PhenoloomError

M = TypeVar("M", bound=BaseModel)


OBJECTIVES = {"ae", "vae", "vqvae", "mae", "dino", "contrast"}
"""Tags of the union of objectives; none of them is a key of one."""


def validated(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """The values of any section, or a complaint that names the file, the key and the nearest valid one."""
    return _validate(model, values, where)


def _validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise PhenoloomError(_sentences(error, model, where)) from None


def _sentences(error: ValidationError, model: type[BaseModel], where: str) -> str:
    return "\n".join(_sentence(e, model, where) for e in error.errors())


def _sentence(error: Any, model: type[BaseModel], where: str) -> str:
    parts = [str(part) for part in error["loc"]]
    # A discriminated union puts its tag into the location; the user wrote no such key.
    if parts and parts[0] in {"tiles", "shapes"} and "view" in model.model_fields:
        parts = parts[1:]
        if len(parts) > 1 and parts[0] == "objective" and parts[1] in OBJECTIVES:
            del parts[1]
    key = ".".join(parts) or "the file"
    if error["type"] == "extra_forbidden":
        valid = sorted(_keys_at(model, parts[:-1]))
        near = difflib.get_close_matches(parts[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys here: {', '.join(valid)}"
        return f"{where}: unknown key `{key}`; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if error["type"] == "missing" or not parts else f" (found {error['input']!r})"
    return f"{where}: `{key}`: {message[:1].lower()}{message[1:]}{found}"


def _keys_at(model: type[BaseModel], parts: list[str]) -> set[str]:
    models = [model]
    for part in parts:
        following: list[type[BaseModel]] = []
        for m in models:
            if part in m.model_fields:
                following += models_in(m.model_fields[part].annotation)
        # A part that is no field is the key of a mapping or an index: stay with the mapping's values.
        models = following or models
    return {key for m in models for key in m.model_fields}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type annotation mentions, at any depth."""
    if inspect.isclass(annotation) and not typing.get_args(annotation):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from models_in(argument)
