"""Masked autoencoder of contours: arcs are hidden from the encoder, and their distances to all points are guessed."""

from __future__ import annotations

import torch
from torch import Tensor

from ..config import shape_objectives as config
from ..config.model import ShapeModel
from .base import Outcome, fixed_generator
from .shape_autoencoder import ShapeAutoencoder


class ShapeMaskedAutoencoder(ShapeAutoencoder):
    """The error on the entries of the matrix with a hidden point.

    The decoder sees one vector, not tokens, so that it does not know where the contour starts: the best start is found
    on the whole matrix, and the error is taken on what was hidden. The embedding is the vector of the whole contour.
    """

    def __init__(self, model: ShapeModel, settings: config.ShapeMAE, points: int) -> None:
        super().__init__(model, settings, points)
        self.mask_ratio, self.arc = settings.mask_ratio, settings.arc

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of contours (b, n, 2) of scale 1; without a generator the arcs are the same every time."""
        hidden = hidden_arcs(inputs, self.mask_ratio, self.arc, generator or fixed_generator(inputs))
        vectors = self.encoder(self._seen(inputs, generator), hidden).float()
        return self._outcome(self.decoder(vectors), inputs, vectors, hidden)


def hidden_arcs(inputs: Tensor, ratio: float, arc: int, generator: torch.Generator) -> Tensor:
    """Return the mask (b, n) of the points of contours (b, n, 2) to hide.

    At least one arc is hidden and one is seen; the position of the arcs is drawn for each contour.

    Args:
        inputs: Contours.
        ratio: Share of the arcs to hide.
        arc: Points of an arc.
        generator: Source of the draws, on the device of the contours.
    """
    b, n, _ = inputs.shape
    arcs = max(2, round(n / arc))
    chosen = min(max(round(arcs * ratio), 1), arcs - 1)
    ranks = torch.rand(b, arcs, generator=generator, device=inputs.device).argsort(1).argsort(1)
    shift = torch.randint(n, (b, 1), generator=generator, device=inputs.device)
    place = (torch.arange(n, device=inputs.device) + shift) % n
    return (ranks < chosen).gather(1, place * arcs // n)
