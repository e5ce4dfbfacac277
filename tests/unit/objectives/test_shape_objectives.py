from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from phenoloom.config.model import ShapeModel
from phenoloom.nets.cyclic_form import cyclic_form, signed_area
from phenoloom.nets.distance_matrix import distance_matrices_torch
from phenoloom.objectives import Objective, build_objective
from phenoloom.objectives.matrix_penalties import PENALTIES
from phenoloom.objectives.shape_autoencoder import ShapeAutoencoder, ShapeVariationalAutoencoder
from phenoloom.objectives.shape_mae import hidden_arcs
from phenoloom.objectives.start_invariant_loss import start_invariant_loss

AUGMENT = {"stretch": 0.1, "elastic": 0.05, "ripple": 0.02, "cut": 0.2, "noise": 0.01}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "ae": {},
    "vae": {},
    "vqvae": {"codes": 16, "code_dim": 4, "revive_after": 4},
    "mae": {"arc": 4},
    "contrast": {"projection": 8},
}
DECODING = [name for name in OBJECTIVES if name != "contrast"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(name: str, points: int = 16, **changes: Any) -> Objective:
    objective = {"name": name, **OBJECTIVES[name], **changes.pop("objective", {})}
    values = {"width": 8, "latent": 8, **({"augment": AUGMENT} if name == "contrast" else {}), **changes}
    torch.manual_seed(0)
    return build_objective(ShapeModel(view="shapes", objective=objective, **values), points)


def lobes(count: int = 16, points: int = 16, seed: int = 0) -> torch.Tensor:
    """Outlines with 2 to 5 lobes, every other one run backwards."""
    angle = torch.arange(points) * 2 * torch.pi / points
    number = torch.tensor([2.0, 3, 4, 5]).repeat(count // 4)[:, None]
    radius = 1 + 0.4 * (number * angle + torch.rand(count, 1, generator=generator(seed)) * 6).cos()
    contour = radius[..., None] * torch.stack([angle.cos(), angle.sin()], -1)
    contour[::2] = contour[::2].flip(1)
    return contour


def train(model: Objective, contours: torch.Tensor, steps: int) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(steps):
        loss = model(contours, generator(step)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("encoder", ["cyclic-resnet", "resnet18"])
def test_every_parameter_of_every_objective_gets_a_gradient(name: str, encoder: str) -> None:
    model = build(name, 32, encoder=encoder)
    model(lobes(points=32), generator()).loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_embedding_is_deterministic_and_blind_to_start_direction_and_pose(name: str) -> None:
    model, contours = build(name), lobes()
    model(contours, generator())
    model.eval()
    with torch.no_grad():
        vectors = model.embed(contours)
        assert vectors.shape == (16, 8)
        assert torch.equal(vectors, model.embed(contours))
        for copy in (contours.roll(3, 1), contours.flip(1), contours * torch.tensor([-1.0, 1]), contours.flip(2)):
            assert torch.allclose(model.embed(copy), vectors, atol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_is_a_function_of_its_generator_and_evaluation_has_none(name: str) -> None:
    contours, noise = lobes(), {} if name == "contrast" else {"objective": {"noise": 0.1}}
    first, second, other = (build(name, **noise)(contours, generator(seed)).loss.item() for seed in (1, 1, 2))
    assert first == second
    assert first != other
    model = build(name, **noise).eval()
    assert model(contours).loss == model(contours).loss


@pytest.mark.parametrize("name", DECODING)
@pytest.mark.parametrize("decoder", ["points", "matrix"])
def test_every_decoder_gives_contours_back(name: str, decoder: str) -> None:
    model = build(name, objective={"decoder": decoder}).eval()
    assert model.reconstruct(lobes()).shape == (16, 16, 2)


def test_a_contrastive_model_has_no_way_back() -> None:
    assert build("contrast").eval().reconstruct(lobes()) is None


def test_the_loss_of_points_and_of_their_matrix_is_the_same() -> None:
    contours, decoded = lobes(points=17), lobes(points=17, seed=1)
    points, matrix = build("ae", 17), build("ae", 17, objective={"decoder": "matrix"})
    assert isinstance(points, ShapeAutoencoder)
    assert isinstance(matrix, ShapeAutoencoder)
    vectors = torch.zeros(16, 8)
    ours = points._outcome(decoded, contours, vectors).loss
    theirs = matrix._outcome(distance_matrices_torch(decoded), contours, vectors)
    assert torch.allclose(ours, theirs.loss, rtol=1e-4)
    assert torch.allclose(ours, start_invariant_loss(cyclic_form(decoded), cyclic_form(contours)).mean())


def test_penalties_are_weighted_and_logged() -> None:
    weights = {"diagonal": 0.5, "symmetry": 2.0, "negativity": 3.0, "triangle": 4.0}
    model = build("ae", objective={"decoder": "matrix", "penalties": weights})
    outcome = model(lobes())
    expected = outcome.parts["reconstruction"] + sum(w * outcome.parts[name] for name, w in weights.items())
    assert set(outcome.parts) == {"reconstruction", *PENALTIES}
    assert torch.allclose(outcome.loss, expected)
    assert min(outcome.parts.values()) > 0


def test_a_penalty_without_weight_is_logged_in_evaluation() -> None:
    model = build("ae", objective={"decoder": "matrix", "penalties": {"symmetry": 1.0}})
    assert set(model(lobes()).parts) == {"reconstruction", "symmetry"}
    model.eval()
    assert set(model(lobes()).parts) == {"reconstruction", *PENALTIES}


def test_penalties_teach_a_decoder_of_matrices_to_be_valid() -> None:
    contours, broken = lobes(), {}
    for weight in (0.0, 10.0):
        penalties = dict.fromkeys(PENALTIES, weight)
        model = build("ae", objective={"decoder": "matrix", "penalties": penalties})
        train(model, contours, 40)
        assert isinstance(model, ShapeAutoencoder)
        with torch.no_grad():
            matrices = model.decoder(model.embed(contours))
        broken[weight] = {name: float(penalty(matrices).mean()) for name, penalty in PENALTIES.items()}
    assert all(broken[10.0][name] <= 0.5 * broken[0.0][name] for name in ("diagonal", "symmetry", "triangle"))


@pytest.mark.parametrize("changes", [{"decoder": "points", "penalties": {"triangle": 1.0}}])
def test_penalties_of_decoded_points_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="decoder: matrix"):
        build("ae", objective=changes)


def test_a_contrast_without_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="`augment` must"):
        build("contrast", augment={})


def test_noise_reaches_the_encoder_in_training_only() -> None:
    model, contours = build("ae", objective={"noise": 0.5}), lobes()
    assert model(contours, generator(1)).loss != model(contours, generator(2)).loss
    model.eval()
    assert model(contours, generator(1)).loss == model(contours).loss


def test_the_divergence_of_a_posterior_enters_by_beta_and_the_mean_is_decoded_in_evaluation() -> None:
    model, contours = build("vae", objective={"beta": 5.0}).eval(), lobes()
    outcome = model(contours)
    expected = outcome.parts["reconstruction"] + 5.0 * 2 / 16**2 * outcome.parts["divergence"]
    assert torch.allclose(outcome.loss, expected)
    decoded = model.reconstruct(contours)
    again = start_invariant_loss(cyclic_form(decoded), cyclic_form(contours)).mean()
    assert torch.allclose(outcome.parts["reconstruction"], again, rtol=1e-5)
    assert model(contours, generator(1)).loss != model(contours, generator(2)).loss


def test_contours_are_drawn_from_the_prior() -> None:
    model = build("vae").eval()
    assert isinstance(model, ShapeVariationalAutoencoder)
    drawn = model.draw(5, generator(3))
    outlines, outside = model.decode(drawn)
    assert outlines.shape == (5, 16, 2)
    assert not outside.any()
    assert torch.equal(drawn, model.draw(5, generator(3)))
    assert not torch.equal(drawn, model.draw(5, generator(4)))


def test_a_strong_prior_leaves_nothing_in_the_vector() -> None:
    def divergence(beta: float) -> float:
        model = build("vae", objective={"beta": beta})
        train(model, lobes(), 60)
        return model.eval()(lobes()).parts["divergence"].item()

    assert divergence(300.0) < 0.2 * divergence(0.01)


def test_codes_are_counted_and_the_commitment_is_weighted() -> None:
    model = build("vqvae", objective={"commitment": 0.7}).eval()
    outcome = model(lobes())
    assert outcome.codes is not None
    assert outcome.codes.sum() == 16 * 2
    expected = outcome.parts["reconstruction"] + 0.7 * outcome.parts["commitment"]
    assert torch.allclose(outcome.loss, expected)


@pytest.mark.parametrize(("points", "ratio", "arc"), [(64, 0.5, 8), (30, 0.4, 5), (17, 0.1, 4), (9, 0.9, 40)])
def test_the_asked_share_of_points_is_hidden_in_arcs(points: int, ratio: float, arc: int) -> None:
    hidden = hidden_arcs(torch.zeros(50, points, 2), ratio, arc, generator())
    arcs = max(2, round(points / arc))
    expected = min(max(round(arcs * ratio), 1), arcs - 1) / arcs
    assert abs(hidden.double().mean() - expected) < 1 / arcs / 2
    runs = (hidden & ~hidden.roll(1, 1)).sum(1)
    assert runs.min() >= 1
    assert runs.max() <= min(round(expected * arcs), arcs - round(expected * arcs))
    # Drawn for each contour, and in any place.
    assert len(hidden.unique(dim=0)) > 5
    assert hidden.any(0).all()


def test_the_masked_loss_is_that_of_hidden_entries_alone() -> None:
    model = build("mae")
    contours = lobes()
    hidden = hidden_arcs(contours, 0.4, 4, generator())
    assert isinstance(model, ShapeAutoencoder)
    outcome = model._outcome(contours.roll(2, 1) * 1.0, contours, torch.zeros(16, 8), hidden)
    assert outcome.loss < 1e-10
    wrong = contours.clone()
    wrong[~hidden] *= 1.1
    # Pairs of points that were both seen are wrong too, and not counted.
    only = model._outcome(wrong, contours, torch.zeros(16, 8), hidden).loss
    assert 0 < only < model._outcome(contours * 1.1, contours, torch.zeros(16, 8), hidden).loss


@pytest.mark.parametrize(
    ("name", "share"), [("ae", 0.1), ("vae", 0.2), ("vqvae", 0.3), ("mae", 0.3)], ids=["ae", "vae", "vqvae", "mae"]
)
def test_lobes_are_learned_whatever_start_and_direction(name: str, share: float) -> None:
    model, contours = build(name, 32, objective={"beta": 0.1} if name == "vae" else {}), lobes(points=32)
    before = model.eval()(contours).parts["reconstruction"].item()
    train(model.train(), contours, 120)
    assert model.eval()(contours).parts["reconstruction"] < share * before


def test_contrast_brings_versions_of_an_outline_together_and_keeps_outlines_apart() -> None:
    model, contours = build("contrast", 32), lobes(points=32)
    losses = train(model, contours, 60)
    # Of 32 versions 8 are of each kind, whose outlines are the same: among 7 of them the right one is one.
    assert losses[-1] < math.log(7) + 0.5 < 0.8 * losses[0]
    vectors = model.eval().embed(contours)
    number = torch.arange(16) % 4
    near = torch.cdist(vectors, vectors) + 1e9 * torch.eye(16)
    assert (number[near.argmin(1)] == number).float().mean() > 0.9


def test_reflections_differ_where_they_mean_something() -> None:
    angle = torch.arange(32) * 2 * torch.pi / 32
    radius = 1 + 0.3 * angle.cos() + 0.3 * (2 * angle + 1).cos()
    contour = (radius[:, None] * torch.stack([angle.cos(), angle.sin()], -1))[None]
    mirrored = contour * torch.tensor([-1.0, 1.0])
    assert signed_area(contour) > 0 > signed_area(mirrored)
    with torch.no_grad():
        either, chiral = (build("ae", 32, reflection=flag).eval() for flag in (True, False))
        assert torch.allclose(either.embed(contour), either.embed(mirrored), atol=1e-5)
        assert (chiral.embed(contour) - chiral.embed(mirrored)).abs().max() > 1e-4
        assert torch.allclose(chiral.embed(contour), chiral.embed(contour.flip(1)), atol=1e-5)
