"""Embed the rows of an index with a trained model, in batches."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..artifacts.layout import CARD, GPU_USAGE
from ..core.errors import PhenoloomError
from ..core.gpu_usage import recorded_use
from ..core.progress import progress
from ..data.domain import domain_of
from ..data.loader import Loader, cut
from ..data.opened import TrainedOn
from ..data.sources import StudySource
from ..models.checkpoint import Card, load_objective, read_card
from ..objectives import Objective
from ..splits.split import ALL
from .representation import Encoder

BATCH = 64


@dataclass(frozen=True)
class Encoded:
    """The vectors of a model.

    Attributes:
        values: Vectors (found rows, latent) on the disk, in the order of the index.
        found: Mask of the rows of the index that have a vector (rows,).
        encoder: The encoder that was asked for.
        objective: Its network.
        card: Its card.
        source: The items that it embedded, with the sizes of contours in `scale`.
    """

    values: NDArray[np.float32]
    found: NDArray[np.bool_]
    encoder: Encoder
    objective: Objective
    card: Card
    source: StudySource


def encode(encoder: Encoder, rows: pd.DataFrame, stores: Sequence[Path], scratch: Path, threads: int) -> Encoded:
    """Embed the rows of an index with a model.

    Vectors and contours lie in files without a name in `scratch`, so memory does not grow with the study. Batches
    follow the ids, not the index, so a vector does not depend on the number of shards to its last bit.

    The tiles of a guest are given to the encoder with their channels matched by name, normalised by the statistics of
    the encoder's own tiles.

    Args:
        encoder: The encoder.
        rows: Rows of the index: `id`, and for tiles `shard` and `position`.
        stores: Manifests of the stores of the rows, one a shard.
        scratch: Folder for temporary files.
        threads: Number of threads.

    Raises:
        PhenoloomError: The model is of another split or study, or the items have other channels, another type of
            pixels or another number of points than those that it was trained on.
    """
    torch.set_num_threads(threads)
    card = _card(encoder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    objective = load_objective(encoder.model, card, untrained=encoder.untrained).to(device)
    domain = domain_of(card.model)
    opened = domain.open(rows, stores, scratch)
    trained = TrainedOn(card.channels, card.points, card.preparation.dtype, encoder.model / CARD)
    channels = domain.match(opened.source, trained, encoder.guest.study if encoder.guest else None)
    normaliser, placement = card.normaliser(encoder.split), card.placement
    name = f"{card.name} {encoder.split}"

    def embed(batch: Tensor) -> Tensor:
        return objective.embed(domain.prepare(batch, normaliser, placement, channels))

    order = np.argsort(rows["id"].to_numpy()[opened.found].astype(str), kind="stable")
    use = recorded_use(device, scratch / f"{encoder.split}.{GPU_USAGE}")
    with Loader(opened.source, threads, device) as loader, torch.inference_mode(), use:
        values = _embedded(embed, loader, order, scratch, name)
    if values is None:
        raise PhenoloomError(
            f"No row of the index has anything to embed with {encoder.model}; rerun the step `contours`"
        )
    return Encoded(values, opened.found, encoder, objective, card, opened.source)


def _embedded(
    embed: Callable[[Tensor], Tensor], loader: Loader, order: NDArray[np.int64], scratch: Path, name: str
) -> NDArray[np.float32] | None:
    """The vectors of all items, by their positions; `order` has the positions in the order of the batches."""
    values: NDArray[np.float32] | None = None
    plan = cut(order, BATCH)
    for places, batch in progress(zip(plan, loader.batches(plan), strict=True), len(plan), name, "batches"):
        vectors = embed(batch)
        if values is None:
            values = _on_disk(scratch, (len(order), vectors.shape[1]))
        values[places] = vectors.cpu().numpy()
    return values


def _card(encoder: Encoder) -> Card:
    """The card of the model; refuses one of another split or study."""
    card, path = read_card(encoder.model), encoder.model / CARD
    # One encoder that never saw the study serves all of its folds.
    split = encoder.split if card.trained_here else ALL
    if card.split != split:
        raise PhenoloomError(f"{path} was trained for split {card.split}, expected {encoder.split}; train again")
    if encoder.guest and card.study != encoder.guest.source:
        raise PhenoloomError(f"{path} was trained for study {card.study}, expected {encoder.guest.source}")
    return card


def _on_disk(folder: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    folder.mkdir(parents=True, exist_ok=True)
    # The mapping keeps the file alive; it has no name, so no kill leaves it behind.
    with tempfile.TemporaryFile(dir=folder) as file:
        # Reserved first: a write to a mapped page on a full disk would end the process without a message.
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, max(1, 4 * shape[0] * shape[1]))
        return np.memmap(file, np.float32, "w+", shape=shape)
