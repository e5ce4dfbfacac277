"""Autoencoder of contours whose loss knows neither where a contour starts nor which way it runs."""

from __future__ import annotations

import torch
from torch import Tensor

from ..config.model import ShapeModel
from ..nets.cyclic import CyclicEncoder, PointDecoder, cyclic_form, reverse
from .base import Objective, Outcome

HIDDEN = 8
"""Hidden units of the decoder, in widths: as wide as the encoder's last stage."""


class ShapeAE(Objective):
    """Index-invariant squared error between distance matrices, over all starts and both directions."""

    def __init__(self, model: ShapeModel, points: int) -> None:
        super().__init__()
        self.noise = model.objective.noise
        self.encoder = CyclicEncoder(points, model.width, model.latent)
        self.decoder = PointDecoder(model.latent, points, HIDDEN * model.width)

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Loss of contours (b, n, 2) of scale 1; in training the encoder sees noisy points, the target is clean."""
        seen = inputs
        if self.training and self.noise and generator is not None:
            seen = inputs + self.noise * torch.randn(inputs.shape, generator=generator, device=inputs.device)
        loss = index_invariant_loss(cyclic_form(self.reconstruct(seen)), cyclic_form(inputs)).mean()
        return Outcome(loss, {"reconstruction": loss})

    def embed(self, inputs: Tensor) -> Tensor:
        """Vectors (b, latent)."""
        latents: Tensor = self.encoder(inputs)
        return latents.float()

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Decoded points (b, n, 2), in a pose of their own."""
        points: Tensor = self.decoder(self.encoder(inputs))
        return points.float()


def index_invariant_loss(decoded: Tensor, target: Tensor) -> Tensor:
    """Least mean squared difference (b,) of two distance matrices over the target's n starts and two directions.

    Both in cyclic form (b, n // 2, n). The best start is the highest point of a circular correlation, found by FFT in
    O(n^2 log n) where trying each start takes O(n^3); the difference is then taken at that start, so neither the loss
    nor its gradient suffers from the rounding of the FFT.
    """
    aligned = align(decoded.detach(), target)
    difference = (decoded - aligned).square().mean(-1)
    return (difference * _lag_weights(decoded)).sum(-1)


@torch.no_grad()
def align(decoded: Tensor, target: Tensor) -> Tensor:
    """The target at the start and in the direction that fit `decoded` best; both (b, n // 2, n)."""
    n = decoded.shape[-1]
    candidates = torch.stack([target, reverse(target)])
    spectra = torch.fft.rfft(decoded) * torch.fft.rfft(candidates).conj()
    spectra = (spectra * _lag_weights(decoded)[:, None]).sum(2)
    # (direction, b, shift) -> one best pair of direction and shift a contour.
    correlation = torch.fft.irfft(spectra, n=n).transpose(0, 1)
    best = correlation.flatten(1).argmax(1)
    chosen = torch.where((best < n)[:, None, None], candidates[0], candidates[1])
    source = (torch.arange(n, device=target.device) - (best % n)[:, None]) % n
    return chosen.gather(-1, source[:, None].expand_as(chosen))


def _lag_weights(form: Tensor) -> Tensor:
    """Weight (n // 2,) of each lag, so that sums over half a matrix are means over the whole one.

    Lag k stands for lag n - k too, except k = n / 2, which is its own; lag 0 is the empty diagonal.
    """
    lags, n = form.shape[-2:]
    weights = torch.full((lags,), 2.0 / n, device=form.device)
    if n % 2 == 0:
        weights[-1] = 1.0 / n
    return weights
