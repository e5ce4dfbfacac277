from __future__ import annotations

import math

import pytest
import torch
from tests.helpers.shape_models import build, lobes, train


def test_a_contrastive_model_has_no_way_back() -> None:
    assert build("contrast").eval().reconstruct(lobes()) is None


def test_a_contrast_without_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="`augment` must"):
        build("contrast", augment={})


def test_contrast_brings_versions_of_an_outline_together_and_keeps_outlines_apart() -> None:
    model, contours = build("contrast", 32), lobes(points=32)
    losses = train(model, contours, 60)
    # Of 32 versions 8 are of each kind, whose outlines are the same: among 7 of them the right one is one.
    assert losses[-1] < math.log(7) + 0.5 < 0.8 * losses[0]
    vectors = model.eval().embed(contours)
    number = torch.arange(16) % 4
    near = torch.cdist(vectors, vectors) + 1e9 * torch.eye(16)
    assert (number[near.argmin(1)] == number).float().mean() > 0.9
