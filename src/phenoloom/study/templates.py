"""Names of fields and columns, and texts made of several: `{row}{column}`, `{plate}_{run}`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..core.errors import PhenoloomError

Kind = Literal["field", "column"]
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text is found: in a field, in a column, or composed of several of these.

    Attributes:
        name: The field, the column or the template, as the study file spells it.
        parts: Literal text before each name, its kind and the name; kind and name are empty for text at the end.
    """

    name: str
    parts: tuple[tuple[str, Kind | Literal[""], str], ...]

    @property
    def kind(self) -> Kind:
        """Return `field` if file names alone tell the text, `column` if a row of the table is needed."""
        return "column" if self.names("column") else "field"

    @property
    def several(self) -> bool:
        """Return whether it is composed of several fields or columns."""
        return sum(bool(kind) for _, kind, _ in self.parts) > 1

    def names(self, kind: Kind) -> list[str]:
        """Return the names of one kind, each once."""
        return list(dict.fromkeys(name for _, its_kind, name in self.parts if its_kind == kind))

    def fill(self, value: Callable[[Kind, str], str | None]) -> str | None:
        """Return the text for an image; None if one of its parts is empty or unknown."""
        text = ""
        for literal, kind, name in self.parts:
            text += literal
            if kind:
                found = value(kind, name)
                if not found:
                    return None
                text += found
        return text or None


def place_of(
    text: str, key: str, kind_of: Callable[[str], Kind | None], unknown: Callable[[str], PhenoloomError]
) -> Place:
    """Find the fields and columns that a name or a template mentions.

    Args:
        text: A name, or a template with names in braces; `{{` and `}}` are braces.
        key: Key of the study file, for the error message.
        kind_of: Gives the kind of a name, None where there is none of that name.
        unknown: Gives the error for a name that is none.

    Raises:
        PhenoloomError: A name is unknown, or the braces of a template do not fit together.
    """
    if kind := kind_of(text):
        return Place(text, (("", kind, text),))
    if not is_template(text):
        raise unknown(text)
    parts: list[tuple[str, Kind | Literal[""], str]] = []
    literal, end = "", 0
    for found in _TOKEN.finditer(text):
        literal += text[end : found.start()]
        end = found.end()
        if found[0] in ("{{", "}}"):
            literal += found[0][0]
        elif found[1] is None:
            raise PhenoloomError(
                f"`{key}` is {text!r}, whose braces do not fit together; write `{{name}}` for a field or column and "
                "`{{` for a brace"
            )
        elif kind := kind_of(found[1]):
            parts.append((literal, kind, found[1]))
            literal = ""
        else:
            raise unknown(found[1])
    literal += text[end:]
    return Place(text, (*parts, (literal, "", "")) if literal else tuple(parts))


def is_template(text: str) -> bool:
    """Return whether a text has braces."""
    return "{" in text or "}" in text
