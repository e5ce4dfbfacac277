"""Residual network on the cyclic form of a contour's distance matrix, exactly invariant to start point and direction.

Beside the distances it sees the angles at each point, signed by the side of the inside, which distinguish a bulge from
a hollow.

Starting the contour elsewhere rolls the maps of `cyclic_form` along i, so convolutions that are circular along i and
never stride it, followed by statistics over i, do not see the start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bidirectional import BidirectionalEncoder
from .cyclic_form import angle_form, cyclic_form, pairs_of

STAGES = ((1, 1), (1, 2), (2, 4))
"""Width of each stage, in widths of the first, and dilation of its convolutions."""
EPSILON = 1e-5


class CyclicBlock(nn.Module):
    """Two dilated circular convolutions along i with a shortcut: (b, inputs, 1, n) -> (b, outputs, 1, n).

    As images of one row: in channels-last memory their convolutions are faster than those of sequences.
    """

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv1 = nn.Conv2d(inputs, outputs, (1, 3), dilation=(1, dilation), bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, (1, 3), dilation=(1, dilation), bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (b, outputs, 1, n)."""
        y = F.relu(self.norm1(self.conv1(self._wrap(x))), inplace=True)
        y = self.norm2(self.conv2(self._wrap(y)))
        return F.relu(y + self.shortcut(x), inplace=True)

    def _wrap(self, x: Tensor) -> Tensor:
        # Half as long, with its gradient, as circular padding.
        return torch.cat([x[..., -self.dilation :], x, x[..., : self.dilation]], -1)


class CyclicResNet(BidirectionalEncoder):
    """Contours (b, n, 2) -> vectors (b, outputs), exactly invariant to start, direction, rotation and reflection."""

    def __init__(self, points: int, width: int, outputs: int, reflection: bool = True) -> None:
        super().__init__(reflection)
        widths = [width * factor for factor, _ in STAGES]
        lags = points // 2 + 2 * ((points - 1) // 2)
        # Distances of short and of long lags differ in size by orders of magnitude.
        self.stem = nn.Sequential(
            nn.BatchNorm2d(lags), nn.Conv2d(lags, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(
            *(
                CyclicBlock(inputs, outputs, dilation)
                for inputs, outputs, (_, dilation) in zip([width, *widths[:-1]], widths, STAGES, strict=True)
            )
        )
        self.project = nn.Linear(2 * widths[-1], outputs)

    def join(self, forwards: Tensor, backwards: Tensor) -> Tensor:
        """Return their mean."""
        return (forwards + backwards) / 2

    def features(self, points: Tensor, hidden: Tensor | None) -> Tensor:
        """Return mean and standard deviation over i of the last maps (b, 2 features)."""
        forms = torch.cat([cyclic_form(points), angle_form(points)], 1)
        if hidden is not None:
            forms = forms.masked_fill(_unseen(hidden), 0)
        maps = self.blocks(self.stem(forms[:, :, None].contiguous(memory_format=torch.channels_last)))
        # (b, n, features) in the memory's own order, for which gradients are not copied.
        maps = maps.permute(0, 2, 3, 1)[:, 0]
        mean = maps.mean(1)
        variance = (maps - mean[:, None]).square().mean(1)
        return torch.cat([mean, (variance + EPSILON).sqrt()], 1)


def _unseen(hidden: Tensor) -> Tensor:
    """Return the mask of the entries of distances and angles that involve one of the `hidden` points (b, n)."""
    n = hidden.shape[1]
    lags = (n - 1) // 2
    pairs = pairs_of(hidden, n // 2)
    # The angle of the points i - k, i and i + k.
    behind = (torch.arange(n, device=hidden.device) - torch.arange(1, lags + 1, device=hidden.device)[:, None]) % n
    angles = pairs[:, :lags] | hidden[:, behind]
    return torch.cat([pairs, angles, angles], 1)
