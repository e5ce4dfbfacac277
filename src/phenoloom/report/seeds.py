"""Families in the report: trainings of one representation that differ in their seed alone are shown as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..config.representation import standing
from .numbers import MISSING, amount, listing, score


class Draws:
    """What stands for what: `families` are the members of each family with their seeds, by its name."""

    def __init__(self, families: Mapping[str, Mapping[str, int]]) -> None:
        self._families = families
        self._seeds = {member: seed for members in families.values() for member, seed in members.items()}
        self._family = {member: family for family, members in families.items() for member in members}

    def standing(self, names: Iterable[str]) -> list[str]:
        """The names in their order, with each family once, at the place of its first member."""
        return standing([*names], self._families)

    def members(self, name: str) -> list[str]:
        """The members of a family by their seeds; of anything else, itself."""
        return sorted(self._families.get(name, [name]), key=lambda member: self._seeds.get(member, 0))

    def first(self, name: str) -> str:
        """The member with the least seed, which stands for all where only one can be shown; or itself."""
        return self.members(name)[0]

    def one_of_each(self, names: Iterable[str]) -> list[str]:
        """The names in their order, of each family only the member that stands for it."""
        return [self.first(name) for name in self.standing(names)]

    def family(self, name: str) -> str:
        """The family of a member, or itself."""
        return self._family.get(name, name)

    def seed(self, member: str) -> int:
        """The seed of a member."""
        return self._seeds[member]

    def seeds(self, name: str) -> str:
        """How many seeds a family has (`3 seeds`); nothing for anything else."""
        return amount(len(self._families[name]), "seed") if name in self._families else ""

    def note(self, name: str, what: str) -> str:
        """What something is, and how many seeds it has where it has several."""
        return ", ".join(filter(None, (what, self.seeds(name))))

    def shown_first(self, names: Iterable[str]) -> str:
        """A sentence about those of `names` that stand for their family; nothing where none does."""
        families = {name: self._family[name] for name in names if name in self._family}
        found = [f"{name} for the {self.seeds(family)} of {family}" for name, family in families.items()]
        return f"One training is shown for several, the one with the least seed: {listing(found)}." if found else ""


def over_seeds(sd: float) -> str:
    """What seeds add to a mean ± sd over folds; nothing where there are none."""
    shown = score(sd)
    return "" if shown == MISSING else f"± {shown} over seeds"
