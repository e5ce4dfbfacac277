"""Each channel alone through one shared network: the bag of channels (Bourriez et al. 2024), and replication.

Channels are computed a few at once. In training each such chunk keeps its inputs only and is computed again in the
backward pass, so that memory does not grow with the number of channels. The second pass draws the same random numbers
and sees the same buffers (statistics, codebooks, centres) as the first, and leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..config.model import ImageModel
from .base import Objective, Outcome, Wrapper


class Channelwise(Wrapper):
    """`base`, a network of `inputs` channels, on each channel repeated `inputs` times; the loss is the channels' mean.

    The embedding is the concatenation of the channels' vectors, in their order, or the mean.
    """

    def __init__(self, base: Objective, model: ImageModel, inputs: int) -> None:
        super().__init__(base)
        self.inputs, self.settings = inputs, model.channels
        # A term between channels needs their features one by one.
        self.apart = model.contrast is not None and model.contrast.pairs == "channels"

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of normalised tiles (b, c, y, x)."""
        b, channels = inputs.shape[:2]
        chunks = torch.split(inputs, self.settings.at_once, 1)
        if len(chunks) == 1:
            outcomes = [self.base(self._folded(inputs), generator)]
        else:
            seeds = _seeds(generator, len(chunks))
            outcomes = [self._again_in_backward(chunk, seed) for chunk, seed in zip(chunks, seeds, strict=True)]
        shares = [chunk.shape[1] / channels for chunk in chunks]

        def mean(value: Callable[[Outcome], Tensor]) -> Tensor:
            return torch.stack([s * value(o) for s, o in zip(shares, outcomes, strict=True)]).sum(0)

        parts = {name: mean(lambda outcome, name=name: outcome.parts[name]) for name in outcomes[0].parts}  # type: ignore[misc]
        codes = [outcome.codes for outcome in outcomes if outcome.codes is not None]
        return Outcome(
            mean(lambda outcome: outcome.loss),
            self._combined(torch.cat([_views_by_channel(outcome.features, b) for outcome in outcomes], 1)),
            parts,
            torch.stack(codes).sum(0) if codes else None,
        )

    def embed(self, inputs: Tensor, *, orientations: bool = True) -> Tensor:
        """Return vectors (b, c * latent), or (b, latent) for their mean."""
        chunks = torch.split(inputs, self.settings.at_once, 1)
        # Not `len`, which is a fixed number to whoever exports the network.
        items = inputs.shape[0]
        vectors = torch.cat(
            [_by_channel(self.base.embed(self._folded(chunk), orientations=orientations), items) for chunk in chunks]
        )
        return vectors.mean(0) if self.settings.combine == "mean" else vectors.transpose(0, 1).flatten(1)

    def reconstruct(self, inputs: Tensor) -> Tensor | None:
        """Return tiles (b, c, y, x) whose channels were decoded one by one."""
        decoded = []
        for chunk in torch.split(inputs, self.settings.at_once, 1):
            folded = self.base.reconstruct(self._folded(chunk))
            if folded is None:
                return None
            decoded.append(_by_channel(folded.mean(1), len(inputs)))
        return torch.cat(decoded).transpose(0, 1)

    def _folded(self, chunk: Tensor) -> Tensor:
        """Channels (b, k, y, x) as images (k * b, inputs, y, x), all tiles of the first channel first."""
        return chunk.transpose(0, 1).flatten(0, 1)[:, None].expand(-1, self.inputs, -1, -1)

    def _again_in_backward(self, chunk: Tensor, seed: int | None) -> Outcome:
        def run(images: Tensor) -> Outcome:
            generator = None if seed is None else torch.Generator(images.device).manual_seed(seed)
            return self.base(self._folded(images), generator)  # type: ignore[no-any-return]

        if not torch.is_grad_enabled():
            return run(chunk)
        before = [buffer.clone() for buffer in self.base.buffers()]

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _buffers_as(self.base, before)

        outcome: Outcome = checkpoint(run, chunk, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
        return outcome

    def _combined(self, features: Tensor) -> Tensor:
        """Features (views, c, b, values) of items: (views, b, values), or with all channels in the place of views."""
        if self.apart:
            return features.flatten(0, 1)
        return features.mean(1) if self.settings.combine == "mean" else features.transpose(1, 2).flatten(2)


@contextmanager
def _buffers_as(net: nn.Module, values: list[Tensor]) -> Iterator[None]:
    """Give a network other buffers for a while."""
    buffers = list(net.buffers())
    current = [buffer.clone() for buffer in buffers]
    _copy(buffers, values)
    try:
        yield
    finally:
        _copy(buffers, current)


@torch.no_grad()
def _copy(buffers: list[Tensor], values: list[Tensor]) -> None:
    for buffer, value in zip(buffers, values, strict=True):
        buffer.copy_(value)


def _by_channel(folded: Tensor, items: int) -> Tensor:
    """Values (k * b, ...) of folded channels -> (k, b, ...)."""
    return folded.reshape(-1, items, *folded.shape[1:])


def _views_by_channel(features: Tensor, items: int) -> Tensor:
    """Features (views, k * b, values) -> (views, k, b, values)."""
    return features.reshape(len(features), -1, items, features.shape[-1])


def _seeds(generator: torch.Generator | None, count: int) -> list[int | None]:
    if generator is None:
        return [None] * count
    drawn: list[int | None] = torch.randint(2**31, (count,), generator=generator, device=generator.device).tolist()
    return drawn
