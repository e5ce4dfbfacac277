from __future__ import annotations

import pytest
import torch

from phenoloom.nets.quantizer import Quantizer, perplexity


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_token_becomes_its_nearest_code() -> None:
    quantizer = Quantizer(codes=9, dim=4, decay=0.9, revive_after=5).eval()
    tokens = torch.randn(50, 4)
    result = quantizer(tokens)
    distances = (tokens[:, None] - quantizer.codebook).square().sum(-1)
    assert torch.allclose(result.values, quantizer.codebook[distances.argmin(1)], atol=1e-6)
    assert torch.allclose(result.commitment, distances.min(1).values.mean() / 4)
    assert torch.equal(result.counts, torch.bincount(distances.argmin(1), minlength=9).float())


def test_gradients_pass_straight_through_and_the_codebook_has_none() -> None:
    quantizer = Quantizer(codes=4, dim=3, decay=0.9, revive_after=5)
    tokens = torch.randn(6, 3, requires_grad=True)
    weights = torch.randn(6, 3)
    (quantizer(tokens, generator()).values * weights).sum().backward()
    assert torch.equal(tokens.grad, weights)
    assert list(quantizer.parameters()) == []


def test_the_codebook_follows_the_moving_average_of_its_tokens() -> None:
    quantizer = Quantizer(codes=2, dim=1, decay=0.9, revive_after=100)
    quantizer.idle.zero_()
    quantizer.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    quantizer(torch.tensor([[1.0], [3.0], [9.0]]), generator())
    # sizes 1 -> .9 + .1 n, sums c -> .9 c + .1 sum of tokens
    assert torch.allclose(quantizer.codebook, torch.tensor([[0.4 / 1.1], [9.9 / 1.0]]))


def test_a_code_that_is_idle_for_long_stays_where_it_was() -> None:
    quantizer = Quantizer(codes=2, dim=1, decay=0.5, revive_after=1000)
    quantizer.idle.zero_()
    quantizer.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    for step in range(200):
        quantizer(torch.tensor([[1.0], [-1.0]]), generator(step))
    assert quantizer.codebook[1].item() == pytest.approx(10.0, rel=1e-5)


def test_evaluation_moves_nothing() -> None:
    quantizer = Quantizer(codes=4, dim=2, decay=0.5, revive_after=1).eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(torch.randn(10, 2), generator())
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())


def test_the_first_batch_places_every_code() -> None:
    quantizer = Quantizer(codes=8, dim=2, decay=0.99, revive_after=5)
    tokens = torch.randn(64, 2) * 0.1 + 50
    counts = quantizer(tokens, generator()).counts
    assert (quantizer.codebook - 50).abs().max() < 1
    assert (counts > 0).sum() >= 6


def test_a_dead_code_comes_back_to_life_after_the_stated_number_of_steps() -> None:
    quantizer = Quantizer(codes=2, dim=1, decay=0.9, revive_after=3)
    quantizer.idle.zero_()
    quantizer.codebook.copy_(torch.tensor([[0.0], [1000.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    used = [quantizer(torch.randn(32, 1), generator(step)).counts[1].item() for step in range(5)]
    assert used[:3] == [0, 0, 0]
    assert sum(used[3:]) > 0


@pytest.mark.parametrize(("counts", "expected"), [([5, 0, 0], 1.0), ([2, 2, 2, 2], 4.0), ([1, 1, 0], 2.0)])
def test_perplexity_is_the_effective_number_of_codes(counts: list[int], expected: float) -> None:
    assert perplexity(torch.tensor(counts)) == pytest.approx(expected)
