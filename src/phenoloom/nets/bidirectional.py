"""What encoders of contours share: no direction of a contour is the right one, unless mirror images are to differ."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .cyclic_form import oriented_with


class BidirectionalEncoder(nn.Module, ABC):
    """Contours (b, n, 2) -> vectors (b, outputs): both directions are seen, and joined so that neither is the first.

    With `reflection` off the contour is run in its positive direction only, and mirror images differ.
    """

    project: nn.Linear

    def __init__(self, reflection: bool) -> None:
        super().__init__()
        self.reflection = reflection

    def forward(self, points: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Vectors; what involves a point of `hidden` (b, n) is zero."""
        if not self.reflection:
            return self.one_direction(points, hidden)
        # Both directions in one batch; what joins them does not know which was which.
        both = torch.cat([points, points.flip(1)])
        hidden = None if hidden is None else torch.cat([hidden, hidden.flip(1)])
        forwards, backwards = self.features(both, hidden).view(2, points.shape[0], -1)
        return self.project(self.join(forwards, backwards))  # type: ignore[no-any-return]

    def one_direction(self, points: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Vectors of the contours in one direction: as given, or the positive one where reflections differ."""
        if not self.reflection:
            points, hidden = oriented_with(points, hidden)
        return self.project(self.features(points, hidden))  # type: ignore[no-any-return]

    @abstractmethod
    def features(self, points: Tensor, hidden: Tensor | None) -> Tensor:
        """What is projected, of contours in the direction that they are given in."""

    @abstractmethod
    def join(self, forwards: Tensor, backwards: Tensor) -> Tensor:
        """A symmetric function of the features of both directions."""
