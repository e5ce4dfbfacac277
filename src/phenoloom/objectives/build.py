"""Build the objective of a model file: its loss, how channels reach it, and the contrastive term around both.

A new objective is one more entry of `IMAGE_OBJECTIVES` or `SHAPE_OBJECTIVES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..config.model import ImageModel, ShapeModel
from ..core.errors import PhenoloomError
from .autoencoder import AE, VAE
from .base import Objective
from .channel_map import Mapped
from .channelwise import Channelwise
from .contrast import Contrasted
from .dino import DINO
from .mae import MAE
from .shape_autoencoder import ShapeAE, ShapeVAE
from .shape_contrast import ShapeContrast
from .shape_mae import ShapeMAE
from .shape_vqvae import ShapeVQVAE
from .vqvae import VQVAE

IMAGE_OBJECTIVES: Mapping[str, Callable[[ImageModel, int], Objective]] = {
    "ae": AE,
    "vae": VAE,
    "vqvae": VQVAE,
    "mae": MAE,
    "dino": DINO,
}


def build_image_objective(model: ImageModel, channels: int, names: Sequence[str] | None = None) -> Objective:
    """The network of a model file for tiles of `channels` channels; `names` are theirs, which `map` needs."""
    settings = model.channels
    inputs = {"joint": channels, "separate": 1}.get(settings.mode, settings.inputs)
    objective = IMAGE_OBJECTIVES[model.objective.name](model, inputs)
    values = model.latent
    if settings.mode in {"separate", "replicate"}:
        objective = Channelwise(objective, model, inputs)
        if settings.combine == "concatenate" and not objective.apart:
            values *= channels
    elif settings.mode == "map":
        if names is None:
            raise PhenoloomError("`channels.mode: map` needs the names of the channels; they are in `source.channels`")
        objective = Mapped(objective, settings, names)
    return Contrasted(objective, model, values) if model.contrast else objective


SHAPE_OBJECTIVES: Mapping[str, Callable[[ShapeModel, int], Objective]] = {
    "ae": ShapeAE,
    "vae": ShapeVAE,
    "vqvae": ShapeVQVAE,
    "mae": ShapeMAE,
    "contrast": ShapeContrast,
}


def build_shape_objective(model: ShapeModel, points: int) -> Objective:
    """The network of a model file for contours of `points` points."""
    return SHAPE_OBJECTIVES[model.objective.name](model, points)


def build_objective(model: ImageModel | ShapeModel, size: int, channels: Sequence[str] | None = None) -> Objective:
    """The network of a model file; `size` is the number of channels of a tile, or of points of a contour.

    `channels` are the names of the tile's channels, which a model that maps them by name needs.
    """
    if isinstance(model, ShapeModel):
        return build_shape_objective(model, size)
    return build_image_objective(model, size, channels)
