"""Families: representations of a study that differ in nothing but the seed of their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .representation import Representation


def families(representations: Mapping[str, Representation]) -> dict[str, dict[str, int]]:
    """Name of a family -> its members in the order of the study, with their seeds; of two members at least.

    With other keys beside `training.seed` in `variants` there is a family for each combination of their values, called
    like a variant without the seed. What is untrained and what is concatenated forms families as what is trained does:
    a seed draws initial weights too.
    """
    found: dict[str, dict[str, int]] = {}
    for name, entry in representations.items():
        if entry.draw:
            found.setdefault(entry.draw.family, {})[name] = entry.draw.seed
    return {family: members for family, members in found.items() if len(members) > 1}


def standing(representations: Sequence[str], families: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The representations in their order, with each family once, in the place of its first member."""
    family = {member: name for name, members in families.items() for member in members}
    return list(dict.fromkeys(family.get(name, name) for name in representations))
