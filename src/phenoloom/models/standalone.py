"""A trained encoder as one plain network: what a camera or a tracer gives goes in, vectors come out.

Everything that embedding does lies inside the graph, so that no step can be forgotten where it runs.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..artifacts.layout import CARD
from ..augment.tiles import symmetries
from ..core.errors import PhenoloomError
from ..nets.cyclic_form import about_centroid
from ..objectives import Objective
from .checkpoint import Card, load_objective


class TileEncoder(nn.Module):
    """Tiles (b, c, size, size) in the unit of the camera, as float32 -> vectors (b, latent).

    The same as `channels.Normaliser` and `Objective.embed`; resizing is a product with the matrix of its weights, since
    it is linear in each axis, and a product is the same everywhere. Where a model averages over orientations, they go
    through the network as one batch, so that the graph holds it once.
    """

    mean: Tensor
    scale: Tensor
    resize: Tensor | None

    def __init__(self, objective: Objective, mean: list[float], std: list[float], size: int, input_size: int) -> None:
        super().__init__()
        self.objective = objective
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("scale", 1 / torch.tensor(std).view(1, -1, 1, 1))
        self.register_buffer("resize", _resizing(size, input_size) if size != input_size else None)

    def forward(self, tiles: Tensor) -> Tensor:
        """Return vectors (b, latent)."""
        values = (tiles - self.mean) * self.scale
        if self.resize is not None:
            values = self.resize @ values @ self.resize.T
        if not self.objective.averages_orientations:
            return self.objective.embed(values)
        vectors = self.objective.embed(torch.cat(list(symmetries(values))), orientations=False)
        return vectors.view(8, tiles.shape[0], -1).mean(0)


class ContourEncoder(nn.Module):
    """Closed contours (b, points, 2) of equal arc length, anywhere and of any size, as float32 -> vectors (b, latent).

    Centred on the polygon's centroid and divided by the root mean square distance of the points from it, as the store's
    contours are.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, contours: Tensor) -> Tensor:
        """Return vectors (b, latent)."""
        return self.objective.embed(about_centroid(contours))


def encoder_of(model: Path, card: Card) -> TileEncoder | ContourEncoder:
    """Return the encoder of a model folder in evaluation mode, on the CPU."""
    objective = load_objective(model, card)
    # What only training needs must not travel with the encoder, nor keep it from being exported.
    objective.requires_grad_(False)
    if not card.domain.normalises:
        return ContourEncoder(objective).eval()
    size, input_size = item_shape(model, card)[-1], card.domain.input_shape(card.size)[-1]
    return TileEncoder(objective, card.mean or [], card.std or [], size, input_size).eval()


def item_shape(model: Path, card: Card) -> tuple[int, ...]:
    """Return the shape of one input of the encoder: (channels, y, x) in px, or (points, 2).

    Raises:
        PhenoloomError: The card does not state the size of the tiles.
    """
    made = card.preparation.convert
    try:
        return card.domain.item_shape(card.size, made.tiles.size if made else None)
    except PhenoloomError as error:
        raise PhenoloomError(f"{model / CARD}: {error}") from None


def _resizing(size: int, target: int) -> Tensor:
    """Return the weights (target, size) of bilinear resizing with antialiasing along one axis."""
    rows = torch.eye(size)[None, None]
    # Along y a single column would do; the identity gives the weights of each pixel at once.
    return F.interpolate(rows, (target, size), mode="bilinear", antialias=True, align_corners=False)[0, 0]
