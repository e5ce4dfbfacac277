"""Channels of a study in the places of a network that knows other channels, by name and never by position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..config.channels import Channels
from ..core.errors import PhenoloomError
from .base import Objective, Outcome, Wrapper


class ChannelMapped(Wrapper):
    """`base`, a network of `inputs` channels, on tiles whose channels are put into the places of `map`.

    Raises:
        PhenoloomError: `map` and `drop` do not name every channel once.
    """

    def __init__(self, base: Objective, settings: Channels, names: Sequence[str]) -> None:
        super().__init__(base)
        self.settings, self.names = settings, list(names)
        missing = sorted({*settings.map, *settings.drop} - set(names))
        unmapped = [name for name in names if name not in settings.map and name not in settings.drop]
        if missing or unmapped:
            raise PhenoloomError(
                f"`channels.map` and `channels.drop` must name every channel of the study once: {', '.join(names)}; "
                f"unknown: {', '.join(missing) or 'none'}, neither mapped nor dropped: {', '.join(unmapped) or 'none'}"
            )

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of normalised tiles (b, c, y, x)."""
        outcome: Outcome = self.base(self.placed(inputs), generator)
        return outcome

    def embed(self, inputs: Tensor, *, orientations: bool = True) -> Tensor:
        """Return the vectors of the base."""
        return self.base.embed(self.placed(inputs), orientations=orientations)

    def reconstruct(self, inputs: Tensor) -> Tensor | None:
        """Return tiles (b, c, y, x); channels that the network does not see are zero, their mean."""
        decoded = self.base.reconstruct(self.placed(inputs))
        if decoded is None:
            return None
        answer = torch.zeros_like(inputs)
        for channel, name in enumerate(self.names):
            if name in self.settings.map:
                answer[:, channel] = decoded[:, self.settings.map[name]]
        return answer

    def placed(self, inputs: Tensor) -> Tensor:
        """Return tiles (b, inputs, y, x) as the network takes them."""
        settings = self.settings
        mapped = {place: inputs[:, self.names.index(name)] for name, place in settings.map.items()}
        if settings.fill == "zero":
            blank = torch.zeros_like(inputs[:, 0])
        elif settings.fill == "mean":
            blank = torch.stack(list(mapped.values())).mean(0)
        else:
            blank = mapped[settings.map[settings.fill.removeprefix("repeat:")]]
        places = [mapped.get(place, blank) for place in range(settings.inputs)]
        return torch.stack(places, 1).contiguous(memory_format=torch.channels_last)
