"""Autoencoder, and variational autoencoder, of contours: their loss knows neither start nor direction nor pose."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import shape_objectives as config
from ..config.model import ShapeModel
from ..nets.contour_decoders import MatrixDecoder, PointDecoder
from ..nets.cyclic_form import cyclic_form, full_form, pairs_of
from ..nets.distance_matrix import planar_points
from .autoencoder import normal_divergence
from .base import Objective, Outcome
from .encoders import build_shape_encoder
from .matrix_penalties import PENALTIES
from .start_invariant_loss import start_invariant_loss

HIDDEN = 8
"""Hidden units of the decoder, in widths: as wide as the encoder's last stage."""


class ShapeAutoencoder(Objective):
    """Error between distance matrices, least over all starts and, where mirror images are alike, both directions."""

    outputs_per_value = 1
    """Outputs of the encoder for each value of the embedding."""

    def __init__(self, model: ShapeModel, settings: config.Reconstruction, points: int) -> None:
        super().__init__()
        self.noise, self.error, self.both_ways = settings.noise, settings.error, model.reflection
        self.encoder = build_shape_encoder(model, points, self.outputs_per_value * model.latent)
        self.weights = settings.penalties.model_dump() if settings.decoder == "matrix" else {}
        self.decoder: nn.Module = (
            MatrixDecoder(model.latent, points, model.width)
            if settings.decoder == "matrix"
            else PointDecoder(model.latent, points, HIDDEN * model.width)
        )

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of contours (b, n, 2) of scale 1; in training the encoder alone sees noisy points."""
        vectors = self.encoder(self._seen(inputs, generator)).float()
        return self._outcome(self.decoder(vectors), inputs, vectors)

    def embed(self, inputs: Tensor, *, orientations: bool = True) -> Tensor:
        """Return vectors (b, latent), which do not depend on orientation."""
        latents: Tensor = self.encoder(inputs)
        return latents.float()

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Return decoded points (b, n, 2), in a pose of their own.

        From a decoded matrix: the points with the nearest distances.
        """
        return self.decode(self.embed(inputs))[0]

    def decode(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return outlines (b, n, 2) of vectors (b, latent), and the share (b,) of distances that no outline has."""
        decoded = self.decoder(vectors).float()
        return planar_points(decoded) if self.weights else (decoded, decoded.new_zeros(len(decoded)))

    def _seen(self, inputs: Tensor, generator: torch.Generator | None) -> Tensor:
        if not (self.training and self.noise and generator is not None):
            return inputs
        return inputs + self.noise * torch.randn(inputs.shape, generator=generator, device=inputs.device)

    def _outcome(self, decoded: Tensor, inputs: Tensor, vectors: Tensor, hidden: Tensor | None = None) -> Outcome:
        """Reconstruction and penalties of decoded points or matrices; with `hidden` (b, n) of hidden points alone."""
        target = cyclic_form(inputs)
        if not self.weights:
            form = cyclic_form(decoded.float())
        else:
            form, target = full_form(decoded.float()), _full_of(target)
        counted = None if hidden is None else pairs_of(hidden, form.shape[1])
        loss = start_invariant_loss(form, target, error=self.error, both_ways=self.both_ways, counted=counted).mean()
        parts = {"reconstruction": loss}
        for name, weight in self.weights.items():
            # The triangle inequality takes long, so that without a weight it is looked at in evaluation alone.
            if weight or not self.training:
                parts[name] = PENALTIES[name](decoded.float()).mean()
                loss = loss + weight * parts[name]
        return Outcome(loss, vectors[None], parts)


class ShapeVariationalAutoencoder(ShapeAutoencoder):
    """The error + beta x 2 / n^2 x the divergence of the posterior from a standard normal.

    For Gaussian noise of variance 1 on the n^2 distances and `beta` 1, this is the negative evidence lower bound up to
    a constant, times 2 / n^2. The embedding is the mean of the posterior.
    """

    outputs_per_value = 2

    def __init__(self, model: ShapeModel, settings: config.ShapeVAE, points: int) -> None:
        super().__init__(model, settings, points)
        self.beta = settings.beta

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of contours (b, n, 2) of scale 1; without a generator the posterior's mean is decoded."""
        mean, log_variance = self._posterior(self._seen(inputs, generator))
        drawn = mean
        if generator is not None:
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            drawn = mean + noise * (log_variance / 2).exp()
        outcome = self._outcome(self.decoder(drawn), inputs, mean)
        divergence = normal_divergence(mean, log_variance).mean()
        loss = outcome.loss + self.beta * 2 / inputs.shape[1] ** 2 * divergence
        return Outcome(loss, outcome.features, {**outcome.parts, "divergence": divergence})

    def embed(self, inputs: Tensor, *, orientations: bool = True) -> Tensor:
        """Return the means (b, latent) of the posteriors, which do not depend on orientation."""
        return self._posterior(inputs)[0]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return vectors (count, latent) drawn from the prior, a standard normal."""
        latent = self.encoder.project.out_features // self.outputs_per_value
        return torch.randn(count, latent, generator=generator, device=generator.device)

    def _posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.encoder(inputs).float().chunk(2, 1)
        # Beyond, the exponential of an untrained network could overflow.
        return mean, log_variance.clamp(-30, 20)


def _full_of(form: Tensor) -> Tensor:
    """The full form (b, n, n) of a distance matrix in cyclic form (b, n // 2, n): E[n - k, i] = E[k, i - k]."""
    n = form.shape[-1]
    lags = torch.arange(1, (n + 1) // 2, device=form.device)
    source = (torch.arange(n, device=form.device) - lags[:, None]) % n
    mirrored = form[:, : len(lags)].gather(-1, source.expand(len(form), -1, -1)).flip(1)
    return torch.cat([torch.zeros_like(form[:, :1]), form, mirrored], 1)
