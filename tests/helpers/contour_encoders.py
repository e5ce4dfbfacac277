"""Small encoders of contours, and how far their vectors move when a contour changes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from phenoloom.nets.cyclic_resnet import CyclicResNet
from phenoloom.nets.matrix_resnet import MatrixResNet

TURN = torch.tensor([[np.cos(1.0), -np.sin(1.0)], [np.sin(1.0), np.cos(1.0)]], dtype=torch.float32)


MIRROR = torch.tensor([-1.0, 1.0])


def contours(count: int = 5, points: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth outlines without any symmetry."""
    g = torch.Generator().manual_seed(seed)
    angle = torch.arange(points) * 2 * torch.pi / points
    order = torch.arange(1, 6)[:, None]
    size = torch.randn(count, 5, 1, generator=g) / (order + 2)
    phase = 6 * torch.rand(count, 5, 1, generator=g)
    radius = 1 + 0.5 * (size * (order * angle + phase).cos()).sum(1)
    return radius[..., None] * torch.stack([1.3 * angle.cos(), angle.sin()], -1)


def warmed(net: nn.Module, points: int) -> nn.Module:
    """With running statistics that are not those of the start."""
    net(contours(64, points, seed=9))
    return net.eval()


def cyclic(points: int, reflection: bool = True) -> nn.Module:
    torch.manual_seed(0)
    return warmed(CyclicResNet(points, 8, 12, reflection), points)


def resnet(points: int, reflection: bool = True, depth: int = 18) -> nn.Module:
    torch.manual_seed(0)
    return warmed(MatrixResNet(12, 8, depth, reflection), points)


def moved(net: nn.Module, contour: torch.Tensor, copy: torch.Tensor) -> float:
    """Largest change of a vector, as a share of the mean distance between vectors of different outlines."""
    with torch.no_grad():
        vectors, other = net(contour), net(copy)
    return float((other - vectors).norm(dim=1).max() / torch.pdist(vectors).mean())
