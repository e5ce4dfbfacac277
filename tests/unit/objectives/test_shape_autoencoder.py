from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.objectives import generator
from tests.helpers.shape_models import build, lobes, train

from phenoloom.nets.cyclic_form import cyclic_form, signed_area
from phenoloom.nets.distance_matrix import distance_matrices_torch
from phenoloom.objectives.matrix_penalties import PENALTIES
from phenoloom.objectives.shape_autoencoder import ShapeAutoencoder, ShapeVariationalAutoencoder
from phenoloom.objectives.start_invariant_loss import start_invariant_loss


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
