"""Chains of border pixels to the outlines between foreground and background, without a loop over pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .polygons import Integers, Polygons

Chain = NDArray[np.int32]

# On-screen counter-clockwise from north, as (dx, dy) with y down: cv2 keeps the background on the right hand.
_COMPASS = ((0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1))


def midpoint_outlines(chains: Sequence[Chain]) -> tuple[Polygons, Integers]:
    """Outlines of 8-connected borders, and how many pixels each encloses (negative: the border of a hole).

    `chains` are the borders (k, 1, 2) that `cv2.findContours` follows. At each pixel the direction back to the previous
    pixel is turned, over the background, to the direction of the next one; every background 4-neighbour passed on the
    way gives one vertex, half a pixel from the border pixel.
    """
    if not chains:
        return Polygons(np.empty(0), np.empty(0), np.empty(0, np.int64)), np.empty(0, np.int64)
    lengths = np.fromiter(map(len, chains), np.int64, len(chains))
    x, y = np.ascontiguousarray(np.concatenate(chains)[:, 0].T)
    borders = Polygons(x, y, lengths)
    # Steps are -1, 0 or 1 in x and y, so one number holds both.
    place = 3 * y + x
    leaving = borders.following(place) - place + 4
    arriving = np.empty_like(leaving)
    arriving[1:] = leaving[:-1]
    arriving[borders.first] = leaving[borders.last]
    turn = 9 * arriving + leaving
    passed = _PASSED.take(turn)
    ends = np.cumsum(passed)
    pixel = np.repeat(np.arange(len(turn)), passed)
    vertex = np.arange(len(pixel)) + (4 * turn + passed - ends).take(pixel)
    outlines = Polygons(
        x.take(pixel) + _OFFSETS[0].take(vertex),
        y.take(pixel) + _OFFSETS[1].take(vertex),
        np.add.reduceat(passed, borders.first),
    )
    # Green's theorem over the pixels' left and right sides.
    enclosed = np.add.reduceat(2 * x * _SIDES.take(turn) + _HALVES.take(turn), borders.first) // 2
    return outlines, enclosed


def _code(step: tuple[int, int]) -> int:
    return 3 * step[1] + step[0] + 4


def _turns() -> tuple[Integers, NDArray[np.float64]]:
    """Per 9 * arriving + leaving step: the background 4-neighbours passed; x and y of the vertices, four a turn."""
    passed, offsets = np.zeros(81, np.int64), np.zeros((2, 81, 4))
    for b, back in enumerate(_COMPASS):
        for o, onward in enumerate(_COMPASS):
            turn = 9 * _code((-back[0], -back[1])) + _code(onward)
            between = [_COMPASS[(b + i) % 8] for i in range(1, (o - b - 1) % 8 + 1)]
            vertices = [direction for direction in between if 0 in direction]
            passed[turn] = len(vertices)
            offsets[:, turn, : len(vertices)] = np.reshape(vertices, (-1, 2)).T / 2
    # A single pixel makes no step, and all its neighbours are background.
    alone = 10 * _code((0, 0))
    passed[alone] = 4
    offsets[:, alone] = np.transpose([direction for direction in _COMPASS if 0 in direction]) / 2
    return passed, offsets.reshape(2, -1)


_PASSED, _OFFSETS = _turns()
# Per turn, over its vertices: right sides less left sides, and in halves of a pixel how far out they lie.
_SIDES = (2 * _OFFSETS[0]).reshape(81, 4).sum(axis=1).astype(np.int64)
_HALVES = (4 * _OFFSETS[0] ** 2).reshape(81, 4).sum(axis=1).astype(np.int64)
