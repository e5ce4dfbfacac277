"""Variants: a model file lists values for keys, and each combination of them is a model of its own.

A representation of a model with variants, or one that concatenates it, becomes one representation for each variant.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ..core.errors import PhenoloomError
from .keys import nested
from .representation import Draw, Representation

KEY = "variants"
SEED = "training.seed"

ListedValues = Mapping[str, Sequence[Any]]
"""Dotted key of a model -> the values that its variants take."""


def combinations(variants: ListedValues) -> dict[str, dict[str, Any]]:
    """Return the values of each variant, nested by key, under the suffix of its name.

    The order is that of the file, with the last key fastest. Raises ValueError for two variants of one name.
    """
    found: dict[str, dict[str, Any]] = {}
    for values in _combined(variants):
        name = suffix(values)
        if name in found:
            raise ValueError(f"`variants` has {name[1:]!r} twice; give each value once")
        found[name] = nested(values)
    return found


def suffix(values: Mapping[str, Any]) -> str:
    """Return what a variant with these values adds to a name, such as `.patch-4`; "" for no values."""
    words = _words(list(values))
    return "".join(f".{words[key]}-{_text(value)}" for key, value in values.items())


def bases(name: str) -> Iterator[tuple[str, str]]:
    """Yield every way to read a name as a model and the suffix of a variant, the longest model first."""
    for match in reversed(list(re.finditer(r"\.", name))):
        yield name[: match.start()], name[match.start() :]


def _checked(variants: dict[str, list[Any]]) -> dict[str, list[Any]]:
    combinations(variants)
    return variants


Variants = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], AfterValidator(_checked)]
"""The section `variants` of a model file."""


@dataclass(frozen=True)
class _Variant:
    """One variant of a representation: its values by dotted key, and the representation that it is."""

    values: dict[str, Any]
    entry: Representation


def expanded(
    declared: Mapping[str, Representation], variants: Callable[[str], ListedValues | None]
) -> dict[str, Representation]:
    """Return the representations of a study, with one for each variant where a model has variants.

    A concatenation of parts with variants becomes one for each combination of their values. A key that several parts
    list, such as `training.seed`, has the same value in all of them.

    Args:
        declared: Representations by name, as the study file declares them.
        variants: Returns the variants of a model by its name.

    Raises:
        PhenoloomError: For two representations of one name, and for parts that list a key without a common value.
    """
    found: dict[str, list[_Variant]] = {}
    for name, entry in declared.items():
        found[name] = [] if entry.concatenate else list(_of_model(entry, variants))
    for name, entry in declared.items():
        if entry.concatenate:
            found[name] = list(_concatenated(name, entry, found))
    names: dict[str, Representation] = {}
    for name, several in found.items():
        for one in several:
            _refuse_taken(name + suffix(one.values), names)
            names[name + suffix(one.values)] = one.entry.drawn(_draw(name, one.values))
    for family in dict.fromkeys(entry.draw.family for entry in names.values() if entry.draw):
        _refuse_taken(family, names)
    return names


def _of_model(entry: Representation, variants: Callable[[str], ListedValues | None]) -> Iterator[_Variant]:
    listed = variants(entry.model) if entry.model else None
    for values in _combined(listed or {}):
        model = entry.model + suffix(values) if entry.model else None
        yield _Variant(values, entry.model_copy(update={"model": model}))


def _concatenated(name: str, entry: Representation, found: Mapping[str, list[_Variant]]) -> Iterator[_Variant]:
    """Yield one for each choice of a variant of each part, where the keys that parts share have one value."""
    joined: list[tuple[dict[str, Any], list[str]]] = [({}, [])]
    for part in entry.concatenate or ():
        further = [
            (values | one.values, [*parts, part + suffix(one.values)])
            for values, parts in joined
            for one in found[part]
            if all(_text(values[key]) == _text(value) for key, value in one.values.items() if key in values)
        ]
        if not further:
            shared = [f"`{key}`" for key in found[part][0].values if key in joined[0][0]]
            raise PhenoloomError(
                f"Representation {name!r} concatenates parts that must agree in {', '.join(shared)}, but the "
                f"`variants` of {part} list no value in common with the parts before it; list the same values"
            )
        joined = further
    for values, parts in joined:
        yield _Variant(values, entry.model_copy(update={"concatenate": parts}))


def _draw(name: str, values: Mapping[str, Any]) -> Draw | None:
    """Return the draw of a variant with a seed; its family has the name of the variant without the seed."""
    if SEED not in values:
        return None
    others = {key: value for key, value in values.items() if key != SEED}
    try:
        return Draw(name + suffix(others), int(values[SEED]))
    except (TypeError, ValueError, OverflowError):
        raise PhenoloomError(
            f"Representation {name!r}: the model's `variants` list {values[SEED]!r} for `{SEED}`; give whole numbers"
        ) from None


def _refuse_taken(name: str, names: Mapping[str, Representation]) -> None:
    if name in names:
        raise PhenoloomError(f"Two representations are called {name!r}, and one of them is a variant; rename the other")


def _combined(variants: ListedValues) -> list[dict[str, Any]]:
    """Return the values of each variant by dotted key; one without values where there are no keys."""
    return [dict(zip(variants, values, strict=True)) for values in itertools.product(*variants.values())]


def _words(keys: Sequence[str]) -> dict[str, str]:
    """Return the last word of each key, or the whole key where two end alike."""
    counts = Counter(key.rpartition(".")[2] for key in keys)
    return {key: key.rpartition(".")[2] if counts[key.rpartition(".")[2]] == 1 else key for key in keys}


def _text(value: Any) -> str:
    """Return a value as part of a file's name."""
    if isinstance(value, list):
        return "_".join(map(_text, value))
    shown = (
        {True: "true", False: "false", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
    )
    return re.sub(r"[^A-Za-z0-9._-]", "_", shown)
