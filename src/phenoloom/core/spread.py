"""Positions that lie all over a range, however few of them are used."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain


def spread_positions(n: int) -> Iterator[int]:
    """Yield the numbers below n, each once: the start, the middle, the quarters, and so on, then those left over.

    The numbers of van der Corput (Nederl. Akad. Wetensch. 38, 1935) spread any number of first positions evenly.
    """
    seen: set[int] = set()
    for position in chain((int(_van_der_corput(i) * n) for i in range(n)), range(n)):
        if position not in seen:
            seen.add(position)
            yield position


def _van_der_corput(number: int) -> float:
    """Return a number with its binary digits mirrored behind the point."""
    fraction, step = 0.0, 0.5
    while number:
        fraction += step * (number % 2)
        number, step = number // 2, step / 2
    return fraction
