"""Shape modes: clusters of vectors of outlines, and the labels of their members (Phillip et al. 2021, VAMPIRE)."""

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
    """Clusters of vectors.

    Attributes:
        centres: Mean vector of each cluster (m, d).
    """

    centres: Floats

    def of(self, vectors: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int64], Floats]:
        """Return the mode (b,) of each vector (b, d), and its distance (b,) from the centre of the mode."""
        squares = np.empty((len(vectors), len(self.centres)))
        for start in range(0, len(vectors), _BLOCK):
            block = vectors[start : start + _BLOCK].astype(np.float64)
            for mode, centre in enumerate(self.centres):
                squares[start : start + _BLOCK, mode] = np.square(block - centre).sum(axis=1)
        return squares.argmin(axis=1), np.sqrt(squares.min(axis=1))


def fit_modes(vectors: NDArray[np.floating[Any]], count: int, seed: int) -> Modes:
    """Return modes of vectors by k-means, the most populous first.

    Args:
        vectors: The vectors (b, d).
        count: Number of modes; there are fewer where fewer vectors differ.
        seed: Seed of the first centres.
    """
    count = min(count, len(np.unique(vectors, axis=0)))
    # Sums over threads would come in any order, and the centres with them.
    with threadpool_limits(1):
        fitted = KMeans(count, n_init=4, random_state=seed).fit(vectors.astype(np.float64))
    sizes = np.bincount(fitted.labels_, minlength=count)
    return Modes(fitted.cluster_centers_[np.argsort(-sizes, kind="stable")])


def occupancy(modes: NDArray[np.int64], labels: Sequence[NDArray[np.bool_]], count: int) -> Floats:
    """Return the share (labels, count) of each mode among the rows of each label.

    Args:
        modes: Mode of each row (rows,).
        labels: Mask (rows,) of the rows of each label.
        count: Number of modes.
    """
    counts = np.array([np.bincount(modes[rows], minlength=count) for rows in labels], np.float64).reshape(-1, count)
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def entropy(shares: Floats) -> Floats:
    """Return the entropy (labels,) of shares (labels, m) in bits: 0 for one mode, log2 m where all shares are equal."""
    logarithms = np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
    bits: Floats = np.abs((shares * logarithms).sum(axis=1))
    return bits
