"""Validation of sections, with error messages that name the file, the key and the nearest valid key."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..core.errors import PhenoloomError

M = TypeVar("M", bound=BaseModel)

VIEWS = {"tiles", "shapes"}
"""Tags of the union of models."""


def validated(section: type[M], values: Mapping[str, Any], where: str) -> M:
    """Return a section with these values.

    Args:
        section: Class of the section.
        values: Values by key, as they were read.
        where: File, or place in a file, for the error message.

    Raises:
        PhenoloomError: With a line for each wrong value.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise PhenoloomError(explained(error, section, where)) from None


def explained(error: ValidationError, section: type[BaseModel], where: str) -> str:
    """Return the errors of a section as sentences, one a line."""
    return "\n".join(_sentence(e, section, where) for e in error.errors())


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a type annotation mentions, at any depth."""
    if inspect.isclass(annotation) and not typing.get_args(annotation):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from sections_in(argument)


def _sentence(error: Any, section: type[BaseModel], where: str) -> str:
    parts = _written_keys(error["loc"], section)
    key = ".".join(parts) or "the file"
    if error["type"] == "extra_forbidden":
        valid = sorted(_keys_at(section, parts[:-1]))
        near = difflib.get_close_matches(parts[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys here: {', '.join(valid)}"
        return f"{where}: unknown key `{key}`; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if error["type"] == "missing" or not parts else f" (found {error['input']!r})"
    return f"{where}: `{key}`: {message[:1].lower()}{message[1:]}{found}"


def _written_keys(location: tuple[str | int, ...], section: type[BaseModel]) -> list[str]:
    """Return the keys that the user wrote: pydantic puts the tag of a discriminated union between them."""
    parts = [str(part) for part in location]
    if parts and parts[0] in VIEWS and "view" in section.model_fields:
        parts = parts[1:]
        # No key of an objective has the name of one.
        if len(parts) > 1 and parts[0] == "objective" and parts[1] in _names_of(section, "objective"):
            del parts[1]
    return parts


def _names_of(section: type[BaseModel], key: str) -> set[str]:
    """Return the names of the sections that may follow a key."""
    sections = sections_in(section.model_fields[key].annotation)
    return {name for one in sections for name in typing.get_args(one.model_fields["name"].annotation)}


def _keys_at(section: type[BaseModel], parts: list[str]) -> set[str]:
    sections = [section]
    for part in parts:
        following: list[type[BaseModel]] = []
        for one in sections:
            if part in one.model_fields:
                following += sections_in(one.model_fields[part].annotation)
        # A part that names no field is the key of a mapping or an index: stay with the mapping's values.
        sections = following or sections
    return {key for one in sections for key in one.model_fields}
