import numpy as np
import pytest

from phenoloom.evaluation.probes import FeatureBlock, ProbeSettings, probe, wants_reduction

PROBES = ["knn", "logistic", "forest"]


def probe_settings(blocks=((6, False),), **changes):
    found = tuple(FeatureBlock(*block) for block in blocks)
    return ProbeSettings(**({"neighbours": 3, "trees": 25, "seed": 0, "blocks": found} | changes))


def clusters(number=120, features=6, classes=3, distance=8.0, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(number) % classes
    centres = rng.normal(size=(classes, features)) * distance
    return (centres[codes] + rng.normal(size=(number, features))).astype(np.float32), codes


@pytest.mark.parametrize("name", PROBES)
def test_separated_clusters_are_recognised_whatever_the_units_of_the_features(name):
    vectors, codes = clusters()
    # One feature of huge numbers and no information: raw cosines and raw penalties would see nothing else.
    vectors = np.column_stack([vectors, np.random.default_rng(1).normal(1e6, 1e5, len(vectors)).astype(np.float32)])
    found = probe(name, vectors[:80], codes[:80], vectors[80:], probe_settings([(7, False)]))
    assert (found.labels == codes[80:]).mean() > 0.95
    assert found.scores is None
    assert found.unconverged == 0


def test_the_dummy_predicts_the_most_frequent_class_of_the_train_folds_only():
    codes = np.array([2, 2, 0, 1])
    vectors = np.zeros((4, 2), np.float32)
    assert probe("dummy", vectors, codes, np.ones((9, 2), np.float32), probe_settings()).labels.tolist() == [2] * 9


@pytest.mark.parametrize("reduce", [False, True], ids=["features", "components"])
@pytest.mark.parametrize("name", PROBES)
def test_test_units_do_not_change_how_other_test_units_are_prepared(name, reduce):
    vectors, codes = clusters(features=80, distance=0.3)
    fitted = probe_settings([(80, reduce)])
    alone = probe(name, vectors[:80], codes[:80], vectors[80:90], fitted)
    outlier = np.full((1, vectors.shape[1]), 1e5, np.float32)
    together = probe(name, vectors[:80], codes[:80], np.vstack([vectors[80:90], outlier]), fitted)
    assert (alone.labels == together.labels[:10]).all()


@pytest.mark.parametrize("name", PROBES)
def test_one_class_in_the_train_folds_is_predicted_for_all(name):
    vectors, _ = clusters()
    assert set(probe(name, vectors[:5], np.full(5, 1), vectors[5:], probe_settings()).labels) == {1}


@pytest.mark.parametrize("name", PROBES)
def test_the_same_input_gives_the_same_prediction(name):
    vectors, codes = clusters(distance=0.3)
    one, two = (probe(name, vectors[:80], codes[:80], vectors[80:], probe_settings()).labels for _ in range(2))
    assert (one == two).all()


@pytest.mark.parametrize("name", PROBES)
def test_more_features_than_units_are_reduced_and_still_recognised(name):
    vectors, codes = clusters(features=400, distance=2.0)
    assert wants_reduction(*vectors.shape)
    found = probe(name, vectors[:80], codes[:80], vectors[80:], probe_settings([(400, True)]))
    assert (found.labels == codes[80:]).mean() > 0.9


@pytest.mark.parametrize("name", PROBES)
def test_a_long_representation_does_not_drown_a_short_one(name):
    vectors, codes = clusters(number=240, features=6, distance=4.0)
    noise = np.random.default_rng(1).normal(size=(240, 2000)).astype(np.float32)
    both = np.hstack([noise, vectors])
    apart, together = (
        (probe(name, both[:160], codes[:160], both[160:], probe_settings(blocks)).labels == codes[160:]).mean()
        for blocks in ([(2000, True), (6, False)], [(2006, True)])
    )
    assert apart > together + 0.1


def test_blocks_that_are_not_all_features_are_refused():
    vectors, codes = clusters()
    with pytest.raises(ValueError, match="5 features in blocks, found vectors of 6"):
        probe("knn", vectors[:80], codes[:80], vectors[80:], probe_settings([(2, False), (3, False)]))


@pytest.mark.parametrize(
    ("units", "features", "reduced"), [(100, 50, False), (100, 51, True), (20_000, 512, False), (1_000, 400, True)]
)
def test_components_replace_features_only_where_units_are_too_few_for_them(units, features, reduced):
    assert wants_reduction(units, features) == reduced


def test_more_neighbours_than_train_units_are_all_asked():
    vectors, codes = clusters(number=9)
    assert len(probe("knn", vectors[:4], codes[:4], vectors[4:], probe_settings(neighbours=20)).labels) == 5


@pytest.mark.parametrize("name", PROBES)
def test_several_labels_are_predicted_class_by_class_with_scores(name):
    vectors, codes = clusters(number=160, classes=4)
    # Class 0: codes 0 and 1; class 1: codes 1 and 2; class 2: nobody; class 3: everybody.
    flags = np.column_stack([codes < 2, (codes == 1) | (codes == 2), codes < 0, codes >= 0])
    found = probe(name, vectors[:100], flags[:100], vectors[100:], probe_settings())
    assert found.labels.dtype == bool
    assert found.scores.shape == (60, 4)
    assert (found.labels == flags[100:]).mean() > 0.95
    assert not found.labels[:, 2].any()
    assert found.labels[:, 3].all()


def test_the_dummy_scores_every_unit_with_the_share_of_each_class():
    flags = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], bool)
    found = probe("dummy", np.zeros((4, 1), np.float32), flags, np.zeros((2, 1), np.float32), probe_settings())
    assert found.scores.tolist() == [[0.75, 0.25]] * 2
    assert found.labels.tolist() == [[True, False]] * 2


def test_a_fit_that_stops_at_the_limit_of_iterations_is_counted(monkeypatch):
    monkeypatch.setattr("phenoloom.evaluation.probes.MOST_ITERATIONS", 1)
    vectors, codes = clusters(distance=0.5)
    with pytest.warns(match="failed to converge"):
        assert probe("logistic", vectors[:80], codes[:80], vectors[80:], probe_settings()).unconverged == 1
    flags = np.eye(3, dtype=bool)[codes]
    with pytest.warns(match="failed to converge"):
        assert probe("logistic", vectors[:80], flags[:80], vectors[80:], probe_settings()).unconverged == 3
