from __future__ import annotations

import pytest
import torch
from tests.helpers.objectives import generator
from tests.helpers.shape_models import build, lobes

from phenoloom.objectives.shape_autoencoder import ShapeAutoencoder
from phenoloom.objectives.shape_mae import hidden_arcs


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
