from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from phenoloom.config.training import Training
from phenoloom.nets.quantizer import Quantizer
from phenoloom.nets.vit import Size, ViT
from phenoloom.training.optim import LAMB, Schedules, build_optimizer, cosine, decay_groups


def lamb_by_hand(
    weight: np.ndarray, gradients: list[np.ndarray], lr: float, betas: tuple[float, float], decay: float, eps: float
) -> np.ndarray:
    """Algorithm 2 of You et al. 2020, line by line, in float64."""
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for t, g in enumerate(gradients, 1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        r = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps) + decay * weight
        trust = np.linalg.norm(weight) / np.linalg.norm(r) if decay else 1.0
        weight = weight - lr * trust * r
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.3])
def test_lamb_takes_the_steps_of_the_paper(decay: float) -> None:
    generator = np.random.default_rng(0)
    starts = [generator.normal(size=shape) for shape in ((3, 4), (5, 2))]
    gradients = [[generator.normal(size=start.shape) for start in starts] for _ in range(4)]
    weights = [nn.Parameter(torch.from_numpy(start.copy())) for start in starts]
    optimizer = LAMB(weights, 0.1, (0.8, 0.95), 1e-6, decay)
    for step in gradients:
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    for i, start in enumerate(starts):
        expected = lamb_by_hand(start, [step[i] for step in gradients], 0.1, (0.8, 0.95), decay, 1e-6)
        np.testing.assert_allclose(weights[i].detach().numpy(), expected, rtol=1e-12)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 0.5))
def test_the_first_step_of_lamb_moves_every_layer_by_the_same_share_of_its_norm(scale: float, rate: float) -> None:
    generator = torch.Generator().manual_seed(1)
    weights = [nn.Parameter(torch.randn(6, 4, generator=generator, dtype=torch.float64) * s) for s in (1.0, scale)]
    before = [w.detach().clone() for w in weights]
    optimizer = LAMB(weights, rate, weight_decay=0.1)
    for w in weights:
        w.grad = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    optimizer.step()
    for old, new in zip(before, weights, strict=True):
        assert float((new.detach() - old).norm() / old.norm()) == pytest.approx(rate)


def test_lamb_moves_a_weight_of_zeros_and_leaves_one_without_gradient() -> None:
    zeros, idle = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = LAMB([zeros, idle], 0.1, weight_decay=0.1)
    for _ in range(2):
        zeros.grad = torch.ones(2, 2)
        optimizer.step()
    assert torch.equal(idle, torch.ones(2, 2))
    # The factor of a norm of zero is one: Adam's first step is the rate.
    assert float(zeros.detach().max()) < -0.09


def test_a_weight_that_joins_later_is_corrected_for_its_own_steps() -> None:
    both = [nn.Parameter(torch.ones(2, 2)) for _ in range(2)]
    optimizer = LAMB(both, 0.1, weight_decay=0.1)
    both[0].grad = torch.full((2, 2), 0.5)
    optimizer.step()
    first = both[0].detach().clone()
    both[0].grad, both[1].grad = None, torch.full((2, 2), 0.5)
    optimizer.step()
    assert torch.equal(both[1], first)
    assert torch.equal(both[0], first)


def test_the_state_of_lamb_comes_back() -> None:
    def train(optimizer: torch.optim.Optimizer, weight: nn.Parameter, steps: range) -> None:
        for step in steps:
            weight.grad = torch.full((2, 2), float(step + 1))
            optimizer.step()

    whole, halved = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    train(LAMB([whole], 0.1, weight_decay=0.1), whole, range(4))
    first = LAMB([halved], 0.1, weight_decay=0.1)
    train(first, halved, range(2))
    second = LAMB([halved], 0.5, weight_decay=0.7)
    second.load_state_dict(first.state_dict())
    train(second, halved, range(2, 4))
    assert torch.equal(whole, halved)


def test_biases_norms_tokens_positions_and_codebooks_do_not_decay() -> None:
    vit = ViT(1, 8, 4, Size(32, 1, 1), registers=2, mask_token=True)
    net = nn.ModuleDict({"encoder": vit, "codes": Quantizer(4, 2, 0.9, 5), "norm": nn.BatchNorm2d(2)})
    decayed, rest = decay_groups(net, 0.05)
    names = {id(p): name for name, p in net.named_parameters()}
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.05, 0.0)
    assert {names[id(p)] for p in decayed["params"]} == {
        f"encoder.{name}.weight"
        for name in (
            "patch_embed.proj",
            *(f"blocks.0.{part}" for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")),
        )
    }
    assert {names[id(p)] for p in rest["params"]} >= {
        "encoder.cls_token", "encoder.pos_embed", "encoder.register_tokens", "encoder.mask_token",
        "encoder.norm.weight", "encoder.patch_embed.proj.bias", "norm.weight",
    }  # fmt: skip
    assert len(decayed["params"]) + len(rest["params"]) == len(names)


def test_weights_that_are_not_trained_are_left_out() -> None:
    net = nn.Linear(2, 2)
    net.weight.requires_grad_(False)
    decayed, rest = decay_groups(net, 0.1)
    assert (decayed["params"], len(rest["params"])) == ([], 1)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ({}, torch.optim.AdamW, {"betas": (0.9, 0.999), "lr": 1e-3}),
        ({"betas": (0.9, 0.95)}, torch.optim.AdamW, {"betas": (0.9, 0.95)}),
        ({"optimizer": "lamb", "betas": (0.8, 0.9), "learning_rate": 0.5}, LAMB, {"betas": (0.8, 0.9), "lr": 0.5}),
        ({"optimizer": "sgd", "momentum": 0.7}, torch.optim.SGD, {"momentum": 0.7}),
    ],
)
def test_the_settings_choose_the_optimiser(values: dict[str, object], kind: type, expected: dict[str, object]) -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), Training(**values))
    assert type(optimizer) is kind
    for group, decay in zip(optimizer.param_groups, (0.05, 0.0), strict=True):
        assert group["weight_decay"] == decay
        assert {name: group[name] for name in expected} == expected


def test_biases_norms_and_other_vectors_do_not_decay() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 2))
    decayed, rest = decay_groups(net, 0.05)
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in rest["params"]} == {1}
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.05, 0.0)
    assert len(decayed["params"]) + len(rest["params"]) == len(list(net.parameters()))


def schedules(**values: object) -> Schedules:
    return Schedules(Training(**{"epochs": 10, "warmup_epochs": 2, "learning_rate": 0.1, **values}), 5)


def test_the_rate_rises_by_equal_steps_and_falls_as_half_a_cosine() -> None:
    plan = schedules()
    assert [plan.learning_rate(step) for step in range(10)] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert plan.learning_rate(10) == pytest.approx(0.1)
    assert plan.learning_rate(30) == pytest.approx(0.05)
    assert plan.learning_rate(50) == pytest.approx(0.0, abs=1e-12)


def test_the_rate_ends_where_it_should_also_at_another_batch_size() -> None:
    plan = schedules(final_learning_rate=0.02, batch_size=256, base_batch_size=64)
    assert plan.learning_rate(10) == pytest.approx(0.2)
    assert plan.learning_rate(50) == pytest.approx(0.04)
    assert plan.learning_rate(30) == pytest.approx((0.2 + 0.04) / 2)


def test_the_decay_follows_a_cosine_over_all_steps_or_stays() -> None:
    moving, still = schedules(weight_decay=0.04, final_weight_decay=0.4), schedules(weight_decay=0.04)
    assert [moving.weight_decay(step) for step in (0, 25, 50)] == pytest.approx([0.04, 0.22, 0.4])
    assert {still.weight_decay(step) for step in range(50)} == {0.04}


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100))
def test_a_cosine_stays_between_its_ends_and_is_symmetric(first: float, last: float, step: int) -> None:
    low, high = min(first, last), max(first, last)
    assert low - 1e-12 <= cosine(step, 100, first, last) <= high + 1e-12
    assert cosine(step, 100, first, last) + cosine(100 - step, 100, first, last) == pytest.approx(first + last)


def test_a_rate_that_would_rise_at_the_end_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"`final_learning_rate` must not be above `learning_rate`, found 0\.2 and 0\.1"
    ):
        schedules(final_learning_rate=0.2)


def test_the_learning_rate_follows_the_batch_by_the_stated_rule() -> None:
    training = Training(batch_size=256, base_batch_size=64, learning_rate=0.001)
    assert training.peak_learning_rate == pytest.approx(0.002)
    linear = training.model_copy(update={"learning_rate_scaling": "linear"})
    assert linear.peak_learning_rate == pytest.approx(0.004)
