import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.evaluation import metrics

CODES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60).map(np.array)


@settings(max_examples=150, deadline=None)
@given(CODES)
def test_scores_equal_those_of_scikit_learn_over_the_classes_present(pairs):
    true, predicted = pairs.T
    confusion = metrics.confusion_matrix(true, predicted, 4)
    present = np.unique(true)
    assert (confusion == sklearn.metrics.confusion_matrix(true, predicted, labels=range(4))).all()
    expected = sklearn.metrics.f1_score(true, predicted, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(metrics.f1(confusion)[present], expected)
    assert metrics.macro_f1(confusion) == pytest.approx(expected.mean())
    recall = sklearn.metrics.recall_score(true, predicted, labels=present, average="macro", zero_division=0)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(recall)
    assert metrics.mcc(confusion) == pytest.approx(sklearn.metrics.matthews_corrcoef(true, predicted))


def test_a_class_that_the_test_fold_lacks_is_not_averaged_over():
    # Class 2 is absent and predicted once; scikit-learn's default average would count it as 0.
    true, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    confusion = metrics.confusion_matrix(true, predicted, 4)
    assert metrics.macro_f1(confusion) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(0.75)
    np.testing.assert_array_equal(np.isnan(metrics.f1(confusion)), [False, False, True, True])
    assert sklearn.metrics.f1_score(true, predicted, average="macro") < 0.6


def test_a_perfect_prediction_scores_one_and_a_constant_one_known_values():
    true = np.array([0, 0, 0, 1])
    perfect = metrics.confusion_matrix(true, true, 2)
    assert metrics.macro_f1(perfect) == metrics.balanced_accuracy(perfect) == metrics.mcc(perfect) == 1
    constant = metrics.confusion_matrix(true, np.zeros(4, int), 2)
    # F1 of the majority is 2*3/(3+4), of the minority 0.
    assert metrics.macro_f1(constant) == pytest.approx(3 / 7)
    assert metrics.balanced_accuracy(constant) == 0.5
    assert metrics.mcc(constant) == 0


def test_confusion_counts_are_int64_and_overflow_no_product():
    confusion = np.array([[3_000_000_000, 1], [1, 3_000_000_000]], np.int64)
    assert metrics.confusion_matrix(np.array([0]), np.array([1]), 2).dtype == np.int64
    assert metrics.mcc(confusion) == pytest.approx(1)


def test_several_labels_are_scored_class_by_class():
    true = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    predicted = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0]], bool)
    np.testing.assert_allclose(metrics.multilabel_f1(true, predicted), [0.8, 2 / 3, np.nan])


def test_average_precision_has_its_closed_form_and_skips_classes_without_a_positive():
    true = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], bool)
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.4]])
    # Positives at ranks 1 and 3: (1/1 + 2/3) / 2.
    np.testing.assert_allclose(metrics.average_precision(true, scores), [5 / 6, np.nan])
