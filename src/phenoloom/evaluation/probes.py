"""Probes: simple classifiers on frozen vectors, fitted in every detail on the train folds only.

All but the dummy see standardised features, kNN too: the cosine of raw descriptors is the cosine of the one with the
largest unit. Where a representation has more features than a tenth of the study's units, the standardised features are
reduced to their first 50 principal components (so the 400 numbers of a distance spectrum are not fitted by 1,000
outlines, while 512 latents of 20,000 cells are all used). Concatenated representations are prepared one by one, and
components then brought to a mean variance of 1, so that a long one does not drown a short one. Labels are codes
(units,) or, where a unit may have several, flags (units, classes); a class that is constant in the train folds is
predicted as that constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ..splits.split import Targets

ProbeName = Literal["dummy", "knn", "logistic", "forest"]
FeatureMatrix = npt.NDArray[np.float32]
"""(units, features)."""

COMPONENTS = 50
UNITS_PER_FEATURE = 10
MOST_ITERATIONS = 2000


class FeatureBlock(NamedTuple):
    """The features of one representation within a vector.

    Attributes:
        features: Their number.
        reduce: Whether they are replaced by their first principal components.
    """

    features: int
    reduce: bool


@dataclass(frozen=True)
class ProbeSettings:
    """Settings that all probes of one representation share.

    Attributes:
        neighbours: Number of neighbours of kNN.
        trees: Trees of the random forest.
        seed: Seed of the random forest.
        blocks: All features of a vector, in order. What is reduced is decided once for all folds.
    """

    neighbours: int
    trees: int
    seed: int
    blocks: tuple[FeatureBlock, ...]


@dataclass(frozen=True)
class Prediction:
    """Predictions of a probe for test units.

    Attributes:
        labels: Codes or flags like those that it was fitted on.
        scores: Score of each class (units, classes), for several labels a unit only.
        unconverged: Number of fits of logistic regression that stopped at the limit of iterations.
    """

    labels: Targets
    scores: npt.NDArray[np.float64] | None
    unconverged: int


def wants_reduction(units: int, features: int) -> bool:
    """Return whether principal components replace that many features for that many units."""
    return features > COMPONENTS and features * UNITS_PER_FEATURE > units


def probe(
    name: ProbeName, train: FeatureMatrix, targets: Targets, test: FeatureMatrix, settings: ProbeSettings
) -> Prediction:
    """Fit a probe on train units and return its prediction for test units.

    One thread and fixed seeds: the same input gives the same prediction.

    Args:
        name: The probe.
        train: Features of the train units (units, features).
        targets: Labels of the train units.
        test: Features of the test units (units, features).
        settings: Settings of the probe.

    Raises:
        ValueError: The blocks of the settings have another number of features than the vectors.
    """
    if name != "dummy":
        preparation = _preparation(train, settings)
        train, test = preparation.fit_transform(train), preparation.transform(test)
    if targets.ndim == 1:
        return _single(name, train, targets, test, settings)
    if name == "logistic":
        return _one_against_rest(train, targets, test)
    return _multi(name, train, targets, test, settings)


def _preparation(train: FeatureMatrix, settings: ProbeSettings) -> ColumnTransformer:
    ends = np.cumsum([block.features for block in settings.blocks])
    if ends[-1] != train.shape[1]:
        raise ValueError(f"expected {ends[-1]} features in blocks, found vectors of {train.shape[1]}")
    together = len(settings.blocks) > 1
    return ColumnTransformer(
        [
            (str(number), _preparation_of(block, len(train), together), slice(end - block.features, end))
            for number, (block, end) in enumerate(zip(settings.blocks, ends.tolist(), strict=True))
        ]
    )


def _preparation_of(block: FeatureBlock, units: int, together: bool) -> Pipeline:
    if not block.reduce:
        return make_pipeline(StandardScaler())
    components = PCA(min(COMPONENTS, units, block.features), svd_solver="covariance_eigh")
    # The first components of many features are many times larger than the features of another block.
    return make_pipeline(StandardScaler(), components, *([_MeanVariance()] if together else []))


class _MeanVariance(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn is not typed
    """Division of all features by one number, so that the mean of their variances is 1."""

    def fit(self, values: npt.NDArray[np.floating[Any]], targets: object = None) -> _MeanVariance:
        variance = float(np.var(values, axis=0).mean())
        self.size_ = variance**0.5 if variance > 0 else 1.0
        return self

    def transform(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
        return values / self.size_


def _single(
    name: ProbeName, train: FeatureMatrix, targets: Targets, test: FeatureMatrix, settings: ProbeSettings
) -> Prediction:
    codes, counts = np.unique(targets, return_counts=True)
    if name == "dummy" or len(codes) == 1:
        return Prediction(np.full(len(test), codes[counts.argmax()], np.int64), None, 0)
    model = _logistic() if name == "logistic" else _model(name, len(train), settings)
    model.fit(train, targets)
    return Prediction(model.predict(test).astype(np.int64), None, _unconverged(model))


def _multi(
    name: ProbeName, train: FeatureMatrix, targets: Targets, test: FeatureMatrix, settings: ProbeSettings
) -> Prediction:
    if name == "dummy":
        scores = np.tile(targets.mean(axis=0), (len(test), 1))
        return Prediction(scores > 0.5, scores, 0)
    model = _model(name, len(train), settings).fit(train, targets)
    columns = [_positive(found, seen) for found, seen in zip(model.predict_proba(test), model.classes_, strict=True)]
    scores = np.column_stack(columns)
    return Prediction(scores > 0.5, scores, 0)


def _one_against_rest(train: FeatureMatrix, targets: Targets, test: FeatureMatrix) -> Prediction:
    scores, unconverged = np.empty((len(test), targets.shape[1])), 0
    for one, flags in enumerate(targets.T):
        if flags.all() or not flags.any():
            scores[:, one] = float(flags[0])
            continue
        model = _logistic().fit(train, flags)
        scores[:, one] = _positive(model.predict_proba(test), model.classes_)
        unconverged += _unconverged(model)
    return Prediction(scores > 0.5, scores, unconverged)


def _positive(probabilities: npt.NDArray[np.float64], seen: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Probability of True, also where only True or only False was seen in training (units,)."""
    return probabilities[:, list(seen).index(True)] if True in seen else np.zeros(len(probabilities))


def _logistic() -> LogisticRegression:
    return LogisticRegression(C=1.0, max_iter=MOST_ITERATIONS)


def _unconverged(model: Any) -> int:
    return int(isinstance(model, LogisticRegression) and model.n_iter_.max() >= MOST_ITERATIONS)


def _model(name: ProbeName, units: int, settings: ProbeSettings) -> Any:
    if name == "knn":
        return KNeighborsClassifier(min(settings.neighbours, units), metric="cosine", algorithm="brute")
    return RandomForestClassifier(settings.trees, random_state=settings.seed, n_jobs=1)
