import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from phenoloom.splits.stratify import missing, stratify


def imbalance(counts, assignment, folds):
    """Sum over folds, and over classes and all units together, of (share found in the fold - 1 / folds)^2."""
    table = np.column_stack([counts, counts.sum(axis=1)])
    shares = table / table.sum(axis=0)
    return sum(((shares[assignment == fold].sum(axis=0) - 1 / folds) ** 2).sum() for fold in range(folds))


@st.composite
def mixed_groups(draw):
    """Counts of a few groups of mixed classes, each class in at least as many groups as folds."""
    folds = draw(st.integers(2, 3))
    rows = draw(
        st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=folds, max_size=7).map(
            lambda rows: np.array(rows, np.int64)
        )
    )
    rows = rows[:, (rows > 0).sum(axis=0) >= folds]
    return rows[rows.sum(axis=1) > 0], folds


@settings(max_examples=150, deadline=None)
@given(mixed_groups(), st.integers(0, 3))
def test_every_class_is_in_every_fold_wherever_that_is_possible_at_all(study, seed):
    counts, folds = study
    if len(counts) < folds or counts.shape[1] == 0:
        return
    feasible = any(
        not missing(counts, np.array(assignment), folds).any()
        for assignment in itertools.product(range(folds), repeat=len(counts))
    )
    assert (not missing(counts, stratify(counts, folds, seed), folds).any()) == feasible


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(5, 40), min_size=2, max_size=5), st.integers(2, 5), st.integers(0, 9))
def test_single_units_are_stratified_as_well_as_without_groups(sizes, folds, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.eye(len(sizes), dtype=np.int64)[labels]
    ours = stratify(counts, folds, seed)
    plain = np.empty_like(ours)
    for fold, (_, test) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)):
        plain[test] = fold
    assert np.ptp(np.bincount(ours, minlength=folds)) <= 1
    for one in range(len(sizes)):
        assert np.ptp(np.bincount(ours[labels == one], minlength=folds)) <= 1
    assert imbalance(counts, ours, folds) <= imbalance(counts, plain, folds) + 1e-12


def test_groups_of_one_class_give_every_fold_one_of_them_even_when_one_group_is_huge():
    counts = np.zeros((10, 2), np.int64)
    counts[:5, 0] = [1000, 1, 1, 1, 1]
    counts[5:, 1] = 7
    fold = stratify(counts, 5, seed=0)
    assert sorted(fold[:5]) == sorted(fold[5:]) == [0, 1, 2, 3, 4]


def test_an_assignment_that_only_a_search_over_all_groups_finds_is_found():
    rng = np.random.default_rng(0)
    for _ in range(10):
        # Each fold's groups hold every class exactly once, so few assignments have full support.
        counts = np.zeros((24, 10), np.int64)
        for group, one in itertools.product(range(4), range(10)):
            counts[group * 6 + rng.integers(6), one] = rng.integers(1, 9)
        counts = rng.permutation(counts[counts.sum(axis=1) > 0])
        assert not missing(counts, stratify(counts, 4, 0), 4).any()


def test_impossible_support_is_left_out_where_it_must_be_and_nowhere_else():
    # Both classes sit together in two of three groups, and three folds want each of them.
    counts = np.array([[3, 3], [3, 3], [3, 0]])
    fold = stratify(counts, 3, 0)
    assert missing(counts, fold, 3).tolist() == [0, 1]


def test_plates_of_mixed_classes_are_balanced_better_than_by_scikit_learn():
    rng = np.random.default_rng(3)
    ours, theirs = [], []
    for seed in range(15):
        counts = rng.poisson(rng.gamma(0.3, 3, size=(50, 8)))
        counts = counts[counts.sum(axis=1) > 0]
        group, label = (np.repeat(axis, counts.ravel()) for axis in np.indices(counts.shape).reshape(2, -1))
        fold = np.empty(len(counts), np.int64)
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for number, (_, test) in enumerate(splitter.split(label, label, group)):
            fold[group[test]] = number
        theirs.append(imbalance(counts, fold, 5))
        ours.append(imbalance(counts, stratify(counts, 5, seed), 5))
    assert np.mean(ours) < np.mean(theirs)


def test_the_seed_decides_which_of_equal_groups_go_where():
    counts = np.eye(2, dtype=np.int64)[np.arange(40) % 2]
    assert (stratify(counts, 5, 1) == stratify(counts, 5, 1)).all()
    assert (stratify(counts, 5, 1) != stratify(counts, 5, 2)).any()
