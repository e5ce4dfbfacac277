from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.helpers.studies import image_settings, shape_settings
from torch import Tensor, nn
from torch._dynamo.backends.registry import lookup_backend

from phenoloom.config.model import ImageModel
from phenoloom.core.errors import PhenoloomError
from phenoloom.models.checkpoint import initial_objective
from phenoloom.objectives import Objective, Step
from phenoloom.training import compile as computing

VIT = {"view": "tiles", "encoder": "vit-tiny", "width": 32, "depth": 3, "patch": 8, "input_size": 32, "latent": 16}
MAE = ImageModel(**VIT, drop_path=0.3, objective={"name": "mae", "decoder_width": 32, "decoder_depth": 2})
DINO = ImageModel(**VIT, objective={"name": "dino", "prototypes": 8, "local_crops": 2, "local_size": 16, "ibot": 1.0})
VQVAE = image_settings().model
BOTTLENECKS = VQVAE.model_copy(update={"encoder": "resnet50"})
SEPARATE = ImageModel(
    **{**VQVAE.model_dump(), "objective": {"name": "ae", "pool": 1}, "channels": {"mode": "separate", "at_once": 1}}
)
MODELS = {"mae": MAE, "dino": DINO, "vqvae": VQVAE, "resnet50": BOTTLENECKS, "separate": SEPARATE}


def objective_of(model: Any) -> tuple[Objective, Tensor]:
    tiles = model.view == "tiles"
    objective = initial_objective(model, 2 if tiles else 32, 0, ["DNA", "actin"] if tiles else None)
    shape = (6, 2, 32, 32) if tiles else (6, 32, 2)
    return objective.train(), torch.randn(shape, generator=torch.Generator().manual_seed(1))


def trained(objective: Objective, inputs: Tensor) -> dict[str, Tensor]:
    """Loss, gradients and buffers after one backward pass."""
    objective.before_step(Step(0, 10, 10))
    loss = objective(inputs, torch.Generator().manual_seed(2)).loss
    loss.backward()
    gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients, **dict(objective.named_buffers())}


@pytest.mark.parametrize("model", [*MODELS.values(), shape_settings().model], ids=[*MODELS, "shapes"])
def test_blocks_that_are_computed_again_give_the_same_bits_and_move_statistics_once(model: Any) -> None:
    plain, inputs = objective_of(model)
    again = copy.deepcopy(plain)
    computing.recompute_blocks(again)
    assert list(again.state_dict()) == list(plain.state_dict())
    expected, found = trained(plain, inputs), trained(again, inputs)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def kept_bytes(run: Callable[[], Tensor]) -> int:
    """Bytes that the forward pass keeps for the backward pass, without weights."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = run()
    assert loss.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("model", [MAE, BOTTLENECKS], ids=["vit", "resnet50"])
def test_blocks_that_are_computed_again_keep_less_for_the_backward_pass(model: ImageModel) -> None:
    plain, inputs = objective_of(model)
    again = copy.deepcopy(plain)
    computing.recompute_blocks(again)
    # A checkpoint keeps its inputs outside of the hooks: they are one tensor a block.
    before, after = (
        kept_bytes(lambda net=net: net(inputs, torch.Generator().manual_seed(0)).loss) for net in (plain, again)
    )
    assert after < before / 2


def test_a_missing_compiler_is_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(PhenoloomError, match=r"needs a C.. compiler, and 'no-such-compiler' is not found"):
        computing.compile_networks(nn.Identity())


@pytest.mark.parametrize("both", [False, True], ids=["compiled", "compiled and computed again"])
@pytest.mark.parametrize("model", [MAE, VQVAE], ids=["mae", "vqvae"])
def test_compiled_networks_compute_the_same(model: ImageModel, both: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []

    def backend(graph: torch.fx.GraphModule, examples: list[Tensor]) -> Any:
        compiled.append(graph)
        # Everything but the C++ code: no test should need a compiler.
        return lookup_backend("aot_eager")(graph, examples)

    monkeypatch.setattr(computing, "BACKEND", backend)
    torch.compiler.reset()
    plain, inputs = objective_of(model)
    other = copy.deepcopy(plain)
    if both:
        computing.recompute_blocks(other)
    computing.compile_networks(other)
    assert list(other.state_dict()) == list(plain.state_dict())
    expected, found = trained(plain, inputs), trained(other, inputs)
    assert compiled
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
