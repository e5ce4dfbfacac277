import numpy as np
import pyarrow.parquet as pq
import pytest

from phenoloom.evaluation.probes import Prediction
from phenoloom.evaluation.scores import SCHEMA, Score, fold_scores, read_scores, write_scores


def test_scores_are_one_row_each_in_the_order_of_the_folds_and_are_read_with_their_facts(tmp_path):
    folds = [[Score("knn", "f1", 0.5, 4, "a")], [Score("knn", "confusion", 2, 4, "a", "b"), Score("knn", "mcc", 1, 4)]]
    write_scores(tmp_path / "s.parquet", "study", {"rep": folds}, {"folds": "digest"})
    rows, facts = read_scores(tmp_path / "s.parquet")
    assert facts == {"folds": "digest"}
    assert rows.to_numpy().tolist() == [
        ["study", "rep", "knn", 0, "f1", "a", "", 0.5, 4],
        ["study", "rep", "knn", 1, "confusion", "a", "b", 2.0, 4],
        ["study", "rep", "knn", 1, "mcc", "", "", 1.0, 4],
    ]
    assert pq.read_schema(tmp_path / "s.parquet").remove_metadata() == SCHEMA


def test_absent_classes_and_empty_cells_of_the_confusion_matrix_have_no_score():
    true, predicted = np.array([0, 0, 2]), np.array([0, 2, 2])
    found = list(fold_scores("p", true, Prediction(predicted, None, 0), ["a", "b", "c"]))
    cells = {(one.true, one.predicted): one.value for one in found if one.metric == "confusion"}
    assert cells == {("a", "a"): 1, ("a", "c"): 1, ("c", "c"): 1}
    assert {one.true: one.value for one in found if one.metric == "f1"} == pytest.approx({"a": 2 / 3, "c": 2 / 3})
    assert {one.metric for one in found if not one.true} == {"macro_f1", "balanced_accuracy", "mcc"}


def test_several_labels_a_unit_have_no_confusion_matrix():
    true = np.array([[1, 0], [1, 0]], bool)
    found = list(fold_scores("p", true, Prediction(true, np.array([[0.9, 0.1]] * 2), 0), ["a", "b"]))
    assert {(one.metric, one.true): one.value for one in found} == {
        ("macro_f1", ""): 1,
        ("average_precision", ""): 1,
        ("f1", "a"): 1,
        ("average_precision", "a"): 1,
    }
