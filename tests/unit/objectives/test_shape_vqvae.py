from __future__ import annotations

import torch
from tests.helpers.shape_models import build, lobes


def test_codes_are_counted_and_the_commitment_is_weighted() -> None:
    model = build("vqvae", objective={"commitment": 0.7}).eval()
    outcome = model(lobes())
    assert outcome.codes is not None
    assert outcome.codes.sum() == 16 * 2
    expected = outcome.parts["reconstruction"] + 0.7 * outcome.parts["commitment"]
    assert torch.allclose(outcome.loss, expected)
