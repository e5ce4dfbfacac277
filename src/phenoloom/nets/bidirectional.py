"""The base of encoders of contours, which do not depend on the direction of the contour."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .cyclic_form import oriented_with


class BidirectionalEncoder(nn.Module, ABC):
    """Contours (b, n, 2) -> vectors (b, outputs): both directions are encoded and joined symmetrically.

    Without `reflection` the contour is encoded in its positive direction only, and mirror images differ.
    """

    project: nn.Linear

    def __init__(self, reflection: bool) -> None:
        super().__init__()
        self.reflection = reflection

    def forward(self, points: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return vectors (b, outputs); entries that involve a point of the mask `hidden` (b, n) are zero."""
        if not self.reflection:
            return self.one_direction(points, hidden)
        # Both directions in one batch, joined by a symmetric function.
        both = torch.cat([points, points.flip(1)])
        hidden = None if hidden is None else torch.cat([hidden, hidden.flip(1)])
        forwards, backwards = self.features(both, hidden).view(2, points.shape[0], -1)
        return self.project(self.join(forwards, backwards))  # type: ignore[no-any-return]

    def one_direction(self, points: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return vectors of the contours in one direction: as given, or the positive one where mirror images differ."""
        if not self.reflection:
            points, hidden = oriented_with(points, hidden)
        return self.project(self.features(points, hidden))  # type: ignore[no-any-return]

    @abstractmethod
    def features(self, points: Tensor, hidden: Tensor | None) -> Tensor:
        """Return the features (b, features) of contours in their given direction, before the projection."""

    @abstractmethod
    def join(self, forwards: Tensor, backwards: Tensor) -> Tensor:
        """Return a symmetric function of the features of both directions."""
