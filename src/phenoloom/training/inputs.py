"""How a batch that was read becomes what a network takes: normalised, augmented, its channels in their places."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..augment.contours import augment_contours
from ..augment.tiles import augment
from ..config.model import ImageModel, ShapeModel
from ..data.loader import Rows
from ..data.mixed_source import MixedView
from ..nets.cyclic_form import about_centroid
from .batches import Prepare
from .dataset import Material

Model = ImageModel | ShapeModel


def preparation(model: Model, material: Material, makes_views: bool) -> Prepare:
    """The preparation of a material's batches; objectives that draw views of their own augment by themselves."""
    if isinstance(material.view, MixedView):
        return _of_several(model, material, material.view, makes_views)

    def prepare(batch: Tensor, generator: torch.Generator | None, rows: Rows) -> Tensor:
        inputs = batch if material.normaliser is None else material.normaliser(batch)
        inputs = inputs if makes_views or generator is None else augmented(model, inputs, generator)
        return inputs if material.placement is None else material.placement(inputs)

    return prepare


def augmented(model: Model, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Tiles or contours as the model wants them in training.

    Channels are augmented before they are put in their places: an input that has none stays what `fill` says.
    """
    if isinstance(model, ImageModel):
        return augment(inputs, model.augment, generator)
    contours = augment_contours(inputs, model.augment, generator)
    # In the frame in which contours are embedded: that of the augmented is the mean of their points.
    return about_centroid(contours) if model.augment.any else contours


def _of_several(model: Model, material: Material, view: MixedView, makes_views: bool) -> Prepare:
    def prepare(batch: Tensor, generator: torch.Generator | None, rows: Rows) -> Tensor:
        studies = view.study_of(rows)
        whole: Tensor | None = None
        for number in np.unique(studies):
            places = np.flatnonzero(studies == number)
            at = torch.from_numpy(places).to(batch.device)
            intake = material.intakes[number]
            inputs = intake.inputs(batch[at], rows[places], generator)
            inputs = inputs if makes_views or generator is None else augmented(model, inputs, generator)
            inputs = inputs if intake.placement is None else intake.placement(inputs)
            if whole is None:
                # Channels last, as every batch of images is.
                layout = torch.channels_last if inputs.ndim == 4 else torch.contiguous_format
                shape = (len(rows), *inputs.shape[1:])
                whole = torch.empty(shape, dtype=inputs.dtype, device=inputs.device, memory_format=layout)
            whole.index_copy_(0, at, inputs)
        assert whole is not None
        return whole

    return prepare
