"""How the channels of several studies become the inputs of one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer, model_validator

from .study import Section
from .training import CANONICAL


class Channels(Section):
    """How the channels of a study reach the network."""

    mode: Literal["joint", "separate", "replicate", "map"] = Field(
        "joint",
        description="`joint`: all channels together; `separate`: each channel alone through one shared network; "
        "`replicate`: each channel alone, repeated to fill `inputs`; `map`: each channel in the place that `map` gives",
    )
    combine: Literal["concatenate", "mean"] = Field(
        "concatenate", description="what becomes of the vectors of the channels in `separate` and `replicate`"
    )
    at_once: int = Field(
        4,
        ge=1,
        description="channels computed at once in `separate` and `replicate`: bounds memory, not the result's size",
    )
    inputs: int = Field(3, ge=1, description="inputs of the network in `replicate` and `map`")
    map: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="channel of the study -> input of the network, counted from 0"
    )
    names: list[str] = Field(
        default_factory=list,
        description="inputs of the network in `joint`, by the names of their channels; a study may lack some of them; "
        "none: the channels of the study",
    )
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="channel of a study -> what `names` calls it, for studies that differ in words",
    )
    drop: list[str] = Field(default_factory=list, description="channels that `map` or `names` leave out on purpose")
    fill: str = Field(
        "zero",
        pattern=r"^(zero|mean|repeat:.+)$",
        description="inputs without a channel in `map` or `names`: `zero` (the channel's mean), `mean` of those that "
        "are there, or `repeat:<channel>`",
    )

    def places(self, trained: Sequence[str], found: Sequence[str]) -> list[int] | None:
        """Where each channel of the study that was trained on is among those of another; None if the sets differ."""
        known = [self.aliases.get(name, name) for name in found]
        wanted = [self.aliases.get(name, name) for name in trained]
        return [known.index(name) for name in wanted] if sorted(known) == sorted(wanted) else None

    @model_validator(mode="after")
    def _map_fits(self) -> Channels:
        if (self.mode == "map") != bool(self.map):
            raise ValueError("`map` belongs to `mode: map`, which needs it: for example {DNA: 0, actin: 1}")
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
            raise ValueError("`aliases` are other words for channels in `names`, which is empty; give `names`")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"`names` must name each channel once, found {self.names}")
        if strange := sorted({*self.aliases.values()} - {*self.names}):
            raise ValueError(f"`aliases` lead to {', '.join(strange)}, which `names` lacks")
        if self.mode == "joint" and self.drop and not self.names:
            raise ValueError("`drop` leaves out channels that `names` or `map` lacks; give one of them")
        return self

    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        # These keys came after the first models were trained, whose digests they leave as they were.
        values: dict[str, Any] = handler(self)
        if info.context == CANONICAL:
            values = {key: value for key, value in values.items() if value or key not in ("names", "aliases")}
        return values
