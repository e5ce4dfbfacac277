"""Variants of a model: a model file lists values for keys, and each combination is a model of its own."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

KEY = "variants"
DESCRIPTION = (
    "values of keys (`patch: [2, 4]`, `objective.mask_ratio: [0.5, 0.75]`); each combination is a model of its own, "
    "named like `mae-vit-small.patch-2.mask_ratio-0.5`, and a representation of this model, or what concatenates it, "
    "is one of each"
)


def listed(variants: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Values by key of each variant, in the order of the file, the last key fastest; one without any for no keys."""
    return [dict(zip(variants, values, strict=True)) for values in itertools.product(*variants.values())]


def suffix(values: Mapping[str, Any]) -> str:
    """What a variant with these values adds to a name; nothing where there are none."""
    words = _words(list(values))
    return "".join(f".{words[key]}-{text(value)}" for key, value in values.items())


def combinations(variants: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """Suffix of a variant's name -> its values, nested by key; in the order of the file, the last key fastest.

    Raises ValueError for two combinations of one name.
    """
    found: dict[str, dict[str, Any]] = {}
    for values in listed(variants):
        name = suffix(values)
        if name in found:
            raise ValueError(f"`variants` has {name[1:]!r} twice; give each value once")
        changes: dict[str, Any] = {}
        for key, value in values.items():
            _set(changes, key.split("."), value)
        found[name] = changes
    return found


def _checked(variants: dict[str, list[Any]]) -> dict[str, list[Any]]:
    combinations(variants)
    return variants


Variants = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], AfterValidator(_checked)]


def bases(name: str) -> Iterator[tuple[str, str]]:
    """What a name may be made of: a model and the suffix of a variant, the longest model first."""
    for match in reversed(list(re.finditer(r"\.", name))):
        yield name[: match.start()], name[match.start() :]


def _words(keys: Sequence[str]) -> dict[str, str]:
    """The last word of each key, or all of them where two keys end alike."""
    counts = Counter(key.rpartition(".")[2] for key in keys)
    return {key: key.rpartition(".")[2] if counts[key.rpartition(".")[2]] == 1 else key for key in keys}


def text(value: Any) -> str:
    """A value as part of a file's name."""
    if isinstance(value, list):
        return "_".join(map(text, value))
    shown = (
        {True: "true", False: "false", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
    )
    return re.sub(r"[^A-Za-z0-9._-]", "_", shown)


def _set(values: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    for part in parts[:-1]:
        values = values.setdefault(part, {})
    values[parts[-1]] = value
