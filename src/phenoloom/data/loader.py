"""Batches for the device: threads of this process decode ahead of the step into buffers that are used again.

Decoding happens outside the interpreter lock, so threads beat worker processes: nothing is copied between processes.
Integers are copied to the device, where `domain` makes inputs of them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BATCHES_AHEAD = 3

Rows = NDArray[np.int64]


class Source(Protocol):
    """Items of one shape and dtype, by number; `read` may be called from many threads at once."""

    @property
    def item(self) -> tuple[int, ...]:
        """Return the shape of one item."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype of its values."""

    def __len__(self) -> int: ...

    def read(self, rows: Rows, out: NDArray[Any]) -> None:
        """Fill `out` (len(rows), *item) with the items `rows`."""


class Loader:
    """Batches of a source, read ahead of the step; a context manager, for one pass at a time.

    Order and content do not depend on the number of threads. On CUDA the buffers are pinned and copied while the device
    computes.

    Attributes:
        waited: Seconds for which the caller has waited for decoding.
    """

    def __init__(self, source: Source, threads: int, device: torch.device | None = None) -> None:
        """Start `threads` threads that decode items of `source` for `device` (default: the CPU)."""
        self.source, self.threads = source, threads
        self.device = device or torch.device("cpu")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="loader")
        self._buffers: list[Tensor] = []
        self.waited = 0.0

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, plan: Sequence[Rows]) -> Iterator[Tensor]:
        """Yield the batches of `plan`, each (len(rows), *item) in the source's dtype on the device.

        A batch is valid until the next one is requested, which fills its memory anew.
        """
        if not plan:
            return
        free: deque[tuple[Tensor, torch.cuda.Event | None]] = deque(
            (buffer, None) for buffer in self._prepare_buffers(max(map(len, plan)))
        )
        waiting: deque[tuple[Tensor, int, list[Future[None]]]] = deque()
        upcoming = iter(plan)
        try:
            for _ in range(len(plan)):
                while free and (rows := next(upcoming, None)) is not None:
                    buffer, copied = free.popleft()
                    if copied is not None:
                        copied.synchronize()
                    waiting.append((buffer, len(rows), self._start(rows, buffer)))
                buffer, size, pieces = waiting.popleft()
                asked = time.monotonic()
                for piece in pieces:
                    piece.result()
                self.waited += time.monotonic() - asked
                batch = buffer[:size].to(self.device, non_blocking=True)
                event = torch.cuda.current_stream().record_event() if self.device.type == "cuda" else None
                yield batch
                free.append((buffer, event))
        finally:
            # No thread may write into the buffers of a later pass.
            for _, _, pieces in waiting:
                for piece in pieces:
                    piece.cancel()
                wait_for(pieces)

    def _start(self, rows: Rows, buffer: Tensor) -> list[Future[None]]:
        out = buffer.numpy()
        cuts = np.linspace(0, len(rows), min(self.threads, len(rows)) + 1).astype(int)
        return [self._pool.submit(self.source.read, rows[start:end], out[start:end]) for start, end in pairwise(cuts)]

    def _prepare_buffers(self, size: int) -> list[Tensor]:
        if not self._buffers or len(self._buffers[0]) < size:
            shape = (size, *self.source.item)
            self._buffers = [_buffer(shape, self.source.dtype, self.device) for _ in range(BATCHES_AHEAD)]
        return self._buffers


def _buffer(shape: tuple[int, ...], dtype: np.dtype[Any], device: torch.device) -> Tensor:
    # NumPy asks the system for huge pages, torch does not: decoding into them takes a twentieth less time.
    buffer = torch.from_numpy(np.empty(shape if device.type == "cpu" else 0, dtype))
    return buffer if device.type == "cpu" else torch.empty(shape, dtype=buffer.dtype, pin_memory=device.type == "cuda")


class Epoch:
    """One pass over a plan, as an iterable with a length."""

    def __init__(self, loader: Loader, plan: Sequence[Rows]) -> None:
        self.loader, self.plan = loader, plan

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Tensor]:
        return self.loader.batches(self.plan)


def cut(rows: Rows, batch_size: int) -> list[Rows]:
    """Return batches of at most `batch_size` rows with sizes that differ by one at most: no last batch of one item."""
    return np.array_split(rows, -(-len(rows) // batch_size)) if len(rows) else []


def shuffled(rows: Rows, batch_size: int, seed: int, epoch: int) -> list[Rows]:
    """Return the batches of one epoch in an order that depends on `seed` and `epoch` alone.

    Args:
        rows: Rows of the epoch.
        batch_size: Rows of a batch at most.
        seed: Seed of the training.
        epoch: Number of the epoch, from 0.
    """
    return cut(np.random.default_rng([seed, epoch]).permutation(rows), batch_size)
