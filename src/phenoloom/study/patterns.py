r"""Match file paths with named fields: `{plate}/{well}_s{site:\d+}_{channel}.tif`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core.errors import PhenoloomError

ANYTHING = r"[^/]+?"


@dataclass(frozen=True, slots=True)
class Segment:
    """One folder or file name of a pattern; `literal` is its text where it holds no field."""

    regex: re.Pattern[str]
    literal: str | None


class Pattern:
    """A path relative to the root, folder by folder, in which `{name}` and `{name:regex}` are fields.

    A field never spans folders, and does not match a leading dot (hidden files, resource forks), as in a shell. A
    field that occurs twice must hold the same text; `{{` and `}}` are braces. Names are compared in Unicode form NFC,
    because archives made on macOS spell accents as two code points. `choices` limits fields to given texts.
    """

    def __init__(self, text: str, choices: Mapping[str, list[str]] | None = None) -> None:
        self.text = unicodedata.normalize("NFC", text)
        self.segments = [self._segment(tokens, choices or {}) for tokens in self._split()]
        self.fields = frozenset(name for segment in self.segments for name in segment.regex.groupindex)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the fields of a relative path with `/` between folders, or None where it does not fit."""
        names = path.split("/")
        if len(names) != len(self.segments):
            return None
        fields: dict[str, str] | None = {}
        for depth, name in enumerate(names):
            fields = self.extend(fields, depth, name) if fields is not None else None
        return fields

    def extend(self, fields: dict[str, str], depth: int, name: str) -> dict[str, str] | None:
        """Return `fields` of the folders above and the fields of one more name, or None where it does not fit."""
        found = self.segments[depth].regex.fullmatch(unicodedata.normalize("NFC", name))
        if found is None:
            return None
        new = found.groupdict(default="")
        if any(fields.get(key, value) != value for key, value in new.items()):
            return None
        return {**fields, **new}

    def _split(self) -> Iterator[list[tuple[str, str]]]:
        tokens: list[tuple[str, str]] = []
        for name, text in self._tokens():
            parts = [text] if name else text.split("/")
            for i, part in enumerate(parts):
                if i:
                    yield self._checked(tokens)
                    tokens = []
                if part:
                    tokens.append((name, part))
        yield self._checked(tokens)

    def _checked(self, tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
        if not tokens or tokens in ([("", "..")], [("", ".")]):
            raise PhenoloomError(
                f"The file pattern {self.text!r} must be a path below the root: no `..`, `.`, empty folder name or "
                f"leading or trailing `/`"
            )
        return tokens

    def _tokens(self) -> Iterator[tuple[str, str]]:
        """Yield pairs (field name, regex) and ("", literal text)."""
        literal, i = "", 0
        while i < len(self.text):
            character = self.text[i]
            if self.text[i : i + 2] in ("{{", "}}"):
                literal, i = literal + character, i + 2
            elif character == "{":
                if literal:
                    yield "", literal
                end = self._closing_brace(i)
                yield self._field(self.text[i + 1 : end])
                literal, i = "", end + 1
            elif character == "}":
                raise PhenoloomError(
                    f"The file pattern {self.text!r} has a `}}` without `{{`; write `}}}}` for a brace"
                )
            else:
                literal, i = literal + character, i + 1
        if literal:
            yield "", literal

    def _closing_brace(self, start: int) -> int:
        depth = 0
        for i in range(start, len(self.text)):
            depth += {"{": 1, "}": -1}.get(self.text[i], 0)
            if depth == 0:
                return i
        raise PhenoloomError(f"The file pattern {self.text!r} has a `{{` without `}}`; write `{{{{`")

    def _field(self, inside: str) -> tuple[str, str]:
        name, colon, regex = inside.partition(":")
        if not name.isidentifier():
            raise PhenoloomError(
                f"The file pattern {self.text!r} has the field {name!r}; a field's name is letters, digits and `_`"
            )
        if "/" in regex:
            raise PhenoloomError(f"The field {name!r} of the file pattern {self.text!r} must not span folders (`/`)")
        try:
            re.compile(regex)
        except re.error as error:
            raise PhenoloomError(f"The field {name!r} of the file pattern {self.text!r} is no regex: {error}") from None
        return name, regex if colon else ANYTHING

    def _segment(self, tokens: list[tuple[str, str]], choices: Mapping[str, list[str]]) -> Segment:
        text, seen = "", set()
        for name, part in tokens:
            if not name:
                text += re.escape(part)
            elif name in seen:
                text += f"(?P={name})"
            else:
                if part == ANYTHING and name in choices:
                    # The longest first, so that `DNA2` is not read as `DNA` and a rest.
                    part = "|".join(re.escape(choice) for choice in sorted(choices[name], key=len, reverse=True))
                text += f"(?P<{name}>{part})"
                seen.add(name)
        literal = "".join(part for _, part in tokens) if not seen else None
        start = r"(?!\.)" if tokens[0][0] else ""
        try:
            return Segment(re.compile(start + text, re.DOTALL), literal)
        except re.error as error:
            raise PhenoloomError(f"The file pattern {self.text!r} cannot be used: {error}") from None
