"""The generated parts of the configuration's manual: tables of keys in `config/README.md`, and JSON schemas."""

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
from .messages import sections_in
from .model import ImageModel, Model, ShapeModel
from .run import Config
from .study import Study

ROOTS: dict[str, Any] = {"config": Config, "study": Study, "model": Model, "about": About}
BEGIN, END = "<!-- keys: {} -->", "<!-- end of keys: {} -->"


def schemas() -> dict[str, str]:
    """Return the text of each JSON schema by name."""
    return {
        name: json.dumps(TypeAdapter(root).json_schema(), indent=1, ensure_ascii=False) + "\n"
        for name, root in ROOTS.items()
    }


def tables() -> dict[str, str]:
    """Return the Markdown tables of keys by name."""
    return {
        "config": _table(Config),
        "study": "\n\n".join(_sections(Study, "", set())),
        "about": "\n\n".join(_sections(About, "", set())),
        "model": "\n\n".join(_model_parts()),
    }


def filled(readme: str) -> str:
    """Return the manual's text with new tables between their markers; raises PhenoloomError if a marker is missing."""
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


def _model_parts() -> Iterator[str]:
    shown: set[tuple[str, type[BaseModel]]] = set()
    for model, title in ((ImageModel, "view: tiles"), (ShapeModel, "view: shapes")):
        yield f"#### Models with `{title}`"
        yield from _sections(model, "", shown)


def _sections(section: type[BaseModel], prefix: str, shown: set[tuple[str, type[BaseModel]]]) -> Iterator[str]:
    """Yield the table of a section and those of its sections; `shown` gets them, and each is shown once."""
    if (prefix, section) in shown:
        return
    shown.add((prefix, section))
    yield (f"**`{prefix}`**{_tag(section)} — {_first_sentence(section)}\n\n" if prefix else "") + _table(section)
    for name, field in section.model_fields.items():
        for inner in sections_in(field.annotation):
            path = f"{prefix}.{name}" if prefix else name
            if typing.get_origin(_without_none(field.annotation)) is dict:
                path += ".<name>"
            yield from _sections(inner, path, shown)


def _tag(section: type[BaseModel]) -> str:
    """Return the key and value that choose this section among several."""
    field = section.model_fields.get("name")
    return f" with `name: {typing.get_args(field.annotation)[0]}`" if field and _is_literal(field) else ""


def _is_literal(field: FieldInfo) -> bool:
    return typing.get_origin(field.annotation) is typing.Literal


def _table(section: type[BaseModel]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        default = _default(field)
        lines.append(
            f"| `{name}` | {_escape(_type(field.annotation))} | {default} | {_escape(field.description or '')} |"
        )
    return "\n".join(lines)


def _first_sentence(section: type[BaseModel]) -> str:
    return " ".join((section.__doc__ or "").split("\n\n")[0].split())


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
        return " or ".join(dict.fromkeys(_type(a) for a in arguments if a is not types.NoneType))
    if origin in {list, tuple}:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    names = {str: "text", int: "integer", float: "number", bool: "true/false", object: "any", Any: "any"}
    return names.get(annotation, "section")
