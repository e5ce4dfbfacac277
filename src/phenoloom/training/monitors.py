"""Monitors of a representation in training: its effective rank, its spread, and the accuracy of its neighbours.

All are computed outside the test groups, from a fixed sample of items without augmentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..core.seeds import stable_seed
from ..data.loader import Rows

MOST_REFERENCES, MOST_QUERIES, LEAST = 1024, 512, 64
REFERENCE_SHARE, QUERY_SHARE = 1 / 8, 1 / 16
"""Most rows as shares of the train rows, so that measuring costs a small share of an epoch."""
NEIGHBOURS = 5
NOTHING = 1e-6
"""Vectors that differ by less than this share of their length are equal up to rounding."""


def effective_rank(vectors: Tensor) -> float:
    """Return exp(entropy of the singular values' shares) of vectors (n, d) about their mean.

    It lies between 1 and min(n - 1, d), and is the number of directions where all are used alike (Roy and Vetterli
    2007, eq. 3); 0 where all vectors are equal.
    """
    values = vectors.double()
    centred = values - values.mean(0)
    if float(centred.square().mean().sqrt()) <= NOTHING * float(values.square().mean().sqrt()):
        return 0.0
    # From the smaller Gram matrix: its eigenvalues are their squares.
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    return float(torch.exp(torch.special.entr(singular / singular.sum()).sum()))


def spread(vectors: Tensor) -> float:
    """Return the standard deviation of unit vectors (n, d) in a dimension: the mean over d in units of 1 / sqrt(d).

    It is 1 where every dimension varies alike about 0, and 0 where all vectors have one direction.
    """
    unit = F.normalize(vectors.double(), dim=1)
    return float(unit.std(0, correction=0).mean() * unit.shape[1] ** 0.5)


@dataclass(frozen=True)
class ProbeSample:
    """Rows that are measured in each epoch.

    Attributes:
        references: Rows that are trained on.
        queries: Rows of held-out groups.
        targets: Classes of both together, codes (n,) or flags (n, classes); None where the held-out rows have too few
            classes to compare.
        labelled: Mask (n,) of the rows with a class.
    """

    references: Rows
    queries: Rows
    targets: NDArray[Any] | None = None
    labelled: NDArray[np.bool_] | None = None

    @property
    def rows(self) -> Rows:
        """Return both, references first."""
        return np.concatenate([self.references, self.queries])


def choose_sample(train: Rows, held: Rows, labels: Sequence[Any] | None, seed: int) -> ProbeSample:
    """Return a sample that the seed fixes for ever.

    Args:
        train: Rows that are trained on.
        held: Rows of held-out groups.
        labels: Label of every row of the table: text, a list of text, or None where it is not known.
        seed: Seed of the training.
    """
    references = _some(train, min(MOST_REFERENCES, _share(REFERENCE_SHARE, train)), seed, "references")
    queries = _some(held, min(MOST_QUERIES, _share(QUERY_SHARE, train)), seed, "queries")
    if labels is None:
        return ProbeSample(references, queries)
    seen = [labels[row] for row in np.concatenate([references, queries])]
    targets, labelled = _targets(seen)
    split = len(references)
    if not _has_two_classes(targets[:split][labelled[:split]], targets[split:][labelled[split:]]):
        return ProbeSample(references, queries)
    return ProbeSample(references, queries, targets, labelled)


def measure(sample: ProbeSample, vectors: Tensor) -> dict[str, float]:
    """Return the monitors of the vectors (n, d) of `sample.rows`.

    `knn_accuracy` is the balanced accuracy with which the nearest references, by the cosine of standardised vectors as
    in the probe `knn`, predict the class of the queries; no row of their groups was trained on.
    """
    figures = {"embedding_spread": spread(vectors), "effective_rank": effective_rank(vectors)}
    if sample.targets is not None and sample.labelled is not None:
        known = torch.from_numpy(sample.labelled)
        split = int(sample.labelled[: len(sample.references)].sum())
        figures["knn_accuracy"] = neighbour_accuracy(vectors[known], sample.targets[sample.labelled], split)
    return figures


def neighbour_accuracy(vectors: Tensor, targets: NDArray[Any], references: int) -> float:
    """Return the balanced accuracy of kNN from the first `references` of vectors (n, d) on the others.

    Where rows have several labels, it is the mean over classes of the balanced accuracy of each against the rest.

    Args:
        vectors: Vectors (n, d), references first.
        targets: Classes (n,), or flags (n, classes) where rows have several labels.
        references: Number of references.
    """
    values = vectors.double()
    spread_of_each = values[:references].std(0, correction=0)
    scaled = (values - values[:references].mean(0)) / torch.where(spread_of_each > 0, spread_of_each, 1.0)
    unit = F.normalize(scaled, dim=1)
    cosines = unit[references:] @ unit[:references].T
    # Of equal neighbours the first ones, so that the result is fixed.
    nearest = cosines.argsort(dim=1, descending=True, stable=True)[:, :NEIGHBOURS]
    flags = _flags(targets)
    votes = flags[:references][nearest.numpy()].mean(1)
    true = flags[references:]
    if targets.ndim == 1:
        predicted = np.eye(flags.shape[1], dtype=bool)[votes.argmax(1)]
        tested = true.any(0) & flags[:references].any(0)
        return float(_recall(true, predicted)[tested].mean())
    predicted = votes > 0.5
    tested = true.any(0) & ~true.all(0)
    return float(((_recall(true, predicted) + _recall(~true, ~predicted)) / 2)[tested].mean())


def _flags(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Return codes (n,) or flags (n, classes) as flags."""
    return np.asarray(targets if targets.ndim == 2 else targets[:, None] == np.arange(targets.max() + 1), bool)


def _recall(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of each class's rows that are predicted as it (classes,); 0 for a class without rows."""
    return np.asarray((true & predicted).sum(0) / np.maximum(true.sum(0), 1), np.float64)


def _share(share: float, rows: Rows) -> int:
    return max(LEAST, round(share * len(rows)))


def _some(rows: Rows, most: int, seed: int, word: str) -> Rows:
    if len(rows) <= most:
        return rows
    generator = np.random.default_rng(stable_seed(seed, word))
    return np.sort(generator.choice(rows, most, replace=False))


def _targets(labels: Sequence[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    several = any(isinstance(label, list | np.ndarray) for label in labels)
    found = [set(map(str, label)) if isinstance(label, list | np.ndarray) else _one(label) for label in labels]
    names = sorted(set().union(*found))
    flags = np.array([[name in label for name in names] for label in found], bool).reshape(len(found), len(names))
    labelled: NDArray[np.bool_] = np.asarray(flags.any(1))
    return (flags if several else np.where(labelled, flags.argmax(1) if names else 0, -1)), labelled


def _one(label: Any) -> set[str]:
    return {label} if isinstance(label, str) and label else set()


def _has_two_classes(references: NDArray[Any], queries: NDArray[Any]) -> bool:
    """Return whether queries have two classes of the references, or of several labels one that differs among them."""
    if references.ndim == 1:
        return len(set(references.tolist()) & set(queries.tolist())) >= 2
    return bool(len(references) and (queries.any(0) & ~queries.all(0)).any())
