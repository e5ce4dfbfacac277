"""Representations of models with variants, and of what is concatenated of them: one for each variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import PhenoloomError
from .representation import Draw, Representation
from .variants import listed, suffix, text

SEED = "training.seed"
Variants = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class _Expanded:
    """One of the representations that an entry stands for: the values of its variant, by key, and what it is then."""

    values: dict[str, Any]
    entry: Representation


def expanded(
    declared: Mapping[str, Representation], variants: Callable[[str], Variants | None]
) -> dict[str, Representation]:
    """The representations, one for each variant where a model has any; `variants` are those of a model.

    Of parts with variants, what is concatenated is one for each combination of their values; a key that several parts
    list (`training.seed`) has the same value in all of them. Raises PhenoloomError for two of one name, and where parts
    have no value of such a key in common.
    """
    found: dict[str, list[_Expanded]] = {}
    for name, entry in declared.items():
        found[name] = [] if entry.concatenate else list(_of_model(entry, variants))
    for name, entry in declared.items():
        if entry.concatenate:
            found[name] = list(_joined(name, entry, found))
    names: dict[str, Representation] = {}
    for name, several in found.items():
        for one in several:
            _refuse_taken(name + suffix(one.values), names)
            names[name + suffix(one.values)] = one.entry.drawn(_draw(name, one.values))
    for family in dict.fromkeys(entry.draw.family for entry in names.values() if entry.draw):
        _refuse_taken(family, names)
    return names


def _refuse_taken(name: str, names: Mapping[str, Representation]) -> None:
    if name in names:
        raise PhenoloomError(f"Two representations are called {name!r}, one of which is a variant; rename the other")


def _draw(name: str, values: Mapping[str, Any]) -> Draw | None:
    """The draw of a variant with these values: its family is called like it without the seed."""
    others = {key: value for key, value in values.items() if key != SEED}
    return Draw(name + suffix(others), int(values[SEED])) if SEED in values else None


def _of_model(entry: Representation, variants: Callable[[str], Variants | None]) -> Iterator[_Expanded]:
    values = variants(entry.model) if entry.model else None
    for one in listed(values or {}):
        model = entry.model + suffix(one) if entry.model else None
        yield _Expanded(one, entry.model_copy(update={"model": model}))


def _joined(name: str, entry: Representation, found: Mapping[str, list[_Expanded]]) -> Iterator[_Expanded]:
    """One for each choice of a variant of each part that agrees in the keys that parts share."""
    joined: list[tuple[dict[str, Any], list[str]]] = [({}, [])]
    for part in entry.concatenate or ():
        further = [
            (values | one.values, [*parts, part + suffix(one.values)])
            for values, parts in joined
            for one in found[part]
            if all(text(values[key]) == text(value) for key, value in one.values.items() if key in values)
        ]
        if not further:
            shared = [f"`{key}`" for key in found[part][0].values if key in joined[0][0]]
            raise PhenoloomError(
                f"Representation {name!r} concatenates parts that agree in {', '.join(shared)}, and the `variants` of "
                f"{part} list no value in common with the parts before it; list the same values"
            )
        joined = further
    for values, parts in joined:
        yield _Expanded(values, entry.model_copy(update={"concatenate": parts}))
