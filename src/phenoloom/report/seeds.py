"""Representations that were trained several times with different seeds, which the report shows as one.

The trainings of one representation form a family; each of them is a member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..config.representation import standing
from .numbers import MISSING, amount, listing, score


class SeedFamilies:
    """Families of representations that differ in their seed alone.

    Args:
        families: seed of each member, by family.
    """

    def __init__(self, families: Mapping[str, Mapping[str, int]]) -> None:
        self._families = families
        self._seeds = {member: seed for members in families.values() for member, seed in members.items()}
        self._family = {member: family for family, members in families.items() for member in members}

    def merged(self, names: Iterable[str]) -> list[str]:
        """Return the names in their order, with each family once in place of its members."""
        return standing([*names], self._families)

    def members(self, name: str) -> list[str]:
        """Return the members of a family in the order of their seeds; the name itself if it is no family."""
        return sorted(self._families.get(name, [name]), key=lambda member: self._seeds.get(member, 0))

    def first(self, name: str) -> str:
        """Return the member with the lowest seed, which is shown where only one can be; the name if it is no family."""
        return self.members(name)[0]

    def one_of_each(self, names: Iterable[str]) -> list[str]:
        """Return the names in their order, with each family replaced by its first member."""
        return [self.first(name) for name in self.merged(names)]

    def family(self, name: str) -> str:
        """Return the family of a member; the name itself if it belongs to none."""
        return self._family.get(name, name)

    def seed(self, member: str) -> int:
        """Return the seed of a member."""
        return self._seeds[member]

    def seeds(self, name: str) -> str:
        """Return the number of seeds of a family as text (`3 seeds`); empty if the name is no family."""
        return amount(len(self._families[name]), "seed") if name in self._families else ""

    def with_seeds(self, name: str, description: str) -> str:
        """Return the description of a representation, followed by its number of seeds if it is a family."""
        return ", ".join(filter(None, (description, self.seeds(name))))

    def shown_first(self, names: Iterable[str]) -> str:
        """Return a sentence on the names that are shown in place of their family; empty if there are none."""
        families = {name: self._family[name] for name in names if name in self._family}
        found = [f"{name} for the {self.seeds(family)} of {family}" for name, family in families.items()]
        return f"Of several trainings, the one with the lowest seed is shown: {listing(found)}." if found else ""


def over_seeds(sd: float) -> str:
    """Return the spread over seeds as text (`± 0.012 over seeds`); empty if it is not a number."""
    shown = score(sd)
    return "" if shown == MISSING else f"± {shown} over seeds"
