from __future__ import annotations

import pytest
import torch

from phenoloom.nets.cyclic_form import cyclic_form, full_form, pairs_of
from phenoloom.objectives.start_invariant_loss import Start, at_start, best_start, start_invariant_loss


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distances(points: torch.Tensor) -> torch.Tensor:
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def brute_force(matrix: torch.Tensor, target: torch.Tensor, both_ways: bool = True) -> torch.Tensor:
    """Mean squared difference of matrices (b, n, n), least over all starts and directions of the target."""
    candidates = []
    for other in (target, target.flip(1, 2)) if both_ways else (target,):
        candidates += [(matrix - other.roll((s, s), (1, 2))).square().mean((1, 2)) for s in range(target.shape[1])]
    return torch.stack(candidates).amin(0)


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("points", [8, 9, 64])
def test_the_loss_by_fft_equals_trying_every_start_with_its_gradient(points: int, both_ways: bool) -> None:
    decoded, target = normal(3, points, 2, seed=1).requires_grad_(), normal(3, points, 2, seed=2)
    fast = start_invariant_loss(cyclic_form(decoded), cyclic_form(target), both_ways=both_ways)
    (gradient,) = torch.autograd.grad(fast.sum(), decoded)
    slow = brute_force(distances(decoded), distances(target), both_ways)
    (expected,) = torch.autograd.grad(slow.sum(), decoded)
    assert torch.allclose(fast, slow, rtol=1e-6)
    assert torch.allclose(gradient, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("points", [8, 9])
def test_the_loss_of_any_matrix_equals_trying_every_start_with_its_gradient(points: int) -> None:
    decoded = normal(4, points, points, seed=3).requires_grad_()
    target = distances(normal(4, points, 2, seed=4))
    fast = start_invariant_loss(full_form(decoded), full_form(target))
    slow = brute_force(decoded, target)
    assert torch.allclose(fast, slow, rtol=1e-10)
    (gradient,), (expected,) = (torch.autograd.grad(loss.sum(), decoded) for loss in (fast, slow))
    assert torch.allclose(gradient, expected, atol=1e-12)


@pytest.mark.parametrize("error", ["squared", "absolute"])
@pytest.mark.parametrize("points", [8, 9])
def test_the_gradient_is_that_of_finite_differences(points: int, error: str) -> None:
    decoded, target = normal(2, points, 2, seed=5).requires_grad_(), cyclic_form(normal(2, points, 2, seed=6))
    assert torch.autograd.gradcheck(lambda p: start_invariant_loss(cyclic_form(p), target, error=error), decoded)


def test_the_absolute_error_is_taken_at_the_start_of_the_least_squared_one() -> None:
    decoded, target = distances(normal(3, 10, 2, seed=7)), distances(normal(3, 10, 2, seed=8))
    found = start_invariant_loss(full_form(decoded), full_form(target), error="absolute")
    for item, loss in enumerate(found):
        candidates = [
            decoded[item] - other.roll((s, s), (0, 1))
            for other in (target[item], target[item].flip(0, 1))
            for s in range(10)
        ]
        best = min(candidates, key=lambda difference: float(difference.square().sum()))
        assert torch.allclose(loss, best.abs().mean(), rtol=1e-10)


@pytest.mark.parametrize("points", [12, 13])
def test_a_rolled_or_reversed_copy_has_no_loss(points: int) -> None:
    target = normal(4, points, 2, seed=9).float()
    for copy in (target.roll(5, 1), target.flip(1), target.flip(1).roll(-2, 1)):
        form, wanted = cyclic_form(copy), cyclic_form(target)
        assert start_invariant_loss(form, wanted).max() < 1e-12
        assert torch.allclose(at_start(wanted, best_start(form, wanted)), form, atol=1e-5)


def test_one_way_a_reversed_copy_is_another_shape() -> None:
    form, wanted = (cyclic_form(points) for points in (normal(4, 12, 2, seed=9).flip(1), normal(4, 12, 2, seed=9)))
    assert start_invariant_loss(form, wanted, both_ways=False).min() > 1e-2


def test_counted_entries_alone_are_compared_and_move_with_the_target() -> None:
    target = normal(3, 12, 2, seed=10)
    flags = torch.zeros(3, 12, dtype=torch.bool)
    flags[:, 2:5] = True
    form, counted = cyclic_form(target), pairs_of(flags, 6)
    # The copy starts elsewhere and is wrong by 0.1 everywhere, and by a little more where nothing is counted.
    start = Start(torch.tensor([False, True, False]), torch.tensor([0, 3, 7]))
    moved = at_start(form, start) + 0.1 + 0.02 * ~at_start(counted, start)
    loss = start_invariant_loss(moved, form, counted=counted)
    assert torch.allclose(loss, torch.full_like(loss, 0.01), rtol=1e-9)
