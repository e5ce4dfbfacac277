from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
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


@pytest.mark.parametrize("points", [16, 15, 64])
@pytest.mark.parametrize("reflection", [True, False])
def test_the_cyclic_encoder_knows_neither_start_nor_direction_nor_pose(points: int, reflection: bool) -> None:
    net, contour = cyclic(points, reflection), contours(points=points)
    copies = [contour.roll(s, 1) for s in range(1, points)]
    copies += [contour.flip(1), contour @ TURN, contour + 7, contour.flip(1).roll(3, 1) @ TURN]
    assert max(moved(net, contour, copy) for copy in copies) < 1e-4


@pytest.mark.parametrize("build", [cyclic, resnet])
def test_mirror_images_are_one_only_where_the_switch_says_so(build: Callable[[int, bool], nn.Module]) -> None:
    contour = contours(points=32)
    for mirrored in (contour * MIRROR, (contour * MIRROR).flip(1)):
        assert moved(build(32, True), contour, mirrored) < 1e-4
        assert moved(build(32, False), contour, mirrored) > 1e-2


@pytest.mark.parametrize("depth", [18, 50])
def test_the_resnet_of_the_matrix_knows_neither_direction_nor_pose_but_the_start(depth: int) -> None:
    net, contour = resnet(64, depth=depth), contours(points=64)
    for copy in (contour.flip(1), contour @ TURN, contour + 7, contour.roll(32, 1)):
        assert moved(net, contour, copy) < 1e-3
    assert moved(net, contour, contour.roll(5, 1)) > 1e-3


@pytest.mark.parametrize("build", [cyclic, resnet])
@pytest.mark.parametrize("reflection", [True, False])
def test_an_encoder_does_not_look_at_hidden_points(build: Callable[..., nn.Module], reflection: bool) -> None:
    net, contour = build(32, reflection), contours(points=32)
    hidden = torch.zeros(5, 32, dtype=torch.bool)
    hidden[:, 10:13] = True
    other = contour.clone()
    other[:, 11] += 0.01
    with torch.no_grad():
        if reflection:
            assert torch.equal(net(contour, hidden), net(other, hidden))
        else:
            # Which way is inside is told by all points, and only by the sign of the area.
            assert torch.allclose(net(contour, hidden), net(other, hidden), atol=1e-3)
        assert not torch.allclose(net(contour), net(other), atol=1e-6)
        assert not torch.allclose(net(contour), net(contour, hidden), atol=1e-4)


def test_in_evaluation_a_vector_does_not_depend_on_its_batch() -> None:
    net, contour = cyclic(32), contours(7)
    with torch.no_grad():
        assert torch.allclose(net(contour)[:2], net(contour[:2]), atol=1e-6)
        assert torch.equal(net(contour), net(contour))
