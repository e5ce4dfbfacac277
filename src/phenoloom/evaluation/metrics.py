"""Scores of predictions, with their support; a class that a test fold lacks is never averaged over.

A class without support has no recall, so its F1 would be 0 whatever the classifier did; averages over such classes
measure the split and not the representation. Scores of absent classes are NaN here, and averages skip them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

Floats = npt.NDArray[np.float64]
Confusion = npt.NDArray[np.int64]
"""(classes, classes): units of the class of the row that were predicted as the class of the column."""


def confusion_matrix(true: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int) -> Confusion:
    """Return the counts of (true, predicted) codes 0 ... classes - 1."""
    counts = np.bincount(true * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def f1(confusion: Confusion) -> Floats:
    """Return the F1 of each class, 2 TP / (2 TP + FP + FN); NaN without support (classes,)."""
    hits, support = np.diag(confusion).astype(np.float64), confusion.sum(axis=1)
    return _where_supported(2 * hits, support + confusion.sum(axis=0), support)


def macro_f1(confusion: Confusion) -> float:
    """Return the mean F1 of the classes with support."""
    return float(np.nanmean(f1(confusion)))


def balanced_accuracy(confusion: Confusion) -> float:
    """Return the mean recall of the classes with support."""
    support = confusion.sum(axis=1)
    return float(np.nanmean(_where_supported(np.diag(confusion).astype(np.float64), support, support)))


def mcc(confusion: Confusion) -> float:
    """Return the Matthews correlation for any number of classes (Gorodkin 2004).

    0 where the truth or the prediction is constant.
    """
    table = confusion.astype(np.float64)
    total, true, predicted = table.sum(), table.sum(axis=1), table.sum(axis=0)
    covariance = np.trace(table) * total - true @ predicted
    spread = (total**2 - predicted @ predicted) * (total**2 - true @ true)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def multilabel_f1(true: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]) -> Floats:
    """Return the F1 of each class on its own (classes,), from flags (units, classes); NaN without a positive."""
    support = true.sum(axis=0)
    hits = (true & predicted).sum(axis=0).astype(np.float64)
    return _where_supported(2 * hits, support + predicted.sum(axis=0), support)


def average_precision(true: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """Return the average precision of each class (classes,), the step sum of precision over recall.

    NaN for a class without a positive.
    """
    values = np.full(true.shape[1], np.nan)
    for one in np.flatnonzero(true.any(axis=0)):
        values[one] = average_precision_score(true[:, one], scores[:, one])
    return values


def _where_supported(numerator: Floats, denominator: npt.NDArray[np.int64], support: npt.NDArray[np.int64]) -> Floats:
    scores = np.full(len(support), np.nan)
    np.divide(numerator, denominator, out=scores, where=support > 0)
    return scores
