"""From a vector to a contour, which has valid distances by construction, or to a matrix that need not be valid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEP = 2


class PointDecoder(nn.Module):
    """Latents (b, latent) -> centred points (b, n, 2), which have a valid distance matrix by construction."""

    def __init__(self, latent: int, points: int, hidden: int) -> None:
        super().__init__()
        self.points = points
        self.layers = nn.Sequential(
            nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 2 * points)
        )
        # Around a circle of scale 1, so that the first matrices are those of a plausible contour.
        angle = torch.arange(points) * (2 * torch.pi / points)
        self.register_buffer("circle", torch.stack([angle.cos(), angle.sin()], -1), persistent=False)

    circle: Tensor

    def forward(self, latents: Tensor) -> Tensor:
        """Return points (b, n, 2) around their mean."""
        points: Tensor = self.circle + self.layers(latents).view(-1, self.points, 2)
        return points - points.mean(1, keepdim=True)


class MatrixDecoder(nn.Module):
    """Latents (b, latent) -> any matrices (b, n, n), as in ShapeEmbed: one layer, then transposed convolutions.

    The smallest map is 4 x 4 or the odd part of n, doubled until it has n rows; batch normalisation and ReLU between.
    """

    def __init__(self, latent: int, points: int, width: int) -> None:
        super().__init__()
        self.side, doublings = points, 0
        while self.side % STEP == 0 and self.side > 4:
            self.side, doublings = self.side // STEP, doublings + 1
        widths = [width * 2 ** min(step, 3) for step in reversed(range(doublings))]
        self.inputs = widths[0] if widths else width
        self.spread = nn.Linear(latent, self.inputs * self.side**2)
        layers: list[nn.Module] = []
        for inputs, outputs in zip([self.inputs, *widths], widths, strict=False):
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, STEP, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1] if widths else width, 1, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        """Return matrices (b, n, n), which need be neither symmetric nor positive."""
        maps = self.spread(latents).view(-1, self.inputs, self.side, self.side)
        return self.layers(maps)[:, 0]  # type: ignore[no-any-return]
