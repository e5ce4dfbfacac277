"""Vector-quantised autoencoder of contours: the vector is cut into tokens, each replaced by a code of one codebook."""

from __future__ import annotations

import torch
from torch import Tensor

from ..config import shape_objectives as config
from ..config.model import ShapeModel
from ..nets.quantizer import Quantizer, QuantizerOutput
from .base import Outcome
from .shape_autoencoder import ShapeAutoencoder


class ShapeQuantisedAutoencoder(ShapeAutoencoder):
    """The error + `commitment` x the tokens' squared distance from their codes (product quantisation).

    The embedding is the vector before quantisation.
    """

    def __init__(self, model: ShapeModel, settings: config.ShapeVQVAE, points: int) -> None:
        super().__init__(model, settings, points)
        self.code_dim, self.commitment = settings.code_dim, settings.commitment
        self.quantizer = Quantizer(settings.codes, settings.code_dim, settings.decay, settings.revive_after)

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of contours (b, n, 2) of scale 1."""
        vectors = self.encoder(self._seen(inputs, generator)).float()
        codes, quantised = self._quantise(vectors, generator)
        outcome = self._outcome(self.decoder(codes), inputs, vectors)
        loss = outcome.loss + self.commitment * quantised.commitment
        parts = {**outcome.parts, "commitment": quantised.commitment}
        return Outcome(loss, outcome.features, parts, quantised.counts)

    def decode(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return outlines (b, n, 2) of the nearest codes, and the share (b,) of distances that no outline has."""
        return super().decode(self._quantise(vectors, None)[0])

    def _quantise(self, vectors: Tensor, generator: torch.Generator | None) -> tuple[Tensor, QuantizerOutput]:
        quantised = self.quantizer(vectors.reshape(-1, self.code_dim), generator)
        return quantised.values.view_as(vectors), quantised
