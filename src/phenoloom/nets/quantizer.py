"""Vector quantisation with a codebook that follows moving averages (van den Oord et al. 2017, Razavi et al. 2019)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .collective import broadcast_from_first, offset_of, sum_in_place

LEAST_SIZE = 1e-5
"""Tokens a step, in the moving average, under which a code does not move."""


class QuantizerOutput(NamedTuple):
    """Quantised tokens.

    Attributes:
        values: Codes in the shape of the tokens (n, dim), through which gradients pass straight.
        commitment: Mean squared distance of the tokens from their codes.
        counts: How often each code was chosen (codes,).
    """

    values: Tensor
    commitment: Tensor
    counts: Tensor


class Quantizer(nn.Module):
    """A codebook of `codes` vectors, the nearest of which replaces each token (n, dim).

    Where several processes train together, the codebook follows the tokens of all of them and stays the same in each.

    The codebook is no parameter: in training it moves to the average of the tokens that chose it (decay `decay`). Its
    first values are tokens of the first batch, and a code that no token has chosen for `revive_after` steps is moved to
    a random token (Dhariwal et al. 2020), so the codebook does not collapse onto a few codes.
    """

    codebook: Tensor
    sizes: Tensor
    sums: Tensor
    idle: Tensor

    def __init__(self, codes: int, dim: int, decay: float, revive_after: int) -> None:
        super().__init__()
        self.decay, self.revive_after = decay, revive_after
        self.register_buffer("codebook", torch.randn(codes, dim))
        self.register_buffer("sizes", torch.ones(codes))
        self.register_buffer("sums", self.codebook.clone())
        # Idle for ever at the start: the first batch places every code.
        self.register_buffer("idle", torch.full((codes,), revive_after, dtype=torch.int64))

    def forward(self, tokens: Tensor, generator: torch.Generator | None = None) -> QuantizerOutput:
        """Quantise tokens (n, dim); in training also move the codebook, for which a generator is needed."""
        # Distances and averages lose codes in half precision.
        with torch.autocast(tokens.device.type, enabled=False):
            tokens = tokens.float()
            detached = tokens.detach()
            if self.training and generator is not None:
                self._revive(detached, generator)
            chosen = self.nearest(detached)
            values = F.embedding(chosen, self.codebook)
            hits = F.one_hot(chosen, len(self.codebook)).to(tokens.dtype)
            counts = hits.sum(0)
            if self.training:
                self._follow(detached, hits, counts)
            commitment = F.mse_loss(tokens, values)
            return QuantizerOutput(tokens + (values - detached), commitment, counts)

    def nearest(self, tokens: Tensor) -> Tensor:
        """Return the index (n,) of the nearest code of each token."""
        # |t - c|^2 without |t|^2, which is the same for all codes.
        return (self.codebook.square().sum(1) - 2 * tokens @ self.codebook.T).argmin(1)

    @torch.no_grad()
    def _follow(self, tokens: Tensor, hits: Tensor, counts: Tensor) -> None:
        counts = sum_in_place(counts.clone())
        self.sizes.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sum_in_place(hits.T @ tokens), 1 - self.decay)
        # A code that was idle for so long that nothing is left to average stays where it was.
        means = self.sums / self.sizes.clamp(min=LEAST_SIZE)[:, None]
        self.codebook.copy_(torch.where((self.sizes > LEAST_SIZE)[:, None], means, self.codebook))
        self.idle.add_(1).masked_fill_(counts > 0, 0)

    @torch.no_grad()
    def _revive(self, tokens: Tensor, generator: torch.Generator) -> None:
        dead = self.idle >= self.revive_after
        before, everyone = offset_of(len(tokens))
        draws = torch.randint(everyone, (len(dead),), generator=generator, device=tokens.device)
        draws = broadcast_from_first(draws) - before
        own = (draws >= 0) & (draws < len(tokens))
        fresh = sum_in_place(torch.where(own[:, None], tokens[draws.clamp(0, len(tokens) - 1)], 0.0))
        self.codebook.copy_(torch.where(dead[:, None], fresh, self.codebook))
        self.sums.copy_(torch.where(dead[:, None], fresh, self.sums))
        self.sizes.masked_fill_(dead, 1.0)
        self.idle.masked_fill_(dead, 0)


def perplexity(counts: Tensor) -> float:
    """Return exp(entropy) of the use of the codes, counts (codes,): between 1 (one code) and their number."""
    share = counts.double() / counts.double().sum()
    return float(torch.exp(-torch.special.xlogy(share, share).sum()))
