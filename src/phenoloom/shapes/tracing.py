"""Tracing of label images: the outline of the largest component of every object, all objects of an image at once.

An outline runs through the midpoints between foreground pixels and their background neighbours, in a frame where pixel
centres have integer coordinates: the curve of marching squares at level 0.5 with 8-connected foreground (Lorensen and
Cline 1987). One pixel is a diamond of area 0.5; no object has area zero.

OpenCV follows the borders pixel by pixel (Suzuki and Abe 1985); from the turns of these chains the midpoints of all
borders are looked up in tables, without a loop over pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .polygons import Booleans, Integers, Polygons, concatenate

# Vertices of a batch stay in the processor's cache.
_BATCH = 1 << 15
# cv2 marks the pixels that it has followed in the two highest bits of their labels.
_FIRST_MARK = 1 << 30
# Directions on screen, counter-clockwise from north, as (dx, dy) with y down: cv2 keeps the background on the right.
_COMPASS = ((0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1))

Chain = NDArray[np.int32]
"""Border pixels (k, 1, 2) of x and y, as `cv2.findContours` returns them."""


@dataclass(frozen=True)
class Traced:
    """Outlines of n objects, of their largest components; of equal ones the topmost, then the leftmost.

    Attributes:
        polygons: The outlines, in px.
        objects: Label of each object, or position of its mask (n,).
        area_px: Pixels of the object, all components (n,).
        components: Its 8-connected components (n,).
        holes: Holes of all its components (n,).
        border: Whether it touches the border of the image (n,).
    """

    polygons: Polygons
    objects: Integers
    area_px: Integers
    components: Integers
    holes: Integers
    border: Booleans


def trace_labels(labels: NDArray[np.integer]) -> Traced:
    """Trace all objects of a label image (h, w), in ascending order of their labels; values below 1 are background."""
    image = np.ascontiguousarray(labels, np.int32)
    # Labels far above the count of pixels would cost memory in tables; those below zero look huge as unsigned numbers.
    if image.view(np.uint32).max(initial=0) >= min(4 * image.size, _FIRST_MARK):
        numbers = np.union1d(0, np.maximum(image, 0)).astype(np.int64)
        traced = trace_labels(np.searchsorted(numbers, np.maximum(image, 0)))
        return replace(traced, objects=numbers[traced.objects])
    chains, _ = cv2.findContours(image, cv2.RETR_FLOODFILL, cv2.CHAIN_APPROX_NONE)
    heads = _heads(chains)
    label = image[heads[:, 1], heads[:, 0]]
    # In the order of the objects, since each of them mostly has one outline, which then stays where it is.
    own = np.argsort(label, kind="stable")
    # Flood-fill mode outlines the background too.
    own = own[label[own] > 0]
    present, owner = np.unique(label[own], return_inverse=True)
    polygons, enclosed_px = _outlines([chains[i] for i in own.tolist()])
    outer = enclosed_px > 0
    holes = np.bincount(owner[~outer], minlength=len(present))
    area_px = np.bincount(owner, enclosed_px, minlength=len(present)).astype(np.int64)
    # Flood-fill mode leaves out some holes that hold other objects: the pixels then do not add up.
    if area_px.sum() != np.count_nonzero(image):
        enclosed, area_px = area_px, _areas(image)
        for i in np.flatnonzero(enclosed != area_px):
            holes[i] = _count_holes(image == present[i])
    best = _largest(enclosed_px, heads[own], owner)
    components = np.bincount(owner[outer], minlength=len(present))
    objects = present.astype(np.int64)
    return Traced(polygons.take(best), objects, area_px, components, holes, _on_border(image, objects))


def trace_masks(masks: NDArray[np.bool_]) -> Traced:
    """Trace the one object of each mask (n, h, w); masks without foreground are left out."""
    n, height, width = masks.shape
    # One tall image, a background row between any two masks.
    tall = np.zeros((n, height + 1, width), np.uint8)
    tall[:, :height] = masks
    chains, tree = cv2.findContours(tall.reshape(-1, width), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    heads = _heads(chains)
    area_px = np.count_nonzero(masks, axis=(1, 2))
    present = np.flatnonzero(area_px)
    owner = np.searchsorted(present, heads[:, 1] // (height + 1))
    outer = tree[0, :, 3] < 0 if len(chains) else np.empty(0, bool)
    polygons, enclosed_px = _outlines([chains[i] for i in np.flatnonzero(outer).tolist()])
    best = _largest(enclosed_px, heads[outer], owner[outer])
    edges = np.any(masks[:, [0, -1], :], axis=(1, 2)) | np.any(masks[:, :, [0, -1]], axis=(1, 2))
    return Traced(
        polygons.take(best).shifted(np.zeros(len(present)), -present * (height + 1.0)),
        present,
        area_px[present],
        np.bincount(owner[outer], minlength=len(present)),
        np.bincount(owner[~outer], minlength=len(present)),
        edges[present],
    )


def _heads(chains: Sequence[Chain]) -> Integers:
    """Return the first pixel (x, y) of each chain (n, 2): of an outer border the topmost, then the leftmost."""
    return np.concatenate([np.empty((0, 2), np.int64), *(chain[0] for chain in chains)])


def _areas(image: NDArray[np.int32]) -> Integers:
    """Return the pixels of each label above zero, in ascending order of the labels, counted by runs along rows."""
    flat = image.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
    counts = np.bincount(flat[ends], np.diff(ends, prepend=-1))[1:].astype(np.int64)
    return counts[counts > 0]


def _on_border(image: NDArray[np.int32], present: Integers) -> Booleans:
    frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return np.isin(present, frame)


def _count_holes(mask: NDArray[np.bool_]) -> int:
    _, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return int(np.count_nonzero(tree[0, :, 3] >= 0))


def _largest(enclosed_px: Integers, heads: Integers, owner: Integers) -> Integers:
    """Return for each owner, in ascending order, the position of its component that encloses the most pixels."""
    order = np.lexsort((heads[:, 0], heads[:, 1], -enclosed_px, owner))
    _, chosen = np.unique(owner[order], return_index=True)
    return order[chosen]


def _outlines(chains: Sequence[Chain]) -> tuple[Polygons, Integers]:
    """Return what `_outlines_of_batch` does, in batches of chains that stay in the processor's cache."""
    ends = np.cumsum(np.fromiter(map(len, chains), np.int64, len(chains)))
    cuts = [*np.flatnonzero(np.diff(ends // _BATCH, prepend=-1)).tolist(), len(chains)]
    parts = [_outlines_of_batch(chains[a:b]) for a, b in itertools.pairwise(cuts)]
    enclosed = np.concatenate([np.empty(0, np.int64), *(part for _, part in parts)])
    return concatenate([part for part, _ in parts]), enclosed


def _outlines_of_batch(chains: Sequence[Chain]) -> tuple[Polygons, Integers]:
    """Return the outlines of 8-connected borders, and how many pixels each encloses; negative for that of a hole.

    At each pixel the direction back to the previous pixel is turned, over the background, to the direction of the next
    one; every background 4-neighbour passed on the way gives one vertex, half a pixel from the border pixel.
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
    """Return the number of a step (dx, dy), from 0 to 8."""
    return 3 * step[1] + step[0] + 4


def _turns() -> tuple[Integers, NDArray[np.float64]]:
    """Return two tables over turns, numbered 9 * arriving + leaving step.

    They are the background 4-neighbours that a turn passes (81,), and x and y of its vertices relative to the pixel, of
    which a turn has at most four (2, 324).
    """
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
# Over the vertices of a turn: right sides less left sides, and the number of both, each half a pixel off the centre.
_SIDES = (2 * _OFFSETS[0]).reshape(81, 4).sum(axis=1).astype(np.int64)
_HALVES = (4 * _OFFSETS[0] ** 2).reshape(81, 4).sum(axis=1).astype(np.int64)
