"""Several studies as one source of items, however their tiles differ in size, channels and dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .loader import Rows
from .sources import StudySource

ALIGNED = 16
"""The length of an item in bytes is a multiple of this, so that values of every dtype may begin there."""


class MixedSource:
    """The items of several sources, one source after the other, as bytes of one length.

    Shorter items leave the rest of the bytes as they are. Memory is that of the largest item, and items are read in
    the order in which they lie in the stores.

    Attributes:
        sources: The sources.
        starts: Position of the first item of each source, and the number of all items (sources + 1,).
        item: Shape (bytes,) of an item.
        dtype: uint8.
    """

    def __init__(self, sources: Sequence[StudySource]) -> None:
        self.sources = list(sources)
        self.starts = np.cumsum([0, *map(len, sources)])
        largest = max(_nbytes(source) for source in sources)
        self.item: tuple[int, ...] = (-(-largest // ALIGNED) * ALIGNED,)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def source_of(self, rows: Rows) -> NDArray[np.int64]:
        """Return the number of the source of each row (rows,)."""
        return np.asarray(np.searchsorted(self.starts, rows, side="right") - 1, np.int64)

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        """Fill `out` (len(rows), bytes) with the items of `rows`."""
        numbers = self.source_of(rows)
        for number in np.unique(numbers):
            source, places = self.sources[number], np.flatnonzero(numbers == number)
            local = rows[places] - self.starts[number]
            length = _nbytes(source)
            for i in source.file_order(local):
                one = out[places[i], :length].view(source.dtype).reshape(1, *source.item)
                source.read(local[i : i + 1], one)

    def items(self, number: int, batch: Tensor) -> Tensor:
        """Return bytes (b, n) as items (b, *item) of the source `number`, in its dtype."""
        source = self.sources[number]
        # An array has torch's name of every dtype that NumPy and torch share.
        dtype = torch.from_numpy(np.empty(0, source.dtype)).dtype
        return batch[:, : _nbytes(source)].contiguous().view(dtype).view(-1, *source.item)


def _nbytes(source: StudySource) -> int:
    return math.prod(source.item) * source.dtype.itemsize
