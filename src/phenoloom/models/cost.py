"""Floating-point operations of a model, counted on one small batch (torch's FlopCounterMode)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..config.model import ImageModel, ShapeModel
from ..core.canonical_json import canonical_json
from ..data.domain import domain_of
from ..objectives import Objective, build_objective

_BATCH = 2


@dataclass(frozen=True)
class ModelCost:
    """Cost of a model for one item.

    Attributes:
        training: Operations of a training step, forward and backward.
        embedding: Operations of an embedding.
        parameters: Number of parameters of the network.
    """

    training: int
    embedding: int
    parameters: int


def model_cost(model: ImageModel | ShapeModel, size: int) -> ModelCost:
    """Return the cost of a model on tiles of `size` channels, or on contours of `size` points.

    Matrix products and convolutions are counted, a multiplication and an addition as two; the optimiser is not.
    """
    return _cost(type(model), canonical_json(model.model_dump(mode="json")), size)


@cache
def _cost(kind: type[ImageModel | ShapeModel], text: str, size: int) -> ModelCost:
    # The names of channels are not known here, and placing them takes no arithmetic.
    model, size = domain_of(kind.model_validate_json(text)).placed_by_name(size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        objective = build_objective(model, size)
        inputs = torch.randn(_BATCH, *domain_of(model).input_shape(size))
        with FlopCounterMode(display=False) as training:
            _loss(objective, inputs).backward()  # type: ignore[no-untyped-call]
        with torch.inference_mode(), FlopCounterMode(display=False) as embedding:
            objective.eval().embed(inputs)
    return ModelCost(
        training=training.get_total_flops() // _BATCH,
        embedding=embedding.get_total_flops() // _BATCH,
        parameters=sum(p.numel() for p in objective.parameters()),
    )


def _loss(objective: Objective, inputs: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if objective.pairs:
        return objective(inputs, generator, torch.zeros(_BATCH, 2, dtype=torch.int64)).loss  # type: ignore[no-any-return]
    return objective(inputs, generator).loss  # type: ignore[no-any-return]
