"""Vector-quantised autoencoder of tiles (van den Oord, Vinyals and Kavukcuoglu 2017).

Each position of the feature map is projected to `latent` values, cut into `latent / code_dim` tokens that are quantised
with one codebook (product quantisation), and the decoder sees nothing but the codes. The embedding is the mean over
positions of the projection before quantisation: exactly `latent` values, all of which the decoder uses. With
`augment.flip`, by which orientation has no meaning, it is also the mean over the eight flips and right-angle
rotations of the tile, and so exactly invariant to them: a reconstruction must know how a cell lies, a vector for probes
should not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import image_objectives as config
from ..config.model import ImageModel
from ..nets.quantizer import Quantizer, QuantizerOutput
from .base import Outcome, TileObjective
from .encoders import build_decoder, build_encoder


class QuantisedAutoencoder(TileObjective):
    """Mean squared error on normalised intensities + `commitment` x the tokens' squared distance from their codes."""

    def __init__(self, model: ImageModel, settings: config.VQVAE, channels: int) -> None:
        super().__init__(model.augment.flip)
        self.code_dim, self.commitment = settings.code_dim, settings.commitment
        self.encoder = build_encoder(model, channels)
        self.project = nn.Conv2d(self.encoder.features, model.latent, 1)
        self.quantizer = Quantizer(settings.codes, settings.code_dim, settings.decay, settings.revive_after)
        self.decoder = build_decoder(model, model.latent, channels)

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of normalised tiles (b, c, y, x)."""
        latents = self.project(self.encoder.maps(inputs))
        maps, quantised = self._quantise(latents, generator)
        reconstruction = F.mse_loss(self.decoder(maps).float(), inputs)
        loss = reconstruction + self.commitment * quantised.commitment
        parts = {"reconstruction": reconstruction, "commitment": quantised.commitment}
        return Outcome(loss, latents.float().mean((2, 3))[None], parts, quantised.counts)

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Return tiles (b, c, y, x) decoded from their codes."""
        maps, _ = self._quantise(self.project(self.encoder.maps(inputs)), None)
        images: Tensor = self.decoder(maps)
        return images.float()

    def vectors(self, inputs: Tensor) -> Tensor:
        """Return the means (b, latent) over positions of the projection that is quantised, of tiles as they lie."""
        return self.project(self.encoder.maps(inputs)).float().mean((2, 3))  # type: ignore[no-any-return]

    def _quantise(self, latents: Tensor, generator: torch.Generator | None) -> tuple[Tensor, QuantizerOutput]:
        b, _, y, x = latents.shape
        # (b, latent, y, x) -> (b, y, x, latent) is free in channels-last memory; tokens are slices of the last axis.
        tokens = latents.permute(0, 2, 3, 1).reshape(-1, self.code_dim)
        quantised = self.quantizer(tokens, generator)
        return quantised.values.view(b, y, x, -1).permute(0, 3, 1, 2), quantised
