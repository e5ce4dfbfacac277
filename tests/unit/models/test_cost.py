from __future__ import annotations

from tests.helpers.forecasts import CONFIG

from phenoloom.config import load_model, load_study
from phenoloom.config.model import ImageModel
from phenoloom.models.cost import model_cost


def test_counted_operations_are_those_of_the_layers() -> None:
    """The encoder's first convolution is linear in the channels, so that operations are affine in them."""
    model = load_model("vqvae-resnet18", load_study("demo", CONFIG), CONFIG)
    one, two, three = (model_cost(model, channels).embedding for channels in (1, 2, 3))
    assert three - two == two - one > 0


def test_a_model_that_maps_channels_by_name_costs_what_the_network_behind_the_map_does() -> None:
    values = {"view": "tiles", "encoder": "vit-tiny", "width": 32, "depth": 1, "patch": 8, "input_size": 32}
    channels = {"mode": "map", "map": {"DNA": 0, "actin": 1}, "drop": ["bright field"], "inputs": 2}
    mapped = ImageModel(**values, latent=16, objective={"name": "ae"}, channels=channels)
    joint = ImageModel(**values, latent=16, objective={"name": "ae"})
    assert model_cost(mapped, 3) == model_cost(joint, 2)
