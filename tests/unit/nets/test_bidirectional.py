from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.helpers.contour_encoders import MIRROR, contours, cyclic, moved, resnet
from torch import nn


@pytest.mark.parametrize("build", [cyclic, resnet])
def test_mirror_images_are_one_only_where_the_switch_says_so(build: Callable[[int, bool], nn.Module]) -> None:
    contour = contours(points=32)
    for mirrored in (contour * MIRROR, (contour * MIRROR).flip(1)):
        assert moved(build(32, True), contour, mirrored) < 1e-4
        assert moved(build(32, False), contour, mirrored) > 1e-2


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
            # All points together decide which side is inside, and only by the sign of the area.
            assert torch.allclose(net(contour, hidden), net(other, hidden), atol=1e-3)
        assert not torch.allclose(net(contour), net(other), atol=1e-6)
        assert not torch.allclose(net(contour), net(contour, hidden), atol=1e-4)
