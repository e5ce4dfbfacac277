"""Shape modes: clusters, who is in them, and how evenly."""

from __future__ import annotations

import numpy as np
import pytest

from phenoloom.embedding.shape_modes import entropy, fit_modes, occupancy


def blobs(sizes: list[int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(scale=0.01, size=(n, 3)) + 10 * i for i, n in enumerate(sizes)])


def test_modes_are_the_clusters_the_most_populous_first() -> None:
    modes = fit_modes(blobs([5, 20, 10]), 3, seed=0)
    assert np.allclose(modes.centres[:, 0], [10, 20, 0], atol=0.05)
    of, far = modes.of(np.array([[10.0, 10, 10], [0, 0, 1]]))
    assert of.tolist() == [0, 2]
    assert far == pytest.approx([0, 1], abs=0.05)


def test_modes_follow_from_the_seed() -> None:
    vectors = np.random.default_rng(1).normal(size=(200, 4))
    assert np.array_equal(fit_modes(vectors, 6, seed=3).centres, fit_modes(vectors, 6, seed=3).centres)


def test_equal_vectors_are_one_mode() -> None:
    assert len(fit_modes(np.ones((9, 2)), 4, seed=0).centres) == 1


def test_occupancy_is_counted_by_label_and_rows_may_have_several() -> None:
    modes = np.array([0, 0, 1, 2])
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 0, 1, 1], bool)
    shares = occupancy(modes, [first, second, np.zeros(4, bool)], 3)
    assert shares == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 1 / 2, 1 / 2], [0, 0, 0]]))


def test_entropy_is_zero_in_one_mode_and_the_logarithm_of_their_number_in_all() -> None:
    assert entropy(np.array([[1.0, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])) == pytest.approx([0, 2, 1])
