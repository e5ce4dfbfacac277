import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.core.errors import PhenoloomError
from phenoloom.embedding.table import Embedding
from phenoloom.evaluation.unit_vectors import FoldVectors, average


def embedding(images, vectors, role="all", **columns):
    number = len(images)
    rows = {"id": [f"r{n}" for n in range(number)], "image_id": images, "plate": [None] * number}
    rows |= {"well": [None] * number, "role": [role] * number if isinstance(role, str) else role} | columns
    return Embedding(pd.DataFrame(rows), np.asarray(vectors, np.float32), (np.shape(vectors)[1],))


def test_a_unit_has_the_mean_of_its_rows_wherever_they_lie():
    found = average(embedding(["b", "a", "b", "b"], [[3], [10], [6], [0]], scale=[1.0, 2.0, 3.0, 5.0]), "image")
    assert found.units.tolist() == ["a", "b"]
    assert found.vectors.tolist() == [[10], [3]]
    assert found.log_scale.tolist() == [[2], [3]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40))
def test_means_are_those_of_numpy(images):
    vectors = np.random.default_rng(0).normal(size=(len(images), 3)).astype(np.float32)
    found = average(embedding(images, vectors), "image")
    of = np.array(images)
    expected = [vectors[of == name].mean(axis=0, dtype=np.float64) for name in sorted(set(images))]
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)


def test_single_rows_are_sorted_by_unit_and_keep_their_bytes():
    found = average(embedding(["b", "a"], [[0.1], [0.2]]), "image")
    assert found.vectors.tolist() == np.array([[0.2], [0.1]], np.float32).tolist()
    assert found.log_scale is None


def test_any_row_decides_whether_an_encoder_has_seen_a_unit():
    roles = ["train", "test", "test", "unused"]
    found = average(embedding(["a", "a", "b", "c"], np.zeros((4, 1)), roles), "image")
    assert found.trained_on.tolist() == [True, False, False]
    assert found.tested.tolist() == [True, True, False]


def test_rows_without_a_well_cannot_be_averaged_to_wells():
    with pytest.raises(PhenoloomError, match="Row 'r0' has no well"):
        average(embedding(["a"], [[1]]), "well")


def test_one_table_serves_all_folds_and_other_splits_are_refused(tmp_path):
    for names in (["fold-0", "fold-2"], ["all", "fold-0"], []):
        with pytest.raises(PhenoloomError, match=r"must come as all.parquet or as fold-0.parquet ... fold-1.parquet"):
            FoldVectors.of("rep", "object", [tmp_path / f"{name}.parquet" for name in names], 2)
