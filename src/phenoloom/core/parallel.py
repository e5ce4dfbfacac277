"""Map work over many items in dask's threads: results in order, memory bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, Generic, TypeVar

import dask.threaded

S = TypeVar("S")
T = TypeVar("T")

AHEAD_PER_THREAD = 4
"""Items that a thread may finish before the item that comes next in the order is taken."""

GRAPH_ITEMS = 4096
"""Items in one graph; more would only make the graph itself large."""


def parallel_map(work: Callable[[S], T], items: Sequence[S], threads: int, ahead: int | None = None) -> Iterator[T]:
    """Yield `work(item)` for each item, in the order of the items.

    Work on an item starts only once the caller has taken the results some way before it, so that no more than
    `ahead` items are worked on or wait. An exception of `work` is raised here, after the results before it that
    were finished in time. Work that has begun is waited for when the caller stops early.

    Args:
        work: Function of one item; it runs in several threads at once.
        items: What to work on.
        threads: Number of threads that work; the caller's own thread only takes results.
        ahead: Items at most that are worked on or whose results wait; None: `AHEAD_PER_THREAD` a thread.
    """
    run = _Run(work, items, threads, ahead)
    thread = threading.Thread(target=run.all, name="parallel_map", daemon=True)
    thread.start()
    try:
        for _ in items:
            if not (taken := run.results.get()):
                break
            yield taken[0]
    finally:
        run.abandoned.set()
        # A thread that waits to hand over a result finds an empty queue and ends.
        with suppress(Empty):
            run.results.get_nowait()
        thread.join()
    if run.error is not None:
        raise run.error


class _Run(Generic[S, T]):
    """One call of `parallel_map`: dask works in threads, and hands results over one by one."""

    def __init__(self, work: Callable[[S], T], items: Sequence[S], threads: int, ahead: int | None) -> None:
        self.work, self.items, self.threads = work, items, max(threads, 1)
        self.ahead = ahead or AHEAD_PER_THREAD * self.threads
        self.results: Queue[tuple[T] | tuple[()]] = Queue(maxsize=1)
        self.abandoned = threading.Event()
        self.error: BaseException | None = None

    def all(self) -> None:
        """Work on all items; hand over an empty tuple last if that fails."""
        try:
            with ThreadPoolExecutor(self.threads, thread_name_prefix="work") as pool:
                for start in range(0, len(self.items), GRAPH_ITEMS):
                    end = min(start + GRAPH_ITEMS, len(self.items))
                    dask.threaded.get(self._graph(start, end), ("hand over", end - 1), pool=pool)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            if not self.abandoned.is_set():
                self.error = error
                self.results.put(())

    def _graph(self, start: int, end: int) -> dict[tuple[str, int], tuple[Any, ...]]:
        # dask's graph itself, as `delayed` would join the graphs of all arguments anew for each task: minutes for a
        # large shard.
        graph: dict[tuple[str, int], tuple[Any, ...]] = {}
        ahead = self.ahead
        for number in range(start, end):
            free = ("hand over", number - ahead) if number - ahead >= start else None
            previous = ("hand over", number - 1) if number > start else None
            graph["work", number] = (self._work_when_free, number, free)
            graph["hand over", number] = (self._hand_over, ("work", number), previous)
        return graph

    def _work_when_free(self, number: int, _free: None) -> T:
        return self.work(self.items[number])

    def _hand_over(self, result: T, _previous: None) -> None:
        if self.abandoned.is_set():
            raise _AbandonedError
        self.results.put((result,))


class _AbandonedError(Exception):
    """The caller takes no more results."""
