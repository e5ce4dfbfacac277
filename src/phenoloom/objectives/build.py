"""The objective of a model of tiles: its loss, how channels reach it, and the contrastive term around both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..config.model import ImageModel
from ..core.errors import PhenoloomError
from .autoencoder import AE, VAE
from .base import Objective
from .channel_map import Mapped
from .channelwise import Channelwise
from .contrast import Contrasted
from .dino import DINO
from .mae import MAE
from .vqvae import VQVAE

LOSSES: Mapping[str, Callable[[ImageModel, int], Objective]] = {
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
    objective = LOSSES[model.objective.name](model, inputs)
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
