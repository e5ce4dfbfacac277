"""Networks on the cyclic form of a contour's distance matrix, exactly invariant to start point and direction.

With D the distance matrix of N points, the cyclic form is E[i, k] = D[i, (i + k) mod N]. Starting the contour s points
later rolls E along i by s, so convolutions that are circular along i and never stride it, followed by a mean over i, do
not see the start. Because D is symmetric, k = 1 .. N/2 hold everything.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DILATIONS = (1, 2, 4, 8)
"""One stage each; the width doubles from stage to stage."""


def cyclic_form(points: Tensor) -> Tensor:
    """Contours (b, n, 2) -> distances (b, n // 2, n): entry [k - 1, i] is that of the points i and i + k."""
    x, y = points.unbind(-1)
    # The small constant keeps the gradient finite where two points meet; it moves a distance of 1 by 5e-13.
    return _squared_steps(x).add_(_squared_steps(y)).add_(1e-12).sqrt_()


def _squared_steps(x: Tensor) -> Tensor:
    """Squared differences (b, n // 2, n) of one coordinate (b, n): entry [k - 1, i] is (x[i + k] - x[i])^2."""
    n = x.shape[1]
    # Each row of the points ahead is a window of the contour run through one and a half times: no table of indices.
    ahead = torch.cat([x, x[:, : n // 2]], dim=1).unfold(1, n, 1)[:, 1:]
    return (ahead - x[:, None]).square()


def reverse(form: Tensor) -> Tensor:
    """The cyclic form (b, n // 2, n) of the same contours run backwards: E'[i, k] = E[-i - k, k]."""
    n = form.shape[-1]
    lag = torch.arange(1, form.shape[1] + 1, device=form.device)[:, None]
    source = (-torch.arange(n, device=form.device) - lag) % n
    return form.gather(-1, source.expand(len(form), -1, -1))


class CyclicBlock(nn.Module):
    """Two dilated circular convolutions along i with a shortcut: (b, inputs, n) -> (b, outputs, n)."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv1 = nn.Conv1d(inputs, outputs, 3, dilation=dilation, bias=False)
        self.norm1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, dilation=dilation, bias=False)
        self.norm2 = nn.BatchNorm1d(outputs)
        self.shortcut = nn.Conv1d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Residual block."""
        y = F.relu(self.norm1(self.conv1(self._wrap(x))))
        y = self.norm2(self.conv2(self._wrap(y)))
        return F.relu(y + self.shortcut(x))

    def _wrap(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.dilation, self.dilation), mode="circular")


class CyclicEncoder(nn.Module):
    """Contours (b, n, 2) -> latents (b, latent), the same for every start point, direction, rotation and reflection."""

    def __init__(self, points: int, width: int, latent: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(len(DILATIONS))]
        self.stem = nn.Sequential(nn.Conv1d(points // 2, width, 1, bias=False), nn.BatchNorm1d(width), nn.ReLU())
        self.blocks = nn.Sequential(
            *(
                CyclicBlock(inputs, outputs, dilation)
                for inputs, outputs, dilation in zip([width, *widths[:-1]], widths, DILATIONS, strict=True)
            )
        )
        self.project = nn.Linear(widths[-1], latent)

    def forward(self, points: Tensor) -> Tensor:
        """Latent vectors."""
        form = cyclic_form(points)
        # Both directions in one batch; their mean does not know which was which.
        features = self.blocks(self.stem(torch.cat([form, reverse(form)]))).mean(-1)
        forwards, backwards = features.chunk(2)
        latents: Tensor = self.project((forwards + backwards) / 2)
        return latents


class PointDecoder(nn.Module):
    """Latents (b, latent) -> centred points (b, n, 2), whose distances are a valid matrix by construction."""

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
        """Points of the decoded contour."""
        points: Tensor = self.circle + self.layers(latents).view(-1, self.points, 2)
        return points - points.mean(1, keepdim=True)
