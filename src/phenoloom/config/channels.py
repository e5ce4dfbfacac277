"""Channels of a study as inputs of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import Section


class Channels(Section):
    """Assignment of a study's channels to the inputs of the network."""

    mode: Literal["joint", "separate", "replicate", "map"] = Field(
        "joint",
        description="`joint`: all channels as inputs of one network; `separate`: each channel alone, by one shared "
        "network; `replicate`: each channel alone, repeated to fill `inputs`; `map`: each channel at the input that "
        "`map` gives",
    )
    combine: Literal["concatenate", "mean"] = Field(
        "concatenate", description="how `separate` and `replicate` combine the vectors of the channels"
    )
    at_once: int = Field(
        4,
        ge=1,
        description="channels that `separate` and `replicate` compute at once; bounds memory and changes no result",
    )
    inputs: int = Field(3, ge=1, description="number of inputs of the network in `replicate` and `map`")
    map: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="channel of the study -> input of the network, from 0"
    )
    names: list[str] = Field(
        default_factory=list,
        description="names of the network's inputs in `joint`, for training on several studies; a study may lack some; "
        "empty: the channels of the study",
    )
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="channel of a study -> its name in `names`, for studies with other channel names",
    )
    drop: list[str] = Field(
        default_factory=list, description="channels of the study that `map` or `names` leave out on purpose"
    )
    fill: str = Field(
        "zero",
        pattern=r"^(zero|mean|repeat:.+)$",
        description="value of inputs without a channel in `map` or `names`. `zero`: the mean of a normalised channel; "
        "`mean`: the mean of the channels that are present; `repeat:<channel>`: a copy of that channel",
    )

    def places(self, trained: Sequence[str], found: Sequence[str]) -> list[int] | None:
        """Return where each channel that a network was trained on is among the channels of another study.

        Args:
            trained: Channels of the study that was trained on, in their order.
            found: Channels of the other study, in their order.

        Returns:
            A place in `found` for each channel of `trained`; None if the sets differ, also after `aliases`.
        """
        known = [self.aliases.get(name, name) for name in found]
        wanted = [self.aliases.get(name, name) for name in trained]
        return [known.index(name) for name in wanted] if sorted(known) == sorted(wanted) else None

    @model_validator(mode="after")
    def _map_fits(self) -> Channels:
        if (self.mode == "map") != bool(self.map):
            raise ValueError("`mode: map` needs `map`, and no other mode has it; for example {DNA: 0, actin: 1}")
        places = sorted(self.map.values())
        if places and (len(set(places)) < len(places) or places[-1] >= self.inputs):
            raise ValueError(
                f"`map` must give each channel its own input below `inputs` ({self.inputs}), found {places}"
            )
        if set(self.drop) & set(self.map):
            raise ValueError(f"`drop` and `map` both name {', '.join(sorted(set(self.drop) & set(self.map)))}")
        repeated = self.fill.removeprefix("repeat:")
        if repeated != self.fill and repeated not in (self.names or self.map):
            raise ValueError(f"`fill` repeats {repeated!r}, which `{'names' if self.names else 'map'}` does not name")
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Channels:
        if self.names and self.mode != "joint":
            raise ValueError(f"`names` belongs to `mode: joint`, found {self.mode}; remove it")
        if self.aliases and not self.names:
            raise ValueError("`aliases` are other names of the channels in `names`, which is empty; give `names`")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"`names` must name each channel once, found {self.names}")
        if strange := sorted({*self.aliases.values()} - {*self.names}):
            raise ValueError(f"`aliases` lead to {', '.join(strange)}, which `names` lacks")
        if self.mode == "joint" and self.drop and not self.names:
            raise ValueError("`drop` names channels that `names` or `map` leaves out; give one of these")
        return self
