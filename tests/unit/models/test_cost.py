from __future__ import annotations

from tests.helpers.forecasts import CONFIG

from phenoloom.config import load_model, load_study
from phenoloom.models.cost import model_cost


def test_counted_operations_are_those_of_the_layers() -> None:
    """The encoder's first convolution is linear in the channels, so that operations are affine in them."""
    model = load_model("vqvae-resnet18", load_study("demo", CONFIG), CONFIG)
    one, two, three = (model_cost(model, channels).embedding for channels in (1, 2, 3))
    assert three - two == two - one > 0
