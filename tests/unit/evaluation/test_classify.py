import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.studies import made_by

from phenoloom.artifacts.manifest import file_digest
from phenoloom.config.study import Classify
from phenoloom.core.errors import PhenoloomError
from phenoloom.evaluation.classify import classify
from phenoloom.evaluation.cross_validation import Evaluation

FOLDS = 3


def evaluation(unit="object", probes=("dummy", "logistic"), shuffled_labels=False):
    section = Classify(unit=unit, probes=list(probes), shuffled_labels=shuffled_labels, forest_trees=10)
    return Evaluation("rep", section, FOLDS, seed=0)


def write_folds(path, units, unit="object", multi=False):
    """`units`: id -> (group, label, fold)."""
    ids = sorted(units)
    groups, labels, folds = zip(*(units[i] for i in ids), strict=True)
    tested = [label for label, fold in zip(labels, folds, strict=True) if fold >= 0]
    classes = {name: 1 for label in tested for name in (label if multi else [label])}
    facts = {"unit": unit, "count": FOLDS, "multi_label": multi, "classes": classes}
    table = pa.table(
        {
            "id": ids,
            "group": list(groups),
            "label": pa.array(labels, pa.list_(pa.string()) if multi else pa.string()),
            "fold": pa.array(folds, pa.int16()),
        }
    )
    pq.write_table(table.replace_schema_metadata({b"phenoloom": json.dumps(facts)}), path)
    return path


def write_embedding(path, ids, vectors, role="all", name="rep", **columns):
    number = len(ids)
    texts = {"study": ["made-up"] * number, "image": list(ids), "plate": [None] * number, "well": [None] * number}
    texts |= {"field": [None] * number, "label": [None] * number, "group": [None] * number}
    texts |= {"role": [role] * number if isinstance(role, str) else list(role)}
    texts |= {key: list(values) for key, values in columns.items() if key != "scale"}
    table = {"Metadata_id": pa.array(ids, pa.string())}
    table |= {f"Metadata_{key}": pa.array(values, pa.string()) for key, values in texts.items()}
    if "scale" in columns:
        table["Metadata_scale"] = pa.array(columns["scale"], pa.float32())
    table |= {f"{name}_{n:04d}": pa.array(column, pa.float32()) for n, column in enumerate(np.asarray(vectors).T)}
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), path)
    return path


def study(number=60, classes="abc", seed=0):
    """Units u000 ... in groups of two with one class each, folds dealt by group; vectors that separate the classes."""
    rng = np.random.default_rng(seed)
    ids = [f"u{n:03d}" for n in range(number)]
    group = np.arange(number) // 2
    codes = group % len(classes)
    units = {
        i: (f"g{g:03d}", classes[c], int((g // len(classes)) % FOLDS))
        for i, g, c in zip(ids, group, codes, strict=True)
    }
    vectors = np.eye(len(classes))[codes] * 6 + rng.normal(size=(number, len(classes)))
    return ids, units, vectors.astype(np.float32)


def scores_of(tmp_path, folds, embeddings, threads=2, **choices):
    output = tmp_path / "scores" / "rep.parquet"
    classify(evaluation(**choices), embeddings, folds, output, made_by("made-up"), threads)
    return pq.read_table(output).to_pandas()


def refusal(tmp_path, folds, embeddings, **choices):
    with pytest.raises(PhenoloomError) as error:
        scores_of(tmp_path, folds, embeddings, **choices)
    assert not (tmp_path / "scores" / "rep.parquet").exists()
    return str(error.value)


def values(table, probe, metric, class_=""):
    chosen = table[(table["probe"] == probe) & (table["metric"] == metric) & (table["class"] == class_)]
    return chosen.set_index("fold")["value"]


def test_vectors_that_separate_the_classes_score_high_on_every_fold_and_the_dummy_is_at_its_closed_form(tmp_path):
    ids, units, vectors = study()
    folds = write_folds(tmp_path / "folds.parquet", units)
    table = scores_of(tmp_path, folds, [write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)])
    assert values(table, "logistic", "macro_f1").index.tolist() == [0, 1, 2]
    assert values(table, "logistic", "macro_f1").min() > 0.9
    assert values(table, "dummy", "balanced_accuracy").tolist() == pytest.approx([1 / 3] * 3)
    assert values(table, "dummy", "mcc").tolist() == [0, 0, 0]
    assert table.columns.tolist() == [
        *["study", "representation", "probe", "fold", "metric", "class", "predicted", "value", "support"]
    ]


def test_counts_of_units_groups_and_confusions_add_up_to_the_folds(tmp_path):
    ids, units, vectors = study()
    folds = write_folds(tmp_path / "folds.parquet", units)
    table = scores_of(tmp_path, folds, [write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)])
    in_fold = pd.Series([fold for *_, fold in units.values()]).value_counts().sort_index()
    assert values(table, "dummy", "units_test").tolist() == in_fold.tolist()
    assert values(table, "dummy", "units_train").tolist() == (60 - in_fold).tolist()
    assert values(table, "dummy", "groups_test").tolist() == (in_fold / 2).tolist()
    assert values(table, "dummy", "units_missing").tolist() == [0, 0, 0]
    confusion = table[(table["metric"] == "confusion") & (table["probe"] == "logistic")]
    assert confusion["value"].sum() == 60
    f1 = table[(table["metric"] == "f1") & (table["probe"] == "logistic")]
    assert f1.groupby("fold")["support"].sum().tolist() == in_fold.tolist()


def test_a_class_absent_from_a_test_fold_has_no_score_there(tmp_path):
    ids, units, vectors = study()
    for unit, (group, label, fold) in units.items():
        if label == "c" and fold == 0:
            units[unit] = (group, label, 1)
    folds = write_folds(tmp_path / "folds.parquet", units)
    table = scores_of(tmp_path, folds, [write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)])
    assert values(table, "logistic", "f1", "c").index.tolist() == [1, 2]
    assert not table["value"].isna().any()
    assert values(table, "logistic", "macro_f1")[0] > 0.9


def test_rows_are_averaged_to_units_before_scoring(tmp_path):
    # Each row alone has no information: noise of opposite sign in the two rows of a unit hides the class.
    ids, units, vectors = study()
    units = {f"p/{i}": value for i, value in units.items()}
    noise = np.random.default_rng(1).normal(scale=1000, size=vectors.shape)
    rows = [f"{i}#{n}" for n in (0, 1) for i in ids]
    folds = write_folds(tmp_path / "folds.parquet", units, unit="well")
    where = {"plate": ["p"] * 120, "well": ids * 2}
    file = write_embedding(tmp_path / "e" / "all.parquet", rows, np.vstack([vectors + noise, vectors - noise]), **where)
    table = scores_of(tmp_path, folds, [file], unit="well")
    assert values(table, "logistic", "macro_f1").min() > 0.9
    assert values(table, "logistic", "units_test").sum() == 60


def test_units_without_a_fold_take_no_part(tmp_path):
    ids, units, vectors = study()
    # Outliers with a wrong label that would spoil every fit.
    extra = {f"x{n}": (f"gx{n}", "a", -1) for n in range(30)}
    folds = write_folds(tmp_path / "folds.parquet", units | extra)
    file = write_embedding(
        tmp_path / "e" / "all.parquet", ids + list(extra), np.vstack([vectors, np.full((30, 3), [0, 5e6, 0])])
    )
    table = scores_of(tmp_path, folds, [file])
    assert values(table, "logistic", "macro_f1").min() > 0.9
    assert values(table, "logistic", "units_train").tolist() == [
        60 - n for n in values(table, "logistic", "units_test")
    ]


def test_units_without_vectors_are_counted_where_they_are_missed(tmp_path):
    ids, units, vectors = study()
    folds = write_folds(tmp_path / "folds.parquet", units)
    lost = [i for i in ids if units[i][2] == 1][:4]
    kept = [n for n, i in enumerate(ids) if i not in lost]
    file = write_embedding(tmp_path / "e" / "all.parquet", [ids[n] for n in kept], vectors[kept])
    table = scores_of(tmp_path, folds, [file])
    assert values(table, "logistic", "units_missing").tolist() == [0, 4, 0]
    assert values(table, "logistic", "units_test").sum() == 56


def per_fold(tmp_path, ids, units, vectors, swap=()):
    files = []
    for fold in range(FOLDS):
        role = ["test" if (units[i][2] == fold) != ((i, fold) in swap) else "train" for i in ids]
        files.append(write_embedding(tmp_path / "e" / f"fold-{fold}.parquet", ids, vectors[fold], role))
    return files


def test_each_fold_is_scored_on_the_vectors_of_its_own_encoder(tmp_path):
    ids, units, vectors = study()
    noise = np.random.default_rng(0).normal(size=vectors.shape)
    folds = write_folds(tmp_path / "folds.parquet", units)
    table = scores_of(tmp_path, folds, per_fold(tmp_path, ids, units, [vectors, noise, vectors]))
    found = values(table, "logistic", "macro_f1")
    assert found[1] < 0.6 < 0.9 < min(found[0], found[2])


@pytest.mark.parametrize(
    ("unit", "fold", "sentence"),
    [
        ("u000", 0, "unit 'u000' is test in fold 0 of folds.parquet, but its vectors were made as train"),
        ("u000", 1, "unit 'u000' is train in fold 1 of folds.parquet, but its vectors were made as test"),
    ],
)
def test_vectors_of_an_encoder_of_another_split_are_refused(tmp_path, unit, fold, sentence):
    ids, units, vectors = study()
    assert units["u000"][2] == 0
    files = per_fold(tmp_path, ids, units, [vectors] * FOLDS, swap={(unit, fold)})
    assert sentence in refusal(tmp_path, write_folds(tmp_path / "folds.parquet", units), files)


def test_one_trained_row_of_a_test_unit_is_a_leak_too(tmp_path):
    ids, units, vectors = study()
    rows = [f"{i}#{n}" for i in ids for n in (0, 1)]
    files = []
    for fold in range(FOLDS):
        role = ["test" if units[i][2] == fold else "train" for i in ids for _ in (0, 1)]
        role[1] = "train"
        file = tmp_path / "e" / f"fold-{fold}.parquet"
        files.append(write_embedding(file, rows, np.repeat(vectors, 2, axis=0), role, image=np.repeat(ids, 2)))
    folds = write_folds(tmp_path / "folds.parquet", units, unit="image")
    assert "unit 'u000' is test in fold 0" in refusal(tmp_path, folds, files, unit="image")


def test_a_group_in_two_folds_is_refused(tmp_path):
    ids, units, vectors = study()
    units["u001"] = ("g000", "a", 1)
    folds = write_folds(tmp_path / "folds.parquet", units)
    file = write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)
    assert "'g000' sits in more than one fold" in refusal(tmp_path, folds, [file])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused_with_the_row_and_the_column(tmp_path, value):
    ids, units, vectors = study()
    vectors[7, 2] = value
    file = write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)
    found = refusal(tmp_path, write_folds(tmp_path / "folds.parquet", units), [file])
    assert "1 of 60 vectors are not finite, first 'u007' in rep_0002" in found


def test_missing_splits_foreign_units_and_other_folds_are_refused(tmp_path):
    ids, units, vectors = study()
    folds = write_folds(tmp_path / "folds.parquet", units)
    files = per_fold(tmp_path, ids, units, [vectors] * FOLDS)
    assert "found fold-0, fold-2" in refusal(tmp_path, folds, [files[0], files[2]])
    foreign = write_embedding(tmp_path / "e" / "all.parquet", [f"z{i}" for i in ids], vectors)
    assert "such as 'zu000', folds.parquet has units such as 'u000'" in refusal(tmp_path, folds, [foreign])
    assert "the study asks for 3 folds of wells" in refusal(tmp_path, folds, files, unit="well")
    other = write_embedding(tmp_path / "e" / "all.parquet", ids, vectors, name="other")
    assert "must hold columns rep_0000" in refusal(tmp_path, folds, [other])


def test_shapes_are_scored_with_and_without_their_scale(tmp_path):
    ids, units, vectors = study()
    noise = np.random.default_rng(0).normal(size=vectors.shape)
    scale = vectors.argmax(axis=1)
    folds = write_folds(tmp_path / "folds.parquet", units)
    file = write_embedding(tmp_path / "e" / "all.parquet", ids, noise, scale=scale)
    table = scores_of(tmp_path, folds, [file], probes=["dummy", "knn", "logistic", "forest"])
    assert set(table["probe"]) == {"dummy", "knn", "logistic", "forest", "logistic+scale", "forest+scale"}
    for probe in ("logistic", "forest"):
        assert values(table, probe, "macro_f1").mean() < 0.6
        assert values(table, f"{probe}+scale", "macro_f1").mean() > 0.8


def test_parts_are_reduced_each_by_itself_and_size_is_a_part_of_its_own(tmp_path):
    ids, units, vectors = study()
    noise = np.random.default_rng(0).normal(size=(60, 2000))
    folds = write_folds(tmp_path / "folds.parquet", units)
    file = write_embedding(
        tmp_path / "e" / "all.parquet", ids, np.hstack([noise, vectors]), scale=vectors.argmax(axis=1)
    )
    drowned = values(scores_of(tmp_path, folds, [file], probes=["logistic"]), "logistic", "macro_f1").mean()
    facts = {b"phenoloom": json.dumps({"parts": [["noise", 2000], ["signal", 3]]})}
    pq.write_table(pq.read_table(file).replace_schema_metadata(facts), file)
    table = scores_of(tmp_path, folds, [file], probes=["logistic"])
    assert values(table, "logistic", "macro_f1").mean() > drowned + 0.1
    alone = write_embedding(tmp_path / "e" / "all.parquet", ids, noise, scale=vectors.argmax(axis=1) * 5)
    table = scores_of(tmp_path, folds, [alone], probes=["logistic"])
    assert values(table, "logistic", "macro_f1").mean() < 0.6
    assert values(table, "logistic+scale", "macro_f1").mean() > values(table, "logistic", "macro_f1").mean() + 0.1


def test_parts_that_do_not_add_up_are_refused(tmp_path):
    ids, units, vectors = study()
    file = write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)
    facts = {b"phenoloom": json.dumps({"parts": [["a", 2], ["b", 2]]})}
    pq.write_table(pq.read_table(file).replace_schema_metadata(facts), file)
    found = refusal(tmp_path, write_folds(tmp_path / "folds.parquet", units), [file])
    assert "its parts have 2 + 2 features, but has 3" in found


def test_shuffled_labels_score_at_chance_on_vectors_that_separate_the_classes(tmp_path):
    ids, units, vectors = study(number=180, classes="ab")
    folds = write_folds(tmp_path / "folds.parquet", units)
    file = write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)
    table = scores_of(tmp_path, folds, [file], shuffled_labels=True)
    assert values(table, "logistic", "balanced_accuracy").min() > 0.95
    chance = values(table, "logistic-shuffled", "balanced_accuracy")
    assert len(chance) == FOLDS
    assert 0.4 < chance.mean() < 0.6
    assert set(table.loc[table["probe"] == "logistic-shuffled", "metric"]) == {"macro_f1", "balanced_accuracy", "mcc"}


def test_several_labels_a_unit_are_scored_one_against_the_rest(tmp_path):
    ids, units, vectors = study()
    extra = {"a": ["a"], "b": ["b", "a"], "c": ["c", "dropped"]}
    units = {i: (group, extra[label], fold) for i, (group, label, fold) in units.items()}
    # No unit of fold 2 carries c.
    units = {i: (group, label, 1 if fold == 2 and "c" in label else fold) for i, (group, label, fold) in units.items()}
    folds = write_folds(tmp_path / "folds.parquet", units, multi=True)
    facts = json.loads(pq.read_schema(folds).metadata[b"phenoloom"])
    del facts["classes"]["dropped"]
    pq.write_table(pq.read_table(folds).replace_schema_metadata({b"phenoloom": json.dumps(facts)}), folds)
    file = write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)
    table = scores_of(tmp_path, folds, [file], probes=["dummy", "knn", "logistic", "forest"], shuffled_labels=True)
    assert set(table["class"]) == {"", "a", "b", "c"}
    assert "confusion" not in set(table["metric"])
    for probe in ("knn", "logistic", "forest"):
        assert values(table, probe, "macro_f1").min() > 0.85
        assert values(table, probe, "average_precision").min() > 0.85
    assert values(table, "logistic", "f1", "c").index.tolist() == [0, 1]
    # The share of units that carry b: a constant score ranks nothing.
    share = table[(table["class"] == "b") & (table["metric"] == "f1") & (table["probe"] == "dummy")].set_index("fold")
    share = share["support"] / values(table, "dummy", "units_test")
    assert values(table, "dummy", "average_precision", "b").tolist() == pytest.approx(share.tolist())
    assert values(table, "logistic-shuffled", "average_precision").mean() < 0.7


def test_the_number_of_threads_does_not_change_a_byte(tmp_path):
    ids, units, vectors = study()
    vectors = np.hstack([vectors / 4, np.random.default_rng(2).normal(size=(60, 80))]).astype(np.float32)
    folds = write_folds(tmp_path / "folds.parquet", units)
    files = per_fold(tmp_path, ids, units, [vectors, vectors[:, ::-1], vectors])
    found = set()
    for threads in (1, 3):
        choices = {"probes": ["knn", "logistic", "forest"], "shuffled_labels": True}
        scores_of(tmp_path, folds, files, threads=threads, **choices)
        found.add((tmp_path / "scores" / "rep.parquet").read_bytes())
    assert len(found) == 1


def test_scores_name_the_folds_and_the_settings_that_they_belong_to(tmp_path):
    ids, units, vectors = study()
    folds = write_folds(tmp_path / "folds.parquet", units)
    scores_of(tmp_path, folds, [write_embedding(tmp_path / "e" / "all.parquet", ids, vectors)])
    facts = json.loads(pq.read_schema(tmp_path / "scores" / "rep.parquet").metadata[b"phenoloom"])
    assert facts["folds"] == file_digest([folds])
    assert facts["settings_sha256"] == made_by().settings_sha256


def test_a_study_that_cannot_be_scored_has_a_table_without_rows_that_says_why(tmp_path):
    ids, units, vectors = study()
    folds = write_folds(tmp_path / "folds.parquet", {i: (group, None, fold) for i, (group, _, fold) in units.items()})
    table = pq.read_table(folds)
    facts = json.loads(table.schema.metadata[b"phenoloom"]) | {"unscored": "no object has a label", "classes": {}}
    pq.write_table(table.replace_schema_metadata({b"phenoloom": json.dumps(facts)}), folds)
    embedding = write_embedding(tmp_path / "rep" / "all.parquet", ids, vectors)
    assert scores_of(tmp_path, folds, [embedding]).empty
    stated = json.loads(pq.read_schema(tmp_path / "scores" / "rep.parquet").metadata[b"phenoloom"])
    assert stated["unscored"] == "no object has a label"
