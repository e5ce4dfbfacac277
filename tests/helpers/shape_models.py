"""Small models of contours, contours with lobes, and trainings for the tests of their objectives."""

from __future__ import annotations

from typing import Any

import torch

from phenoloom.config.model import ShapeModel
from phenoloom.objectives import Objective, build_objective
from tests.helpers.objectives import generator

AUGMENT = {"stretch": 0.1, "elastic": 0.05, "ripple": 0.02, "cut": 0.2, "noise": 0.01}


OBJECTIVES: dict[str, dict[str, Any]] = {
    "ae": {},
    "vae": {},
    "vqvae": {"codes": 16, "code_dim": 4, "revive_after": 4},
    "mae": {"arc": 4},
    "contrast": {"projection": 8},
}


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
