"""A contrastive term beside any objective of tiles, on the vectors that the objective makes anyway.

InfoNCE (van den Oord et al. 2018) where an item has one partner, and its supervised form (Khosla et al. 2020) where it
has several. As in CAN (Mishra et al. 2022), the term sees what the objective sees: an MAE's visible patches, DINO's
global crops.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..augment.tiles import augment
from ..config.image_objectives import Contrast
from ..config.model import Augment
from ..core.errors import PhenoloomError
from ..nets.heads import ProjectionHead
from ..nets.precision import in_float32
from .base import Objective, Outcome, Wrapper


class Contrasted(Wrapper):
    """The loss of `base` + `weight` x the contrastive loss of its projected features."""

    def __init__(self, base: Objective, settings: Contrast, augment: Augment, values: int) -> None:
        """Wrap `base`, which has features of `values` values; `augment` makes two views where `base` makes none."""
        super().__init__(base)
        self.settings, self.augment = settings, augment
        self.head = ProjectionHead(values, settings.projection, batch_norm=settings.head_batch_norm)

    @property
    def pairs(self) -> str | None:
        """Return the kind of pairs that need keys; views and channels of an item need none."""
        return None if self.settings.pairs in {"views", "channels"} else self.settings.pairs

    @property
    def makes_views(self) -> bool:
        """Return whether the base augments, or two augmentations of each tile are made here."""
        return self.base.makes_views or self.settings.pairs == "views"

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None, keys: Tensor | None = None) -> Outcome:
        """Return the loss of normalised tiles.

        Args:
            inputs: Tiles (b, c, y, x).
            generator: Source of the randomness of training; None in evaluation.
            keys: Integers (b, 2) for what an item is and where it was found. Two items belong together if they are the
                same and were found in different places.

        Raises:
            PhenoloomError: The kind of pairs needs keys, and there are none.
        """
        b = len(inputs)
        if self.pairs and keys is None:
            raise PhenoloomError(
                f"The contrastive term pulls {self.pairs} together and needs their keys with each batch"
            )
        if self.settings.pairs == "views" and not self.base.makes_views:
            # In evaluation there is nothing random: a tile and its mirror image.
            views = (
                [augment(inputs, self.augment, generator) for _ in range(2)] if generator else [inputs, inputs.flip(-1)]
            )
            inputs = torch.cat(views)
        outcome: Outcome = self.base(inputs, generator)
        views_and_items = outcome.features.reshape(-1, b, outcome.features.shape[-1])
        unit = self.head(views_and_items)
        term = supervised_contrast(unit.flatten(0, 1), self._keys(unit, keys), self.settings.temperature)
        parts = {**outcome.parts, "contrast": term}
        return dataclasses.replace(outcome, loss=outcome.loss + self.settings.weight * term, parts=parts)

    def _keys(self, unit: Tensor, keys: Tensor | None) -> Tensor:
        """Keys (views * b, 2) in the order of the flattened features."""
        views, b = unit.shape[:2]
        if keys is not None:
            return keys.repeat(views, 1)
        item = torch.arange(b, device=unit.device).repeat(views)
        view = torch.arange(views, device=unit.device).repeat_interleave(b)
        return torch.stack([item, view], 1)


@in_float32
def supervised_contrast(unit: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss (Khosla et al. 2020, eq. 2), a scalar.

    Pairs of the same item and the same place are left out, neither attracted nor repelled: the vectors should not
    encode the place. An item without a partner adds nothing, and a batch without any has loss 0.

    Args:
        unit: Unit vectors (n, d).
        keys: Integers (n, 2) for what an item is and where it was found.
        temperature: Divisor of the cosines.
    """
    same, here = (keys[:, None, i] == keys[None, :, i] for i in (0, 1))
    partner = same & ~here
    others = ~(same & here)
    logits = unit @ unit.T / temperature
    # Finite, so that an item without any other has a gradient of zero and not NaN.
    logs = logits - logits.masked_fill(~others, -1e9).logsumexp(1, keepdim=True)
    counts = partner.sum(1)
    losses = -(logs * partner).sum(1) / counts.clamp(min=1)
    return losses.sum() / (counts > 0).sum().clamp(min=1)
