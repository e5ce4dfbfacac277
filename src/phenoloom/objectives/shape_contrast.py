"""Contrastive learning of contours (SimCLR, Chen et al. 2020): two random versions of an outline get one vector."""

from __future__ import annotations

import torch
from torch import Tensor

from ..augment.contours import augment_contours, to_unit_scale
from ..config import shape_objectives as config
from ..config.model import ShapeModel
from ..nets.heads import ProjectionHead
from .base import Objective, Outcome, fixed_generator
from .contrast import supervised_contrast
from .encoders import build_shape_encoder


class ShapeSimCLR(Objective):
    """InfoNCE between two augmentations of each contour; the embedding is the vector before the projection.

    In training the two versions run in opposite directions, and each is encoded in its own only: half the work of the
    encoder that sees both, which the embedding uses.
    """

    def __init__(self, model: ShapeModel, settings: config.ShapeContrast, points: int) -> None:
        super().__init__()
        self.augment, self.temperature = model.augment, settings.temperature
        self.encoder = build_shape_encoder(model, points, model.latent)
        self.head = ProjectionHead(model.latent, settings.projection)

    @property
    def makes_views(self) -> bool:
        """Return True: both versions of a contour are made here."""
        return True

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Outcome:
        """Return the loss of contours (b, n, 2) of scale 1; without a generator the versions never change."""
        generator = generator or fixed_generator(inputs)
        views = [augment_contours(inputs, self.augment, generator) for _ in range(2)]
        vectors = self.encoder.one_direction(torch.cat([views[0], views[1].flip(1)])).float()
        b = len(inputs)
        item = torch.arange(b, device=inputs.device).repeat(2)
        view = torch.arange(2, device=inputs.device).repeat_interleave(b)
        loss = supervised_contrast(self.head(vectors), torch.stack([item, view], 1), self.temperature)
        return Outcome(loss, vectors.view(2, b, -1), {"contrast": loss})

    def embed(self, inputs: Tensor, *, orientations: bool = True) -> Tensor:
        """Return vectors (b, latent), which do not depend on orientation."""
        # The scale is measured as that of the versions: around the points' mean, not the area's centre.
        latents: Tensor = self.encoder(to_unit_scale(inputs))
        return latents.float()
