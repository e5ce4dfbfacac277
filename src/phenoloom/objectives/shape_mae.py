"""Masked autoencoder of contours: arcs are hidden from the encoder, and their distances to all points are guessed."""

from __future__ import annotations

import torch
from torch import Tensor

from ..config import shape_objectives as config
from ..config.model import ShapeModel
from .base import Outcome, fixed_generator
from .shape_autoencoder import ShapeAE


class ShapeMAE(ShapeAE):
    """The error on the entries of the matrix with a hidden point.

    The decoder sees one vector, not tokens, so that it does not know where the contour starts: the best start is found
    on the whole matrix, and the error is taken on what was hidden. The embedding is the vector of the whole contour.
    """

    def __init__(self, model: ShapeModel, points: int) -> None:
        super().__init__(model, points)
        assert isinstance(model.objective, config.ShapeMAE)
        self.mask_ratio, self.arc = model.objective.mask_ratio, model.objective.arc

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Loss of contours (b, n, 2) of scale 1; without a generator the arcs are the same every time."""
        hidden = hidden_arcs(inputs, self.mask_ratio, self.arc, generator or fixed_generator(inputs))
        vectors = self.encoder(self._seen(inputs, generator), hidden).float()
        return self._outcome(self.decoder(vectors), inputs, vectors, hidden)


def hidden_arcs(inputs: Tensor, ratio: float, arc: int, generator: torch.Generator) -> Tensor:
    """Which points (b, n) of contours (b, n, 2) are hidden: the share `ratio` of arcs of `arc` points.

    At least one arc is hidden and one is seen; where the arcs lie is drawn for each contour.
    """
    b, n, _ = inputs.shape
    arcs = max(2, round(n / arc))
    chosen = min(max(round(arcs * ratio), 1), arcs - 1)
    ranks = torch.rand(b, arcs, generator=generator, device=inputs.device).argsort(1).argsort(1)
    shift = torch.randint(n, (b, 1), generator=generator, device=inputs.device)
    place = (torch.arange(n, device=inputs.device) + shift) % n
    return (ranks < chosen).gather(1, place * arcs // n)
