r"""Match file paths with named fields: `{plate}/{well}_s{site:\d+}_{channel}.tif`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..core.errors import PhenoloomError

ANYTHING = r"[^/]+?"


CHANNEL = "channel"
"""Name of the field that tells the files of one image apart by their channel."""
NOT_KEPT, FOLDERS = "_", "**"
"""Names of the fields for text that is not kept, and for any number of folders."""

State = tuple[int, dict[str, str]]
"""A depth in a pattern, and the fields of the folders above."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of one name in a pattern: literal text, where `name` is empty, or a field.

    Attributes:
        name: Name of the field.
        text: Literal text, or regex of the field.
        written: How the pattern spells it.
    """

    name: str
    text: str
    written: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One folder or file name of a pattern; `**` stands for any number of folders, and has no tokens."""

    regex: re.Pattern[str]
    tokens: tuple[Token, ...]

    @property
    def any_depth(self) -> bool:
        """Return whether it stands for any number of folders."""
        return not self.tokens


class Pattern:
    """A path relative to the root, folder by folder, in which `{name}` and `{name:regex}` are fields.

    A field never spans folders, and does not match a leading dot (hidden files, resource forks), as in a shell. A
    field that occurs twice must hold the same text. `{_}` is text that is not kept, and a folder `{**}` is any number
    of folders, as few as fit; `{{` and `}}` are braces. Names are compared in Unicode form NFC, because archives made
    on macOS spell accents as two code points.

    Args:
        text: The pattern.
        choices: Texts that a field without a regex is limited to.
        any_case: Whether upper and lower case are the same.
        any_text: Whether a regex limits nothing.
    """

    def __init__(
        self,
        text: str,
        choices: Mapping[str, list[str]] | None = None,
        any_case: bool = False,
        any_text: bool = False,
    ) -> None:
        self.text = unicodedata.normalize("NFC", text)
        self._any_case, self._any_text = any_case, any_text
        self.segments = [self._segment(tokens, choices or {}) for tokens in self._split()]
        if self.segments[-1].any_depth:
            raise PhenoloomError(f"The file pattern {self.text!r} ends in folders; it must end in the name of a file")
        self.fields = frozenset(name for segment in self.segments for name in segment.regex.groupindex)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the fields of a relative path with `/` between folders, or None where it does not fit."""
        states = self.start()
        for name in path.split("/"):
            if not states:
                return None
            states = self.advance(states, name)
        return self.complete(states)

    def start(self) -> list[State]:
        """Return the states of the root."""
        return self._with_skipped([(0, {})])

    def advance(self, states: list[State], name: str) -> list[State]:
        """Return the states below a folder, or at a file, from those of the folder that it lies in.

        Several states mean that `{**}` may stand for other folders; none, that nothing below can fit.
        """
        name = unicodedata.normalize("NFC", name)
        reached: list[State] = []
        for depth, fields in states:
            if depth == len(self.segments):
                continue
            if self.segments[depth].any_depth:
                reached += [] if name.startswith(".") else [(depth, fields)]
                continue
            found = self.segments[depth].regex.fullmatch(name)
            new = found.groupdict(default="") if found else {}
            if found and all(fields.get(key, value) == value for key, value in new.items()):
                reached.append((depth + 1, {**fields, **new}))
        return self._with_skipped(reached)

    def complete(self, states: list[State]) -> dict[str, str] | None:
        """Return the fields of a path whose last name led to these states, or None where it does not fit."""
        return next((fields for depth, fields in states if depth == len(self.segments)), None)

    def _with_skipped(self, states: list[State]) -> list[State]:
        """Return the states, and those where `{**}` ends; the fewest folders come first."""
        found: list[State] = []
        for depth, fields in states:
            steps = depth
            while steps < len(self.segments) and self.segments[steps].any_depth:
                steps += 1
            found += [state for at in range(steps, depth - 1, -1) if (state := (at, fields)) not in found]
        return found

    def _split(self) -> Iterator[list[Token]]:
        tokens: list[Token] = []
        for token in self._tokens():
            parts = [token.text] if token.name else token.text.split("/")
            for i, part in enumerate(parts):
                if i:
                    yield self._checked(tokens)
                    tokens = []
                if part:
                    tokens.append(token if token.name else Token("", part, part))
        yield self._checked(tokens)

    def _checked(self, tokens: list[Token]) -> list[Token]:
        if not tokens or (not tokens[0].name and tokens[0].text in ("..", ".") and len(tokens) == 1):
            raise PhenoloomError(
                f"The file pattern {self.text!r} must be a path below the root: no `..`, `.`, empty folder name or "
                f"leading or trailing `/`"
            )
        if len(tokens) > 1 and any(token.name == FOLDERS for token in tokens):
            raise PhenoloomError(
                f"The file pattern {self.text!r} has `{{**}}` beside other text; it stands for whole folders, so write "
                "`{**}/`, or `{_}` for any text within a name"
            )
        return tokens

    def _tokens(self) -> Iterator[Token]:
        literal, i = "", 0
        while i < len(self.text):
            character = self.text[i]
            if self.text[i : i + 2] in ("{{", "}}"):
                literal, i = literal + character, i + 2
            elif character == "{":
                if literal:
                    yield Token("", literal, literal)
                end = self._closing_brace(i)
                yield self._field(self.text[i : end + 1])
                literal, i = "", end + 1
            elif character == "}":
                raise PhenoloomError(
                    f"The file pattern {self.text!r} has a `}}` without `{{`; write `}}}}` for a brace"
                )
            else:
                literal, i = literal + character, i + 1
        if literal:
            yield Token("", literal, literal)

    def _closing_brace(self, start: int) -> int:
        depth = 0
        for i in range(start, len(self.text)):
            depth += {"{": 1, "}": -1}.get(self.text[i], 0)
            if depth == 0:
                return i
        raise PhenoloomError(f"The file pattern {self.text!r} has a `{{` without `}}`; write `{{{{`")

    def _field(self, written: str) -> Token:
        name, colon, regex = written[1:-1].partition(":")
        if name == FOLDERS and not colon:
            return Token(FOLDERS, ANYTHING, written)
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
        return Token(name, regex if colon and not self._any_text else ANYTHING, written)

    def _segment(self, tokens: list[Token], choices: Mapping[str, list[str]]) -> Segment:
        if tokens[0].name == FOLDERS:
            return Segment(re.compile(""), ())
        # The longest first, so that `DNA2` is not read as `DNA` and a rest.
        limited = {
            name: "|".join(re.escape(choice) for choice in sorted(texts, key=len, reverse=True))
            for name, texts in choices.items()
        }
        known = tuple(
            replace(token, text=limited.get(token.name, ANYTHING)) if token.text == ANYTHING and token.name else token
            for token in tokens
        )
        return Segment(self.compiled(known), known)

    def compiled(self, tokens: Sequence[Token]) -> re.Pattern[str]:
        """Return the regex of the first tokens of a name."""
        text, seen = "", set()
        for token in tokens:
            if not token.name:
                text += re.escape(token.text)
            elif token.name == NOT_KEPT:
                text += f"(?:{token.text})"
            elif token.name in seen:
                text += f"(?P={token.name})"
            else:
                text += f"(?P<{token.name}>{token.text})"
                seen.add(token.name)
        start = r"(?!\.)" if tokens[0].name else ""
        flags = re.DOTALL | (re.IGNORECASE if self._any_case else re.NOFLAG)
        try:
            return re.compile(start + text, flags)
        except re.error as error:
            raise PhenoloomError(f"The file pattern {self.text!r} cannot be used: {error}") from None
