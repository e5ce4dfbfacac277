from __future__ import annotations

import pytest
from tests.helpers.contour_encoders import TURN, contours, moved, resnet


@pytest.mark.parametrize("depth", [18, 50])
def test_the_resnet_of_the_matrix_knows_neither_direction_nor_pose_but_the_start(depth: int) -> None:
    net, contour = resnet(64, depth=depth), contours(points=64)
    for copy in (contour.flip(1), contour @ TURN, contour + 7, contour.roll(32, 1)):
        assert moved(net, contour, copy) < 1e-3
    assert moved(net, contour, contour.roll(5, 1)) > 1e-3
