"""Work on many items in dask's threads, whose results are taken one after another, in order, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import dask.threaded

T = TypeVar("T")

AHEAD_PER_THREAD = 4
"""Items that a thread may finish before the item whose turn it is has been taken."""

GRAPH_ITEMS = 4096
"""Items in one graph; more would only make the graph itself large."""


def in_order(work: Callable[[int], T], take: Callable[[int, T], None], total: int, threads: int) -> None:
    """Call `work(number)` for each number below `total` in `threads` threads, and `take(number, result)` in order.

    Each item is worked on only when those some way before it are taken, so that no more than `AHEAD_PER_THREAD` results
    a thread exist. An exception of either call ends the whole and is raised here.
    """
    ahead = AHEAD_PER_THREAD * threads

    def work_when_room(number: int, _room: None) -> T:
        return work(number)

    def take_after(number: int, result: T, _previous: None) -> None:
        take(number, result)

    for start in range(0, total, GRAPH_ITEMS):
        end = min(start + GRAPH_ITEMS, total)
        # dask's graph itself, as `delayed` would join the graphs of all arguments anew for each task: minutes for a
        # large shard.
        graph: dict[tuple[str, int], tuple[Any, ...]] = {}
        for number in range(start, end):
            room = ("take", number - ahead) if number - ahead >= start else None
            previous = ("take", number - 1) if number > start else None
            graph["work", number] = (work_when_room, number, room)
            graph["take", number] = (take_after, number, ("work", number), previous)
        dask.threaded.get(graph, ("take", end - 1), num_workers=threads)
