"""Vector-quantised autoencoder of tiles (van den Oord, Vinyals and Kavukcuoglu 2017).

Each position of the feature map is projected to `latent` values, cut into `latent / code_dim` tokens that are quantised
with one codebook (product quantisation), and the decoder sees nothing but the codes. The embedding is the mean over
positions of the projection before quantisation: exactly `latent` values, all of which the decoder uses. With
`augment.flip`, which says that orientation means nothing, it is also the mean over the eight flips and right-angle
rotations of the tile, and so exactly invariant to them: a reconstruction must know how a cell lies, a vector for probes
should not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import image_objectives as config
from ..config.model import ImageModel
from ..nets.quantizer import Quantised, Quantizer
from .base import Objective, Outcome
from .encoders import build_decoder, build_encoder, over_orientations


class VQVAE(Objective):
    """Mean squared error on normalised intensities + `commitment` x the tokens' squared distance from their codes."""

    def __init__(self, model: ImageModel, channels: int) -> None:
        super().__init__()
        objective = model.objective
        assert isinstance(objective, config.VQVAE)
        self.any_orientation = model.augment.flip
        self.code_dim, self.commitment = objective.code_dim, objective.commitment
        self.encoder = build_encoder(model, channels)
        self.project = nn.Conv2d(self.encoder.features, model.latent, 1)
        self.quantizer = Quantizer(objective.codes, objective.code_dim, objective.decay, objective.revive_after)
        self.decoder = build_decoder(model, model.latent, channels)

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Loss of normalised tiles (b, c, y, x)."""
        latents = self.project(self.encoder.maps(inputs))
        maps, quantised = self._quantise(latents, generator)
        reconstruction = F.mse_loss(self.decoder(maps).float(), inputs)
        loss = reconstruction + self.commitment * quantised.commitment
        parts = {"reconstruction": reconstruction, "commitment": quantised.commitment}
        return Outcome(loss, parts, quantised.counts, latents.float().mean((2, 3))[None])

    def embed(self, inputs: Tensor) -> Tensor:
        """Vectors (b, latent): the mean over positions, and orientations, of the projection that is quantised."""
        return over_orientations(self._vectors, inputs, self.any_orientation)

    def embed_once(self, inputs: Tensor) -> Tensor:
        """Vectors (b, latent) of tiles as they lie."""
        return self._vectors(inputs)

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Tiles (b, c, y, x) decoded from their codes."""
        maps, _ = self._quantise(self.project(self.encoder.maps(inputs)), None)
        images: Tensor = self.decoder(maps)
        return images.float()

    def _vectors(self, inputs: Tensor) -> Tensor:
        return self.project(self.encoder.maps(inputs)).float().mean((2, 3))  # type: ignore[no-any-return]

    def _quantise(self, latents: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Quantised]:
        b, _, y, x = latents.shape
        # (b, latent, y, x) -> (b, y, x, latent) is free in channels-last memory; tokens are slices of the last axis.
        tokens = latents.permute(0, 2, 3, 1).reshape(-1, self.code_dim)
        quantised = self.quantizer(tokens, generator)
        return quantised.values.view(b, y, x, -1).permute(0, 3, 1, 2), quantised
