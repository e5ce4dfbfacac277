from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.config.model import ImageModel
from phenoloom.core.errors import PhenoloomError
from phenoloom.nets.heads import ProjectionHead
from phenoloom.objectives import build_objective
from phenoloom.objectives.contrast import Contrasted, supervised_contrast
from phenoloom.training.pairs import KINDS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def contrasted(pairs: str, name: str = "ae", channels: int = 2, **changes: Any) -> Contrasted:
    torch.manual_seed(0)
    values = {
        "view": "tiles",
        "encoder": "vit-tiny",
        "width": 32,
        "depth": 1,
        "patch": 8,
        "input_size": 32,
        "latent": 16,
    }
    model = ImageModel(**{**values, **changes}, objective={"name": name}, contrast={"pairs": pairs, "weight": 0.5})
    built = build_objective(model, channels)
    assert isinstance(built, Contrasted)
    return built


def units(count: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 6, dtype=torch.float64, generator=generator(seed)), dim=1)


def slowly(unit: torch.Tensor, keys: torch.Tensor, temperature: float) -> float:
    """Eq. 2 of Khosla et al. 2020, one anchor at a time; same thing in the same place is left out."""
    losses = []
    for i in range(len(unit)):
        others = [a for a in range(len(unit)) if not (keys[a] == keys[i]).all()]
        partners = [p for p in others if keys[p, 0] == keys[i, 0]]
        if partners:
            scale = sum(torch.exp(unit[i] @ unit[a] / temperature) for a in others)
            losses.append(
                -sum(torch.log(torch.exp(unit[i] @ unit[p] / temperature) / scale) for p in partners) / len(partners)
            )
    return float(sum(losses) / len(losses)) if losses else 0.0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9), st.sampled_from([0.1, 0.5]))
@settings(max_examples=60, deadline=None)
def test_the_term_is_the_supervised_contrastive_loss(keys: list[tuple[int, int]], temperature: float) -> None:
    unit, pairs = units(len(keys)), torch.tensor(keys)
    found = supervised_contrast(unit.requires_grad_(), pairs, temperature)
    assert found.item() == pytest.approx(slowly(unit.detach(), pairs, temperature), rel=1e-9, abs=1e-12)
    (gradient,) = torch.autograd.grad(found, unit, allow_unused=False)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("batch_norm", [False, True])
def test_only_a_batch_normalised_projection_separates_vectors_that_have_nearly_all_in_common(
    batch_norm: bool,
) -> None:
    torch.manual_seed(0)
    vectors = 10 * torch.randn(1, 64) + 0.1 * torch.randn(32, 64)
    with torch.no_grad():
        unit = ProjectionHead(64, 32, batch_norm=batch_norm)(vectors)
    likeness = float((unit @ unit.T).mean())
    assert likeness < 0.5 if batch_norm else likeness > 0.99


def test_with_one_partner_each_it_is_infonce() -> None:
    unit = units(8)
    item, view = torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)
    similarity = unit @ unit.T / 0.2
    similarity.fill_diagonal_(-torch.inf)
    expected = torch.nn.functional.cross_entropy(similarity, (torch.arange(8) + 4) % 8)
    assert torch.allclose(supervised_contrast(unit, torch.stack([item, view], 1), 0.2), expected)


def test_the_term_is_added_with_its_weight_to_any_objective() -> None:
    small = {"codes": 8, "code_dim": 8}
    for name, objective in {
        "ae": {},
        "vae": {},
        "vqvae": small,
        "mae": {"decoder_width": 32, "decoder_depth": 1},
    }.items():
        torch.manual_seed(0)
        model = ImageModel(
            view="tiles", encoder="vit-tiny", width=32, depth=1, patch=8, input_size=32, latent=16,
            objective={"name": name, **objective}, contrast={"pairs": "labels", "weight": 0.5},
        )  # fmt: skip
        built = build_objective(model, 2)
        keys = torch.tensor([[0, 0], [0, 1], [1, 2], [1, 3]])
        inputs = torch.randn(4, 2, 32, 32)
        # A copy, for a codebook moves in training.
        alone = copy.deepcopy(built).base(inputs, generator())
        outcome = built(inputs, generator(), keys)
        rest = outcome.loss - 0.5 * outcome.parts["contrast"]
        assert outcome.parts["contrast"] > 0
        assert torch.allclose(rest, alone.loss)
        outcome.loss.backward()
        assert all(p.grad is not None for p in built.parameters() if p.requires_grad)


def test_what_belongs_together_moves_together() -> None:
    model = contrasted("labels")
    tiles, keys = torch.randn(16, 2, 32, 32), torch.stack([torch.arange(16) % 4, torch.arange(16)], 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(40):
        outcome = model(tiles, generator(step), keys)
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
    # At best three partners share the probability: log 3.
    assert outcome.parts["contrast"] < 1.4
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(model.base(tiles).features[0], dim=1)
    similarity = vectors @ vectors.T
    same = keys[:, None, 0] == keys[None, :, 0]
    assert similarity[same & ~torch.eye(16, dtype=torch.bool)].mean() > similarity[~same].mean() + 0.3


def test_views_are_two_augmentations_of_each_tile() -> None:
    model = contrasted("views", augment={"noise": 0.5})
    seen: list[torch.Tensor] = []
    original = model.base.forward
    model.base.forward = lambda inputs, g=None: (seen.append(inputs), original(inputs, g))[1]
    tiles = torch.randn(4, 2, 32, 32)
    assert model.makes_views
    assert model.pairs is None
    model(tiles, generator())
    assert seen[0].shape == (8, 2, 32, 32)
    assert not torch.equal(seen[0][:4], seen[0][4:])
    with torch.no_grad():
        assert model.eval()(tiles).loss == model(tiles).loss


def test_channels_of_a_tile_are_pulled_together() -> None:
    torch.manual_seed(0)
    settings_ = ImageModel(
        view="tiles", encoder="vit-tiny", width=32, depth=1, patch=8, input_size=32, latent=16,
        objective={"name": "ae"}, channels={"mode": "separate", "at_once": 2}, contrast={"pairs": "channels"},
    )  # fmt: skip
    model = build_objective(settings_, 3)
    tiles = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        outcome = model.eval()(tiles)
        unit = model.head(torch.stack([model.base.base.vectors(tiles[:, c : c + 1]) for c in range(3)]))
    keys = torch.stack([torch.arange(4).repeat(3), torch.arange(3).repeat_interleave(4)], 1)
    assert float(outcome.parts["contrast"]) == pytest.approx(slowly(unit.flatten(0, 1).double(), keys, 0.1), rel=1e-4)


def test_missing_keys_are_refused() -> None:
    with pytest.raises(PhenoloomError, match="pulls replicates together"):
        contrasted("replicates")(torch.randn(2, 2, 32, 32), generator())


def test_the_supervision_is_named() -> None:
    base = {"view": "tiles", "objective": {"name": "ae"}}
    assert ImageModel(**base).supervision == "none"
    assert ImageModel(**base, contrast={"pairs": "views"}).supervision == "none"
    assert {ImageModel(**base, contrast={"pairs": kind}).supervision for kind in KINDS} == set(KINDS)
