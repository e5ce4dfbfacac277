"""Show the progress of long work: a bar on a terminal, a plain line every half minute in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 30.0


def progress(items: Iterable[T], total: int, what: str, unit: str = "it") -> Iterator[T]:
    """Yield items, and print on stderr how many are done, the rate and the time left.

    Args:
        items: What to pass on.
        total: Number of items.
        what: Name of the work.
        unit: Name of one item.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, unit=unit, file=sys.stderr)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            rate = done / (now - start)
            print(
                f"{what}: {done}/{total} {unit}, {rate:.1f} {unit}/s, {max(total - done, 0) / rate:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
            last = now
