"""Vector-quantised autoencoder of contours: the vector is cut into tokens, each replaced by a code of one codebook."""

from __future__ import annotations

import torch
from torch import Tensor

from ..config import shape_objectives as config
from ..config.model import ShapeModel
from ..nets.quantizer import Quantised, Quantizer
from .base import Outcome
from .shape_autoencoder import ShapeAE


class ShapeVQVAE(ShapeAE):
    """The error + `commitment` x the tokens' squared distance from their codes (product quantisation).

    The embedding is the vector before quantisation.
    """

    def __init__(self, model: ShapeModel, points: int) -> None:
        super().__init__(model, points)
        objective = model.objective
        assert isinstance(objective, config.ShapeVQVAE)
        self.code_dim, self.commitment = objective.code_dim, objective.commitment
        self.quantizer = Quantizer(objective.codes, objective.code_dim, objective.decay, objective.revive_after)

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Loss of contours (b, n, 2) of scale 1."""
        vectors = self.encoder(self._seen(inputs, generator)).float()
        codes, quantised = self._quantise(vectors, generator)
        outcome = self._outcome(self.decoder(codes), inputs, vectors)
        loss = outcome.loss + self.commitment * quantised.commitment
        parts = {**outcome.parts, "commitment": quantised.commitment}
        return Outcome(loss, parts, quantised.counts, outcome.features)

    def decode(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Outlines (b, n, 2) of the codes nearest to vectors, and the share (b,) of distances that no outline has."""
        return super().decode(self._quantise(vectors, None)[0])

    def _quantise(self, vectors: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Quantised]:
        quantised = self.quantizer(vectors.reshape(-1, self.code_dim), generator)
        return quantised.values.view_as(vectors), quantised
