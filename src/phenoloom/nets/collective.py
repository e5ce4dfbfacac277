"""Collective operations of processes that train one model together.

A global batch is cut into one share for each process. Everything that a step computes from a batch is then made equal
to what one process would compute from all of it: gradients weigh each row alike, batch norms and codebooks see all
rows. Only the order of sums differs, and the draws of augmentations, which each process makes for its own rows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from ..core.errors import PhenoloomError


def active() -> bool:
    """Return whether this process is one of several."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def rank() -> int:
    """Return the number of this process among those that train together, from 0."""
    return distributed.get_rank() if active() else 0


def share(plan: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return this process's part of each global batch; parts differ by one row at most.

    Args:
        plan: Rows of each global batch.

    Raises:
        PhenoloomError: A batch has fewer rows than there are processes.
    """
    if not active():
        return plan
    size = distributed.get_world_size()
    smallest = min(map(len, plan))
    if smallest < size:
        raise PhenoloomError(
            f"a batch of {smallest} rows cannot be shared by {size} processes; raise training.batch_size or train with "
            "fewer processes"
        )
    return [np.array_split(batch, size)[rank()] for batch in plan]


def weight(own: int, everyone: int) -> float:
    """Return the factor of this process's mean loss with which the mean over processes is that of all rows.

    Gradients are averaged over P processes: (1 / P) sum_p w_p (1 / n_p) sum_i g_i is (1 / N) sum_i g_i for
    w_p = P n_p / N.

    Args:
        own: Rows n_p of this process, or of one part where it adds up the gradients of several.
        everyone: Rows N of all processes.
    """
    return (distributed.get_world_size() if active() else 1) * own / everyone


def offset_of(count: int) -> tuple[int, int]:
    """Return the number of items of the processes before this one, and of all."""
    counts = gather_objects(count) if active() else [count]
    return sum(counts[: rank()]), sum(counts)


def broadcast_from_first(value: Tensor) -> Tensor:
    """Replace a tensor by that of the first process."""
    if active():
        distributed.broadcast(value, src=0)
    return value


def gather_objects(value: Any) -> list[Any]:
    """Return the value of every process, in their order; the values are pickled."""
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, value, group=_messages())
    return found


def any_of(flag: bool) -> bool:
    """Return whether the flag is set in any process: a decision that all must take alike."""
    if not active():
        return flag
    message = torch.tensor(int(flag))
    distributed.all_reduce(message, op=distributed.ReduceOp.MAX, group=_messages())
    return bool(message)


@cache
def _messages() -> distributed.ProcessGroup | None:
    """Return the group for messages between the processors, for which the devices need not wait."""
    return distributed.new_group(backend="gloo") if distributed.get_backend() != "gloo" else None


def sum_dicts(sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return sums over processes by name; a process that lacks a name adds nothing to it."""
    if not active():
        return sums
    merged: dict[str, Tensor] = {}
    for part in gather_objects({name: value.cpu() for name, value in sums.items()}):
        for name, value in part.items():
            merged[name] = merged[name] + value if name in merged else value
    device = next(iter(sums.values())).device if sums else torch.device("cpu")
    return {name: value.to(device) for name, value in merged.items()}


def sum_in_place(value: Tensor) -> Tensor:
    """Replace a tensor by its sum over processes, outside of gradients."""
    if active():
        distributed.all_reduce(value)
    return value
