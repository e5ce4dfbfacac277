from __future__ import annotations

import pytest
import torch

from phenoloom.nets.contour_decoders import MatrixDecoder, PointDecoder
from phenoloom.nets.distance_matrix import distance_matrices_torch, planar_points
from phenoloom.objectives.matrix_penalties import PENALTIES
from phenoloom.shapes.distance_matrix import classical_mds


def test_decoded_points_are_centred_and_start_near_a_circle() -> None:
    points = PointDecoder(6, 20, 32)(torch.randn(4, 6))
    assert points.shape == (4, 20, 2)
    assert torch.allclose(points.mean(1), torch.zeros(4, 2), atol=1e-6)
    assert (points.square().sum(-1).mean() - 1).abs() < 0.5


def test_the_matrix_of_decoded_points_has_no_penalty() -> None:
    matrices = distance_matrices_torch(PointDecoder(6, 20, 32)(torch.randn(4, 6))).detach().double()
    for penalty in PENALTIES.values():
        assert penalty(matrices).max() < 1e-12


@pytest.mark.parametrize("points", [4, 15, 16, 60, 64])
def test_a_decoded_matrix_has_a_row_a_point(points: int) -> None:
    decoder = MatrixDecoder(6, points, 4)
    matrices = decoder(torch.randn(3, 6))
    assert matrices.shape == (3, points, points)
    matrices.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in decoder.parameters())


def test_the_points_of_a_matrix_have_its_distances_and_those_of_no_contour_say_how_far_they_are() -> None:
    points = torch.randn(3, 12, 2, dtype=torch.float64)
    matrices = distance_matrices_torch(points)
    found, residual = planar_points(matrices)
    assert torch.allclose(distance_matrices_torch(found), matrices, atol=1e-8)
    assert residual.max() < 1e-8
    bent = matrices + torch.rand(3, 12, 12, dtype=torch.float64)
    _, ours = planar_points(bent)
    symmetric = ((bent + bent.transpose(1, 2)) / 2).numpy()
    assert torch.allclose(ours, torch.from_numpy(classical_mds(symmetric)[1]), atol=1e-10)
    assert ours.min() > 0.01
