"""Representations: each gives every unit of a study one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field, PrivateAttr, model_validator

from .base import Descriptor, Name, Section

Families = dict[str, dict[str, int]]
"""Name of a family -> its members with their seeds: representations that differ only in the seed."""


class Draw(NamedTuple):
    """One of several trainings that differ in their seed.

    Attributes:
        family: Name that it shares with the other trainings.
        seed: Its `training.seed`.
    """

    family: str
    seed: int


class Mixture(Section):
    """The studies that one model is trained on, and what to do with groups that have the name of a test group."""

    studies: list[str]
    shared_groups: Literal["drop", "keep"]


class Representation(Section):
    """One vector for every unit, by exactly one of `descriptors`, `model` and `concatenate`."""

    descriptors: Descriptor | None = Field(
        None,
        description="a set of classical descriptors; `efd`: elliptic Fourier descriptors that do not depend on pose, "
        "start and reflection; `efd-published`: their normalised form as published, with its sign flips, by the "
        "package pyefd; it is shown beside `efd` to compare with published scores, but not ranked",
    )
    model: Name | None = Field(
        None, description="a model file of `config/models`, trained on the train folds of this study"
    )
    concatenate: list[Name] | None = Field(
        None,
        min_length=2,
        description="representations of this study, joined in one vector in this order; probes standardise each part "
        "by itself, and reduce each part with many features by itself",
    )
    untrained: bool = Field(False, description="use the initial weights of the model, as a baseline")
    transductive: bool = Field(
        False, description="train one encoder on all folds; the report states that it has seen the test groups"
    )
    trained_on: list[Name] = Field(
        default_factory=list,
        description="studies that the model is trained on together, by `training.balance`; if this study is not among "
        "them, one encoder serves all folds; none: this study alone",
    )
    shared_groups: Literal["drop", "keep"] = Field(
        "drop",
        description="tiles of the other studies in a group that has the name of a test group. `drop`: leave them out, "
        "as they may be from the same well or patient; `keep`: train on them, if names such as plate1/A01 have no "
        "meaning outside a study",
    )

    _draw: Draw | None = PrivateAttr(None)

    @property
    def draw(self) -> Draw | None:
        """The draw that it is, for a variant with a seed of its own."""
        return self._draw

    def drawn(self, draw: Draw | None) -> Representation:
        """Return the same representation as one of several draws."""
        copy = self.model_copy()
        copy._draw = draw
        return copy

    @property
    def encoder(self) -> str | None:
        """Name of the trained model's folder: the model, and the studies in `trained_on`."""
        if self.model and self.trained_on:
            return f"{self.model}.on-{'_'.join(sorted(self.trained_on))}"
        return self.model

    def trained_here(self, study: str) -> bool:
        """Return whether the model is trained on the study that has this representation."""
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


def families(representations: Mapping[str, Representation]) -> Families:
    """Return the families of a study: representations that differ only in their seed.

    With other keys beside `training.seed` in `variants`, each combination of their values is a family, named like the
    variant without its seed. Untrained and concatenated representations form families too: a seed also draws the
    initial weights.

    Returns:
        Name of a family -> its members with their seeds, in the order of the study; at least two members.
    """
    found: Families = {}
    for name, entry in representations.items():
        if entry.draw:
            found.setdefault(entry.draw.family, {})[name] = entry.draw.seed
    return {family: members for family, members in found.items() if len(members) > 1}


def standing(representations: Sequence[str], families: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the names that a ranking has: each family once, at its first member, and what is in no family."""
    family = {member: name for name, members in families.items() for member in members}
    return list(dict.fromkeys(family.get(name, name) for name in representations))
