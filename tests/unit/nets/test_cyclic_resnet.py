from __future__ import annotations

import pytest
import torch
from tests.helpers.contour_encoders import TURN, contours, cyclic, moved


@pytest.mark.parametrize("points", [16, 15, 64])
@pytest.mark.parametrize("reflection", [True, False])
def test_the_cyclic_encoder_knows_neither_start_nor_direction_nor_pose(points: int, reflection: bool) -> None:
    net, contour = cyclic(points, reflection), contours(points=points)
    copies = [contour.roll(s, 1) for s in range(1, points)]
    copies += [contour.flip(1), contour @ TURN, contour + 7, contour.flip(1).roll(3, 1) @ TURN]
    assert max(moved(net, contour, copy) for copy in copies) < 1e-4


def test_in_evaluation_a_vector_does_not_depend_on_its_batch() -> None:
    net, contour = cyclic(32), contours(7)
    with torch.no_grad():
        assert torch.allclose(net(contour)[:2], net(contour[:2]), atol=1e-6)
        assert torch.equal(net(contour), net(contour))
