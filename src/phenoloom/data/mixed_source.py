"""Several studies as one source of items, however their tiles differ in size, channels and type of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .channels import Normaliser, Placement
from .loader import Rows
from .sources import ContourSource, TileSource

ALIGNED = 16
"""Bytes that the length of an item is a multiple of, so that every type of pixel may begin there."""


class MixedSource:
    """The items of several views, one after the other, as bytes of one length: shorter items leave the rest as it is.

    Memory is that of the largest item, and items are read in the order in which they lie in the stores.
    """

    def __init__(self, views: Sequence[TileSource | ContourSource]) -> None:
        self.views = list(views)
        self.starts = np.cumsum([0, *map(len, views)])
        largest = max(_nbytes(view) for view in views)
        self.item: tuple[int, ...] = (-(-largest // ALIGNED) * ALIGNED,)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def study_of(self, rows: Rows) -> NDArray[np.int64]:
        """Number of the view that each row belongs to."""
        return np.asarray(np.searchsorted(self.starts, rows, side="right") - 1, np.int64)

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        """Fill `out` (len(rows), bytes) with the items of `rows`."""
        studies = self.study_of(rows)
        for number in np.unique(studies):
            view, places = self.views[number], np.flatnonzero(studies == number)
            local = rows[places] - self.starts[number]
            length = _nbytes(view)
            for i in view.file_order(local):
                one = out[places[i], :length].view(view.dtype).reshape(1, *view.item)
                view.read(local[i : i + 1], one)


@dataclass(frozen=True)
class Intake:
    """How items of one study become inputs: `normaliser` and `placement` of tiles; `drawn` channels of each, if any.

    Where `drawn` is given, the network takes channels one by one, and so many of each tile: in training at random, else
    in turn. Every study then weighs by its items, however many channels it has.
    """

    item: tuple[int, ...]
    dtype: torch.dtype
    normaliser: Normaliser | None
    placement: Placement | None
    drawn: int | None

    @property
    def nbytes(self) -> int:
        """Bytes of an item."""
        return math.prod(self.item) * self.dtype.itemsize

    def items(self, batch: Tensor) -> Tensor:
        """Bytes (b, n) as items (b, *item)."""
        return batch[:, : self.nbytes].contiguous().view(self.dtype).view(-1, *self.item)

    def inputs(self, batch: Tensor, rows: Rows, generator: torch.Generator | None) -> Tensor:
        """Bytes as normalised items, tiles with the channels that the network sees."""
        items = self.items(batch)
        return items if self.normaliser is None else self.choose(self.normaliser(items), rows, generator)

    def choose(self, tiles: Tensor, rows: Rows, generator: torch.Generator | None) -> Tensor:
        """The channels (b, drawn, y, x) of tiles that the network sees."""
        channels = tiles.shape[1]
        if self.drawn is None or self.drawn == channels:
            return tiles
        if generator is None:
            turn = torch.from_numpy(rows % channels).to(tiles.device)
            wanted = (turn[:, None] + torch.arange(self.drawn, device=tiles.device)) % channels
        else:
            draws = torch.rand((len(tiles), channels), generator=generator, device=tiles.device)
            wanted = draws.argsort(1)[:, : self.drawn].sort(1).values
        return torch.take_along_dim(tiles, wanted[:, :, None, None], 1)


def intake(
    view: TileSource | ContourSource, normaliser: Normaliser | None, placement: Placement | None, drawn: int | None
) -> Intake:
    """The intake of a view."""
    # An array tells torch's name of every type that NumPy and torch share.
    dtype = torch.from_numpy(np.empty(0, view.dtype)).dtype
    return Intake(view.item, dtype, normaliser, placement, drawn)


def _nbytes(view: TileSource | ContourSource) -> int:
    return math.prod(view.item) * view.dtype.itemsize
