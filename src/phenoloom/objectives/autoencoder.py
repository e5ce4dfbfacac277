"""Autoencoder, and variational autoencoder (Kingma and Welling 2014; beta-VAE: Higgins et al. 2017), of tiles.

The feature map is pooled and projected to a vector of exactly `latent` values, which is all that the decoder sees. With
`augment.flip`, by which orientation has no meaning, the embedding is the mean over the eight flips and right-angle
rotations of the tile, and so exactly invariant to them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import image_objectives as config
from ..config.model import ImageModel
from ..nets.bottleneck import Spread, Squeeze
from .base import Outcome, TileObjective
from .encoders import build_decoder, build_encoder


class Autoencoder(TileObjective):
    """Mean squared error on normalised intensities."""

    outputs_per_value = 1
    """Outputs of the encoder for each value of the embedding."""

    def __init__(self, model: ImageModel, settings: config.AE | config.VAE, channels: int) -> None:
        super().__init__(model.augment.flip)
        self.encoder = build_encoder(model, channels)
        features, grid = self.encoder.features, model.input_size // self.encoder.reduction
        self.squeeze = Squeeze(features, grid, settings.pool, self.outputs_per_value * model.latent)
        self.spread = Spread(model.latent, features, grid, settings.pool)
        self.decoder = build_decoder(model, features, channels)

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of normalised tiles (b, c, y, x)."""
        vectors = self.vectors(inputs)
        reconstruction = F.mse_loss(self._decode(vectors), inputs)
        return Outcome(reconstruction, vectors[None], {"reconstruction": reconstruction})

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Return tiles (b, c, y, x) decoded from their vectors."""
        return self._decode(self.vectors(inputs))

    def vectors(self, inputs: Tensor) -> Tensor:
        """Return the vectors (b, latent) of tiles as they lie."""
        return self.squeeze(self.encoder.maps(inputs)).float()  # type: ignore[no-any-return]

    def _decode(self, vectors: Tensor) -> Tensor:
        return self.decoder(self.spread(vectors)).float()  # type: ignore[no-any-return]


class VariationalAutoencoder(Autoencoder):
    """Mean squared error + beta x 2 / (values of a tile) x the divergence of the posterior from a standard normal.

    For Gaussian noise of variance 1 on normalised intensities and `beta` 1, this is the negative evidence lower bound
    up to a constant, times 2 / (values of a tile). The embedding is the mean of the posterior.
    """

    outputs_per_value = 2

    def __init__(self, model: ImageModel, settings: config.VAE, channels: int) -> None:
        super().__init__(model, settings, channels)
        self.beta = settings.beta

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of normalised tiles (b, c, y, x); without a generator the posterior's mean is decoded."""
        mean, log_variance = self._posterior(inputs)
        drawn = mean
        if generator is not None:
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            drawn = mean + noise * (log_variance / 2).exp()
        reconstruction = F.mse_loss(self._decode(drawn), inputs)
        divergence = normal_divergence(mean, log_variance).mean()
        loss = reconstruction + self.beta * 2 / inputs[0].numel() * divergence
        return Outcome(loss, mean[None], {"reconstruction": reconstruction, "divergence": divergence})

    def vectors(self, inputs: Tensor) -> Tensor:
        """Return the means (b, latent) of the posteriors of tiles as they lie."""
        return self._posterior(inputs)[0]

    def _posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.squeeze(self.encoder.maps(inputs)).float().chunk(2, 1)
        # Beyond, the exponential of an untrained network could overflow.
        return mean, log_variance.clamp(-30, 20)


def normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence (b,) in nats of normals from the standard normal (VAE paper, eq. 10).

    Args:
        mean: Means (b, d).
        log_variance: Logarithms (b, d) of the variances.
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
