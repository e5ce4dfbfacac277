"""The channels of tiles: their normalisation, and how they reach the inputs of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..config.channels import Channels
from ..core.errors import PhenoloomError


@dataclass(frozen=True)
class Normaliser:
    """Per-channel z-score, then bilinear resizing with antialiasing.

    Attributes:
        mean: Mean of each channel, in the unit of the camera.
        std: Standard deviation of each channel, in the same unit.
        size: Height and width in px that tiles are resized to.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int

    def __call__(self, tiles: Tensor) -> Tensor:
        """Return tiles (b, c, y, x) of any real dtype as float32 (b, c, size, size), channels last in memory."""
        mean = torch.tensor(self.mean, device=tiles.device).view(1, -1, 1, 1)
        scale = 1 / torch.tensor(self.std, device=tiles.device).view(1, -1, 1, 1)
        # `to` is the one operation that torch has for every unsigned dtype of a camera.
        values = tiles.to(torch.float32, memory_format=torch.channels_last).sub_(mean).mul_(scale)
        if values.shape[-2:] == (self.size, self.size):
            return values
        # A larger tile is averaged, not sampled: otherwise fine texture turns into aliased noise.
        values = F.interpolate(values, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return values.contiguous(memory_format=torch.channels_last)


def fit_normaliser(channel_mean: np.ndarray, channel_std: np.ndarray, size: int) -> Normaliser:
    """Return the normaliser by the mean and standard deviation over all pixels of tiles.

    Args:
        channel_mean: Mean of each tile and channel (n, c).
        channel_std: Standard deviation of each tile and channel (n, c).
        size: Height and width in px that tiles are resized to.

    Raises:
        PhenoloomError: A value is not finite.
    """
    mean, std = np.asarray(channel_mean, np.float64), np.asarray(channel_std, np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(std).all()):
        raise PhenoloomError("Some tiles have no finite channel statistics in the index; rerun the step `convert`")
    pooled = mean.mean(axis=0)
    spread = np.sqrt((std**2 + (mean - pooled) ** 2).mean(axis=0))
    # An empty channel stays zero everywhere instead of becoming NaN.
    spread[spread == 0] = 1.0
    return Normaliser(tuple(pooled.tolist()), tuple(spread.tolist()), size)


@dataclass(frozen=True)
class Placement:
    """The channels of a study in the inputs of a network.

    Attributes:
        sources: Number of the channel of each input; -1 for an input without one.
        fill: What such an input holds: `zero`, the mean of a normalised channel; `mean`, that of the study's channels;
            or, where it begins with `repeat:`, the channel of the input `repeated`.
        repeated: Number of the input that is repeated; -1: none.
    """

    sources: tuple[int, ...]
    fill: str = "zero"
    repeated: int = -1

    def __call__(self, tiles: Tensor) -> Tensor:
        """Return normalised tiles (b, c, y, x) as (b, inputs, y, x)."""
        if self.sources == tuple(range(tiles.shape[1])):
            return tiles
        there = [source for source in self.sources if source >= 0]
        if self.fill == "zero":
            blank = torch.zeros_like(tiles[:, 0])
        elif self.fill == "mean":
            blank = tiles[:, there].mean(1)
        else:
            blank = tiles[:, self.sources[self.repeated]]
        planes = [tiles[:, source] if source >= 0 else blank for source in self.sources]
        return torch.stack(planes, 1).contiguous(memory_format=torch.channels_last)


def network_inputs(settings: Channels, studies: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of the inputs of one network for several studies.

    A network that takes channels one by one has as many as the study with the fewest channels.

    Args:
        settings: How channels reach the network.
        studies: Study -> names of its channels.

    Raises:
        PhenoloomError: The studies have different channels, and the settings name no set of them.
    """
    if settings.mode in {"separate", "replicate"}:
        return [f"channel {number}" for number in range(min(map(len, studies.values())))]
    if settings.mode == "map":
        by_place = {place: name for name, place in settings.map.items()}
        return [by_place.get(place, f"input {place}") for place in range(settings.inputs)]
    if settings.names:
        return list(settings.names)
    first, *others = studies
    for other in others:
        if set(studies[other]) != set(studies[first]):
            raise PhenoloomError(
                f"One network for all channels together needs one set of them, but {first} has "
                f"{', '.join(studies[first])} and {other} has {', '.join(studies[other])}; name the set in "
                "`channels.names`, or choose `channels.mode: separate` or `map`"
            )
    return list(studies[first])


def placement(settings: Channels, inputs: Sequence[str], study: str, names: Sequence[str]) -> Placement | None:
    """Return how the channels of a study reach a network, or None for networks that take channels one by one.

    Args:
        settings: How channels reach the network.
        inputs: Names of the network's inputs.
        study: Name of the study, for messages.
        names: Names of its channels.

    Raises:
        PhenoloomError: A channel has no place and is not in `channels.drop`, or no input has a channel.
    """
    if settings.mode in {"separate", "replicate"}:
        return None
    known = [settings.aliases.get(name, name) for name in names]
    sources = {name: channel for channel, name in enumerate(known) if name not in settings.drop}
    places = [{name for name, place in settings.map.items() if place == i} or {x} for i, x in enumerate(inputs)]
    found = tuple(next((sources[name] for name in sorted(place) if name in sources), -1) for place in places)
    lost = sorted(sources.keys() - set().union(*places))
    if lost or max(found) < 0 or len(set(known)) < len(known):
        raise PhenoloomError(
            f"The network's inputs are {', '.join(inputs)}, the channels of {study} are {', '.join(names)}: without a "
            f"place: {', '.join(lost) or 'none'}, with one: {sum(source >= 0 for source in found)}; name each in "
            "`channels.names`, `channels.aliases` or `channels.map`, or leave it out with `channels.drop`"
        )
    repeated = inputs.index(settings.fill.removeprefix("repeat:")) if settings.fill.startswith("repeat:") else -1
    if repeated >= 0 and found[repeated] < 0 and -1 in found:
        raise PhenoloomError(
            f"`channels.fill` is {settings.fill}, and {study} has no such channel; choose another fill"
        )
    return Placement(found, settings.fill, repeated)


def draw_channels(tiles: Tensor, count: int, rows: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
    """Return some channels (b, count, y, x) of tiles, for networks that take channels one by one.

    Every study then weighs by its items, however many channels it has.

    Args:
        tiles: Tiles (b, c, y, x).
        count: Channels of each tile that the network sees.
        rows: Row of each tile (b,); without a generator the rows take channels in turn.
        generator: Draws the channels in training.
    """
    channels = tiles.shape[1]
    if count == channels:
        return tiles
    if generator is None:
        turn = torch.from_numpy(rows % channels).to(tiles.device)
        wanted = (turn[:, None] + torch.arange(count, device=tiles.device)) % channels
    else:
        draws = torch.rand((len(tiles), channels), generator=generator, device=tiles.device)
        wanted = draws.argsort(1)[:, :count].sort(1).values
    return torch.take_along_dim(tiles, wanted[:, :, None, None], 1)
