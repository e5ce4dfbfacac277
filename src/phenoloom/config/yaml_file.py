"""YAML files: mappings that give each key once."""

from __future__ import annotations

import difflib
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import PhenoloomError

# PyYAML's parser in C where it was built: every job on a cluster reads these files again.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    """A loader of safe YAML that refuses a key given twice, where PyYAML keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice (line {line})")
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file; raises PhenoloomError with the file's name."""
    return parse_yaml(read_text(path), path)


def read_text(path: Path) -> str:
    """Read a YAML file's text; raises PhenoloomError with the nearest name where there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.stem, [p.stem for p in path.parent.glob("*.yaml")], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PhenoloomError(f"There is no file {path}{hint}") from None
    except UnicodeDecodeError as error:
        raise PhenoloomError(f"{path} is not valid YAML: {error}") from None


def _quotes_hint(error: Exception) -> str:
    """Return what to do about a backslash in double quotes, which YAML takes for the beginning of an escape."""
    problem = str(getattr(error, "problem", "") or "")
    if "escape" not in problem and "hexdecimal" not in problem:
        return ""
    return ". Write a text with backslashes in single quotes, where they stay as they are: '{well:[A-H]\\d\\d}'"


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML text holds; raises PhenoloomError with the name of its file."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        # For a date that the calendar does not have, and for a list as a key, PyYAML raises no YAMLError.
        raise PhenoloomError(f"{path} is not valid YAML: {' '.join(str(error).split())}{_quotes_hint(error)}") from None
    if not isinstance(content, dict):
        raise PhenoloomError(f"{path} must hold keys and values, but holds {type(content).__name__}")
    return content
