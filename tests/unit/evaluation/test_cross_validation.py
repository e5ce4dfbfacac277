from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.config.study import Classify
from phenoloom.core.errors import PhenoloomError
from phenoloom.evaluation.cross_validation import Evaluation, LabelledStudy, Side, cross_validate, shuffled
from phenoloom.evaluation.scores import WITH_TILE
from phenoloom.evaluation.unit_vectors import FoldVectors, UnitVectors
from phenoloom.splits.split import Split


def split_of(fold, targets, groups=None, classes=("a", "b")):
    names = np.array([f"u{n}" for n in range(len(fold))], object)
    groups = names if groups is None else np.array(groups, object)
    return Split(names, groups, np.array(fold), np.array(targets), list(classes), {"unit": "object"})


def vectors_of(split, values, **changes):
    units = pd.Index(split.units)
    none = np.zeros(len(units), bool)
    values = np.asarray(values, np.float32).reshape(len(units), -1)
    return replace(UnitVectors(units, values, (values.shape[1],), None, none, none), **changes)


def labelled(split, vectors, tmp_path, name="here"):
    return LabelledStudy(name, split, FoldVectors("rep", "object", [tmp_path / "all.parquet"] * 2, vectors))


FOLD, TARGETS = [0, 1] * 10, [0, 0, 1, 1] * 5
SPLIT = split_of(FOLD, TARGETS)
LINE = np.array(TARGETS) * 10.0
LOGISTIC = Evaluation("rep", Classify(unit="object", probes=["logistic"], shuffled_labels=False), 2, seed=0)


def value(scores, metric):
    return [next(score.value for score in fold if score.metric == metric) for fold in scores]


def test_a_side_has_the_wanted_units_in_the_order_of_the_split_and_counts_those_without_a_vector():
    split = split_of([0, 0, 1, 1], [0, 1, 0, 1])
    units = vectors_of(split, [[0], [1], [2], [3]], units=pd.Index(["u3", "u1", "x", "u0"]))
    side = Side.of(split, units, np.array([True, True, True, False]))
    assert side.places.tolist() == [0, 1]
    assert side.vectors.tolist() == [[3], [1]]
    assert side.targets.tolist() == [0, 1]
    assert side.missing == 1


def test_further_features_are_a_part_of_their_own():
    side = Side.of(SPLIT, vectors_of(SPLIT, LINE), np.ones(20, bool))
    larger = side.with_features(np.ones((20, 2), np.float32))
    assert (larger.vectors.shape, larger.parts) == ((20, 3), (1, 2))


def test_each_fold_is_tested_by_a_probe_of_the_other_units_alone(tmp_path):
    # The classes of fold 1 are the wrong way round, so whatever learns from one fold errs on the other.
    turned = np.where(np.array(FOLD) == 1, 10 - LINE, LINE)
    assert value(cross_validate(LOGISTIC, labelled(SPLIT, vectors_of(SPLIT, LINE), tmp_path), None, 1), "macro_f1") == [
        1,
        1,
    ]
    found = cross_validate(LOGISTIC, labelled(SPLIT, vectors_of(SPLIT, turned), tmp_path), None, 1)
    assert value(found, "macro_f1") == [0, 0]


def test_another_study_is_tested_whole_in_every_fold(tmp_path):
    there = split_of([0, 0, 0, 1], [0, 1, 0, 1])
    target = labelled(there, vectors_of(there, [0, 10, 0, 10]), tmp_path, "there")
    found = cross_validate(LOGISTIC, labelled(SPLIT, vectors_of(SPLIT, LINE), tmp_path), target, 2)
    assert value(found, "units_test") == [4, 4]
    assert value(found, "units_train") == [10, 10]
    assert value(found, "macro_f1") == [1, 1]


def test_an_encoder_that_was_trained_for_the_other_study_is_refused(tmp_path):
    here = labelled(SPLIT, vectors_of(SPLIT, LINE), tmp_path)
    for changes in (
        {"trained_on": np.ones(20, bool)},
        {"tested": np.ones(20, bool)},
        {"seen_test_groups": True},
    ):
        with pytest.raises(PhenoloomError, match="trained for this study"):
            cross_validate(LOGISTIC, here, labelled(SPLIT, vectors_of(SPLIT, LINE, **changes), tmp_path, "there"), 1)


def test_a_side_without_vectors_is_refused_with_units_of_both(tmp_path):
    away = labelled(SPLIT, vectors_of(SPLIT, LINE, units=pd.Index([f"z{n}" for n in range(20)])), tmp_path)
    with pytest.raises(PhenoloomError, match=r"20 units such as 'z0', folds.parquet has units such as 'u0'.*for here"):
        cross_validate(LOGISTIC, away, None, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=12), st.integers(0, 99))
def test_shuffling_keeps_groups_of_one_label_together_and_every_label_of_a_group(sizes, seed):
    groups = np.repeat([f"g{n}" for n in range(len(sizes))], sizes).astype(object)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    dealt = shuffled(labels, groups, np.random.default_rng(seed))
    assert sorted(pd.Series(dealt).groupby(groups).unique().map(tuple)) == [(n,) for n in range(len(sizes))]


def test_shuffling_moves_single_units_where_groups_hold_several_labels():
    groups = np.repeat(["g", "h"], 20).astype(object)
    labels = np.arange(40) % 2
    dealt = shuffled(labels, groups, np.random.default_rng(0))
    assert sorted(dealt) == sorted(labels)
    assert (dealt != labels).any()


def test_units_with_a_tile_are_also_scored_alone_where_some_have_none(tmp_path):
    # Whatever has no tile lies on the side of the other class.
    tiled = np.arange(20) % 5 != 0
    line = np.where(tiled, LINE, 10 - LINE)
    study = labelled(replace(SPLIT, tiled=tiled), vectors_of(SPLIT, line), tmp_path)
    scores = cross_validate(LOGISTIC, study, None, 1)
    assert value(scores, f"macro_f1{WITH_TILE}") == [1, 1]
    assert max(value(scores, "macro_f1")) < 1
    supports = [score.support for fold in scores for score in fold if score.metric == f"macro_f1{WITH_TILE}"]
    assert sum(supports) == tiled.sum()
    whole = cross_validate(LOGISTIC, labelled(SPLIT, vectors_of(SPLIT, line), tmp_path), None, 1)
    assert not any(score.metric.endswith(WITH_TILE) for fold in whole for score in fold)


def test_a_fold_whose_objects_are_all_larger_than_a_tile_names_the_key_that_keeps_them(tmp_path):
    tiled = np.array(FOLD) == 1
    large = replace(SPLIT, tiled=tiled)
    of_tiles = UnitVectors(
        pd.Index(SPLIT.units[tiled]), np.ones((10, 1), np.float32), (1,), None, *2 * [np.zeros(10, bool)]
    )
    with pytest.raises(PhenoloomError, match=r"fold 0 .* are larger than a tile \(a larger `tiles.size` keeps them\)"):
        cross_validate(LOGISTIC, labelled(large, of_tiles, tmp_path), None, 1)
    outlined = replace(of_tiles, units=pd.Index(SPLIT.units[~tiled]))
    with pytest.raises(PhenoloomError, match=r"`shapes\.min_points` keep more outlines"):
        cross_validate(LOGISTIC, labelled(large, outlined, tmp_path), None, 1)
