"""The configuration's manual, made from the models: key tables in `config/README.md`, and JSON schemas for editors."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from .about import About
from .messages import models_in
from .model import ImageModel, Model, ShapeModel
from .run import Config
from .study import Study

ROOTS: dict[str, Any] = {"config": Config, "study": Study, "model": Model, "about": About}
BEGIN, END = "<!-- keys: {} -->", "<!-- end of keys: {} -->"


def schemas() -> dict[str, str]:
    """JSON schema text by name."""
    return {
        name: json.dumps(TypeAdapter(root).json_schema(), indent=1, ensure_ascii=False) + "\n"
        for name, root in ROOTS.items()
    }


def tables() -> dict[str, str]:
    """Markdown key tables by name."""
    return {
        "config": _table(Config),
        "study": "\n\n".join(_sections(Study, "")),
        "about": "\n\n".join(_sections(About, "")),
        "model": "\n\n".join(
            part
            for model, title in ((ImageModel, "view: tiles"), (ShapeModel, "view: shapes"))
            for part in (f"#### Models with `{title}`", *_sections(model, ""))
        ),
    }


def filled(readme: str) -> str:
    """The manual's text with its tables made anew between their markers."""
    for name, table in tables().items():
        begin, end = BEGIN.format(name), END.format(name)
        head, found, rest = readme.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise PhenoloomError(f"config/README.md must hold the lines {begin!r} and {end!r}; put them back")
        readme = f"{head}{begin}\n\n{table}\n\n{end}{tail}"
    return readme


def write_manual(config_dir: Path) -> None:
    """Write the tables of `README.md` and `schemas/*.schema.json` in the configuration folder."""
    readme = config_dir / "README.md"
    text = filled(readme.read_text(encoding="utf-8"))
    write_atomically(readme, lambda file: file.write(text.encode()))
    for name, schema in schemas().items():
        path = config_dir / "schemas" / f"{name}.schema.json"
        write_atomically(path, lambda file, schema=schema: file.write(schema.encode()))  # type: ignore[misc]


def _sections(model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield (f"**`{prefix}`** — {_first_sentence(model)}\n\n" if prefix else "") + _table(model)
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            shown = f"{prefix}.{name}" if prefix else name
            if typing.get_origin(_without_none(field.annotation)) is dict:
                shown += ".<name>"
            yield from _sections(inner, shown)


def _table(model: type[BaseModel]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = _default(field)
        lines.append(
            f"| `{name}` | {_escape(_type(field.annotation))} | {default} | {_escape(field.description or '')} |"
        )
    return "\n".join(lines)


def _first_sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or value is PydanticUndefined:
        return "none"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        rest = [a for a in typing.get_args(annotation) if a is not types.NoneType]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{a}`" for a in arguments)
    if origin in {types.UnionType, typing.Union}:
        return " or ".join(_type(a) for a in arguments if a is not types.NoneType)
    if origin in {list, tuple}:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    names = {str: "text", int: "integer", float: "number", bool: "true/false", object: "any"}
    return names.get(annotation, "section")
