"""Vectors of a model for every row of an index, streamed in batches."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config.model import ImageModel
from ..core.errors import PhenoloomError
from ..core.gpu_usage import SUFFIX, recorded_use
from ..core.progress import progress
from ..data.loader import Loader, cut
from ..data.sources import ContourSource, TileSource
from ..models.checkpoint import CARD, Card, load_objective, read_card
from ..objectives import Objective
from ..splits.split import ALL

BATCH = 64


@dataclass(frozen=True)
class Vectors:
    """`values` (found rows, latent) float32 on disk, in the order of the index; `found` is a mask of the index.

    `objective` is what made them of the items of `view`.
    """

    values: NDArray[np.float32]
    found: NDArray[np.bool_]
    objective: Objective
    view: TileSource | ContourSource
    card: Card

    @property
    def scale(self) -> NDArray[np.float32] | None:
        """Sizes of outlines in px; none for tiles."""
        return self.view.scale if isinstance(self.view, ContourSource) else None


class Guest(NamedTuple):
    """Rows of `study` that are embedded by an encoder of the study `source`."""

    study: str
    source: str


def encode(
    table: pd.DataFrame,
    stores: Sequence[Path],
    model: Path,
    *,
    split: str,
    untrained: bool,
    threads: int,
    scratch: Path,
    guest: Guest | None = None,
) -> Vectors:
    """Embed the rows of `table` (id, and for tiles shard and position) with the model folder `model`.

    Vectors and contours live in files without a name in `scratch`, so memory does not grow with the study. Batches
    follow the ids, not the index, so a vector does not depend on the number of shards to its last bit.

    A `guest` has the rows of another study than the encoder's: its channels go by name, and are normalised by the
    statistics of the encoder's own tiles. Raises PhenoloomError for other channels and another type of pixels.
    """
    torch.set_num_threads(threads)
    card = read_card(model)
    # One encoder that never saw the study serves all of its folds.
    if card.split != (split if card.trained_here else ALL):
        raise PhenoloomError(f"{model / CARD} was trained for split {card.split}, expected {split}; train again")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if guest and card.study != guest.source:
        raise PhenoloomError(f"{model / CARD} was trained for study {card.study}, expected {guest.source}")
    objective = load_objective(model, card, untrained=untrained).to(device)
    view, found = _open_view(table, stores, card, model, scratch)
    inputs = _inputs(card, split, _channel_order(view, card, model, guest))
    order = np.argsort(table["id"].to_numpy()[found].astype(str), kind="stable")
    values: NDArray[np.float32] | None = None
    use = recorded_use(device, scratch / f"{split}.{SUFFIX}")
    with Loader(view, threads, device) as loader, torch.inference_mode(), use:
        plan = cut(order, BATCH)
        batches = progress(zip(plan, loader.batches(plan), strict=True), len(plan), f"{card.name} {split}", "batches")
        for rows, batch in batches:
            vectors = objective.embed(inputs(batch))
            if values is None:
                values = _on_disk(scratch, (len(view), vectors.shape[1]))
            values[rows] = vectors.cpu().numpy()
    if values is None:
        raise PhenoloomError(f"No row of the index has anything to embed with {model}; rerun the step `contours`")
    return Vectors(values, found, objective, view, card)


def _open_view(
    table: pd.DataFrame, stores: Sequence[Path], card: Card, model: Path, scratch: Path
) -> tuple[TileSource | ContourSource, NDArray[np.bool_]]:
    if isinstance(card.model, ImageModel):
        return TileSource(table, stores), np.ones(len(table), bool)
    shapes = ContourSource(table, stores, scratch)
    if shapes.item[0] != card.points:
        raise PhenoloomError(
            f"{model / CARD} was trained on contours of {card.points} points, these have {shapes.item[0]}; train again"
        )
    return shapes, shapes.found


def _channel_order(view: TileSource | ContourSource, card: Card, model: Path, guest: Guest | None) -> list[int] | None:
    """Channels of a guest's tiles in the order of those that were trained on; None where they are as they should be."""
    if not isinstance(view, TileSource) or not isinstance(card.model, ImageModel):
        return None
    trained = card.channels or []
    if not guest:
        if view.channels != trained:
            raise PhenoloomError(
                f"{model / CARD} was trained on channels {card.channels}, the tiles have {view.channels}; train again"
            )
        return None
    order = card.model.channels.places(trained, view.channels)
    if order is None:
        raise PhenoloomError(
            f"{model / CARD} was trained on channels {', '.join(trained)}, and {guest.study} has "
            f"{', '.join(view.channels)}; name them alike (`source.channels`, or `channels.aliases` of the model)"
        )
    # Statistics have the camera's unit, and none of the guest's own may take their place.
    dtype = card.preparation and card.preparation.dtype
    if dtype and dtype != view.dtype.name:
        raise PhenoloomError(
            f"{model / CARD} was trained on pixels of type {dtype}, and {guest.study} has {view.dtype.name}; give both "
            "studies images of one type"
        )
    return None if order == list(range(len(order))) else order


def _inputs(card: Card, split: str, order: list[int] | None) -> Callable[[Tensor], Tensor]:
    """How items become what the network takes."""
    if not isinstance(card.model, ImageModel):
        return lambda batch: batch
    normaliser, placement = card.normaliser(split), card.placement

    def prepared(batch: Tensor) -> Tensor:
        # Converted first: on a GPU torch picks from no unsigned integers.
        values = normaliser(batch if order is None else batch.float()[:, order])
        return values if placement is None else placement(values)

    return prepared


def _on_disk(folder: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    folder.mkdir(parents=True, exist_ok=True)
    # The mapping keeps the file alive; it has no name, so no kill leaves it behind.
    with tempfile.TemporaryFile(dir=folder) as file:
        # A page for which the disk has no room would end the process at the write, without a word.
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, max(1, 4 * shape[0] * shape[1]))
        return np.memmap(file, np.float32, "w+", shape=shape)
