"""The registry of objectives, and the network of a model file: loss, channels, and the contrastive term around both.

A new objective is a file with its network and one line of `IMAGE_OBJECTIVES` or `SHAPE_OBJECTIVES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..config import image_objectives as image
from ..config import shape_objectives as shape
from ..config.model import ImageModel, ShapeModel
from ..core.errors import PhenoloomError
from .autoencoder import Autoencoder, VariationalAutoencoder
from .base import Objective
from .channel_map import ChannelMapped
from .channelwise import Channelwise
from .contrast import Contrasted
from .dino import SelfDistillation
from .mae import MaskedAutoencoder
from .shape_autoencoder import ShapeAutoencoder, ShapeVariationalAutoencoder
from .shape_contrast import ShapeSimCLR
from .shape_mae import ShapeMaskedAutoencoder
from .shape_vqvae import ShapeQuantisedAutoencoder
from .vqvae import QuantisedAutoencoder

IMAGE_OBJECTIVES: Mapping[type[Any], Callable[[ImageModel, Any, int], Objective]] = {
    image.AE: Autoencoder,
    image.VAE: VariationalAutoencoder,
    image.VQVAE: QuantisedAutoencoder,
    image.MAE: MaskedAutoencoder,
    image.DINO: SelfDistillation,
}
"""Settings -> network, which takes the model, these settings and the number of its input channels."""

SHAPE_OBJECTIVES: Mapping[type[Any], Callable[[ShapeModel, Any, int], Objective]] = {
    shape.ShapeAE: ShapeAutoencoder,
    shape.ShapeVAE: ShapeVariationalAutoencoder,
    shape.ShapeVQVAE: ShapeQuantisedAutoencoder,
    shape.ShapeMAE: ShapeMaskedAutoencoder,
    shape.ShapeContrast: ShapeSimCLR,
}
"""Settings -> network, which takes the model, these settings and the number of points of a contour."""


def build_objective(model: ImageModel | ShapeModel, size: int, channels: Sequence[str] | None = None) -> Objective:
    """Return the network of a model file, wrapped as its channels and contrast ask.

    Its initial weights come from torch's random state.

    Args:
        model: The model file.
        size: Channels of a tile, or points of a contour.
        channels: Names of the tile's channels, which a model that maps them by name needs.

    Raises:
        PhenoloomError: The model maps channels by name, and the names are missing or do not fit.
    """
    if isinstance(model, ShapeModel):
        return SHAPE_OBJECTIVES[type(model.objective)](model, model.objective, size)
    settings = model.channels
    inputs = {"joint": size, "separate": 1}.get(settings.mode, settings.inputs)
    objective = IMAGE_OBJECTIVES[type(model.objective)](model, model.objective, inputs)
    values = model.latent
    if settings.mode in {"separate", "replicate"}:
        objective = Channelwise(objective, model, inputs)
        if settings.combine == "concatenate" and not objective.apart:
            values *= size
    elif settings.mode == "map":
        if channels is None:
            raise PhenoloomError("`channels.mode: map` needs the names of the channels; they are in `source.channels`")
        objective = ChannelMapped(objective, settings, channels)
    return Contrasted(objective, model.contrast, model.augment, values) if model.contrast else objective
