"""How fast training goes and how long it waits for data: times, so nothing that a result may depend on."""

from __future__ import annotations

import time

from ..data.loader import Loader
from ..nets import collective as distributed

Speed = dict[str, float]


class Clock:
    """Measures the steps of one epoch, validation left out."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self.start()

    def start(self) -> None:
        """Begin a pass."""
        self._began, self._waited, self._items = time.monotonic(), self._loader.waited, 0
        self._seconds = 0.0

    def count(self, items: int) -> None:
        """A step of so many items is over."""
        self._items += items
        self._seconds = time.monotonic() - self._began

    def read(self) -> Speed:
        """`items_per_second` of all processes, and `waited_for_data`, the share of the time that they waited for data.

        A process that waits keeps a GPU from nothing while that still has work, so the share is the most that the
        device can have waited.
        """
        own = (self._items, self._seconds, self._loader.waited - self._waited)
        everyone = distributed.gather_objects(own) if distributed.active() else [own]
        items, seconds, waited = (sum(values) for values in zip(*everyone, strict=True))
        seconds = max(seconds, 1e-9)
        return {"items_per_second": items * len(everyone) / seconds, "waited_for_data": min(waited / seconds, 1.0)}
