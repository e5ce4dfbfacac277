from __future__ import annotations

import pytest
import torch

from phenoloom.objectives.matrix_penalties import PENALTIES, diagonal, negativity, symmetry, triangle


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def perfect(count: int = 4, points: int = 12) -> torch.Tensor:
    points_of = normal(count, points, 2)
    return torch.cdist(points_of, points_of, compute_mode="donot_use_mm_for_euclid_dist")


def all_triples(matrix: torch.Tensor) -> torch.Tensor:
    """Excess over the shortest of all detours, by trying each."""
    n = len(matrix)
    total = 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                detours = [matrix[i, k] + matrix[k, j] for k in range(n) if k not in (i, j)]
                total += max(0.0, float(matrix[i, j] - min(detours))) ** 2
    return torch.tensor(total / (n * (n - 1)), dtype=torch.float64)


def test_a_perfect_matrix_has_no_penalty() -> None:
    for penalty in PENALTIES.values():
        assert penalty(perfect()).tolist() == pytest.approx([0.0] * 4, abs=1e-20)


def test_the_diagonal_alone_is_the_diagonal_of_each_matrix() -> None:
    matrices = perfect(2)
    matrices[1].fill_diagonal_(3.0)
    assert diagonal(matrices).tolist() == [0.0, 9.0]


def test_a_difference_from_the_transpose_is_counted_in_both_triangles() -> None:
    matrices = perfect(2, 4)
    matrices[0, 1, 2] += 2.0
    assert symmetry(matrices).tolist() == pytest.approx([2 * 4.0 / 16, 0.0])


def test_negative_entries_count_by_their_square() -> None:
    matrices = perfect(2, 4)
    matrices[1, 0, 3] = -2.0
    assert negativity(matrices).tolist() == pytest.approx([0.0, 4.0 / 16])


def test_three_points_whose_longest_side_is_too_long_break_the_triangle_inequality_by_the_rest() -> None:
    matrix = torch.tensor([[0.0, 1, 5], [1, 0, 2], [5, 2, 0]])[None]
    # d(0, 2) = 5 against 1 + 2, in both directions; the other four pairs keep it.
    assert triangle(matrix).tolist() == pytest.approx([2 * 2.0**2 / 6])


def test_the_triangle_penalty_equals_trying_every_triple() -> None:
    matrices = normal(3, 7, 7, seed=1).abs()
    assert triangle(matrices).tolist() == pytest.approx([float(all_triples(m)) for m in matrices])


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_of_a_penalty_is_that_of_finite_differences(name: str) -> None:
    matrices = normal(2, 6, 6, seed=2).requires_grad_()
    assert PENALTIES[name](matrices).min() > 0
    assert torch.autograd.gradcheck(PENALTIES[name], matrices)
