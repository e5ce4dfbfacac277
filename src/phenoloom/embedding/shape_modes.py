"""Shape modes: clusters of vectors of outlines, and who is in them (Phillip et al. 2021, VAMPIRE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]

_BLOCK = 1024


@dataclass(frozen=True)
class Modes:
    """Clusters of vectors, by their `centres` (m, d)."""

    centres: Floats

    def of(self, vectors: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int64], Floats]:
        """The mode (b,) of each vector (b, d), and its distance (b,) from the mode's centre."""
        squares = np.empty((len(vectors), len(self.centres)))
        for start in range(0, len(vectors), _BLOCK):
            block = vectors[start : start + _BLOCK].astype(np.float64)
            for mode, centre in enumerate(self.centres):
                squares[start : start + _BLOCK, mode] = np.square(block - centre).sum(axis=1)
        return squares.argmin(axis=1), np.sqrt(squares.min(axis=1))


def fit_modes(vectors: NDArray[np.floating[Any]], count: int, seed: int) -> Modes:
    """`count` modes of vectors (b, d) by k-means, the most populous first; fewer where fewer vectors differ."""
    count = min(count, len(np.unique(vectors, axis=0)))
    # Sums over threads would come in any order, and the centres with them.
    with threadpool_limits(1):
        fitted = KMeans(count, n_init=4, random_state=seed).fit(vectors.astype(np.float64))
    sizes = np.bincount(fitted.labels_, minlength=count)
    return Modes(fitted.cluster_centers_[np.argsort(-sizes, kind="stable")])


def occupancy(modes: NDArray[np.int64], labels: Sequence[NDArray[np.bool_]], count: int) -> Floats:
    """Share (labels, count) of each mode among the rows of each label, given as masks (rows,)."""
    counts = np.array([np.bincount(modes[rows], minlength=count) for rows in labels], np.float64).reshape(-1, count)
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def entropy(shares: Floats) -> Floats:
    """Entropy (labels,) of shares (labels, m) in bits: 0 where one mode holds all, log2 m where all hold alike."""
    logarithms = np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
    bits: Floats = np.abs((shares * logarithms).sum(axis=1))
    return bits
