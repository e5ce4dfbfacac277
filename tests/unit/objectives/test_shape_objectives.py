from __future__ import annotations

import pytest
import torch
from tests.helpers.objectives import generator
from tests.helpers.shape_models import OBJECTIVES, build, lobes, train

DECODING = [name for name in OBJECTIVES if name != "contrast"]


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


@pytest.mark.parametrize(
    ("name", "share"), [("ae", 0.1), ("vae", 0.2), ("vqvae", 0.3), ("mae", 0.3)], ids=["ae", "vae", "vqvae", "mae"]
)
def test_lobes_are_learned_whatever_start_and_direction(name: str, share: float) -> None:
    model, contours = build(name, 32, objective={"beta": 0.1} if name == "vae" else {}), lobes(points=32)
    before = model.eval()(contours).parts["reconstruction"].item()
    train(model.train(), contours, 120)
    assert model.eval()(contours).parts["reconstruction"] < share * before
