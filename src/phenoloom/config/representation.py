"""Representations: what gives every unit of a study one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field, PrivateAttr, model_validator

from .base import Descriptor, Name, Section


class Draw(NamedTuple):
    """Which of several trainings a representation is: its `seed`, and the name that it shares with the others."""

    family: str
    seed: int


class Representation(Section):
    """Anything that gives every unit one vector: exactly one of `descriptors`, `model` and `concatenate`."""

    descriptors: Descriptor | None = Field(None, description="a set of classical descriptors")
    model: Name | None = Field(None, description="a model file of `config/models`, trained on this study's train folds")
    concatenate: list[Name] | None = Field(
        None,
        min_length=2,
        description="representations of this study, one after the other in one vector; probes standardise, and where "
        "it has many features reduce, each by itself",
    )
    untrained: bool = Field(False, description="use the model's initial weights: the baseline that could embarrass us")
    transductive: bool = Field(
        False, description="train one encoder on all folds; the report then says that it has seen the test groups"
    )
    trained_on: list[Name] = Field(
        default_factory=list,
        description="studies that the model is trained on together, by `training.balance`; where this study is not "
        "among them one encoder serves all folds; none: this study alone",
    )
    shared_groups: Literal["drop", "keep"] = Field(
        "drop",
        description="what becomes of tiles of the other studies whose group has the name of a test group: `drop`, as "
        "they may be the same well or patient; `keep`, where names such as plate1/A01 mean nothing outside of a study",
    )

    _draw: Draw | None = PrivateAttr(None)

    @property
    def draw(self) -> Draw | None:
        """Of a variant with a seed of its own, which draw it is."""
        return self._draw

    def drawn(self, draw: Draw | None) -> Representation:
        """The same representation, as one of several draws."""
        copy = self.model_copy()
        copy._draw = draw
        return copy

    @property
    def encoder(self) -> str | None:
        """Name of the folder of the trained model: the model's, and what it was trained on where that is told."""
        if self.model and self.trained_on:
            return f"{self.model}.on-{'_'.join(sorted(self.trained_on))}"
        return self.model

    def trained_here(self, study: str) -> bool:
        """Whether training saw any of the study with this representation."""
        return not self.trained_on or study in self.trained_on

    @model_validator(mode="after")
    def _training_fits(self) -> Representation:
        if self.trained_on and (not self.model or self.untrained):
            raise ValueError("`trained_on` belongs to models that are trained; remove it")
        if len(set(self.trained_on)) < len(self.trained_on):
            raise ValueError(f"`trained_on` must name each study once, found {self.trained_on}")
        if self.shared_groups == "keep" and not self.trained_on:
            raise ValueError("`shared_groups` is about other studies, which `trained_on` names; remove it")
        return self

    @model_validator(mode="after")
    def _exactly_one(self) -> Representation:
        if sum(part is not None for part in (self.descriptors, self.model, self.concatenate)) != 1:
            raise ValueError("give exactly one of `descriptors`, `model` and `concatenate`")
        if not self.model and (self.untrained or self.transductive):
            raise ValueError("`untrained` and `transductive` belong to models; descriptors are not trained")
        if self.concatenate and len(set(self.concatenate)) < len(self.concatenate):
            raise ValueError(f"`concatenate` must name each representation once, found {self.concatenate}")
        return self


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
