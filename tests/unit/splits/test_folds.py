import csv
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from phenoloom.artifacts.manifest import file_digest, read_manifest
from phenoloom.artifacts.parquet import table_facts
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.rule_settings import FoldsSettings
from phenoloom.config.study import Folds
from phenoloom.core.errors import PhenoloomError
from phenoloom.splits.design import SplitDesign
from phenoloom.splits.folds import make_folds
from phenoloom.splits.split import Split


def fold_settings(unit="object", group="object", count=2, scheme="stratified-group-kfold", seed=0):
    folds = Folds(scheme=scheme, count=count, group=group)
    return FoldsSettings(algorithm=1, study="made-up", folds=folds, unit=unit, seed=seed)


def run(folder, index, **choices):
    settings = fold_settings(**choices)
    design = SplitDesign(settings.unit, settings.folds, settings.seed)
    make_folds(design, index, folder / "folds.parquet", folder / "folds.json", Provenance.of(settings))


def write_index(path, rows, multi=False):
    frame = pd.DataFrame(rows)
    columns = {
        name: pa.array([None if pd.isna(v) else v for v in frame[name]], pa.string())
        if name in frame
        else pa.nulls(len(frame), pa.string())
        for name in ("id", "image_id", "plate", "well", "field", "group", "digest")
    }
    columns["label"] = pa.array(list(frame["label"]), pa.list_(pa.string()) if multi else pa.string())
    pq.write_table(pa.table(columns), path)
    return path


def objects(labels, per_image=1, **columns):
    """One row an object, `per_image` objects an image."""
    return [
        {"id": f"i{n // per_image:03d}#{n:04d}", "image_id": f"i{n // per_image:03d}", "label": label, "digest": ""}
        | {name: values[n] for name, values in columns.items()}
        for n, label in enumerate(labels)
    ]


def folds_of(tmp_path, rows, multi=False, **choices):
    index = write_index(tmp_path / "index.parquet", rows, multi)
    run(tmp_path, index, **choices)
    table = pq.read_table(tmp_path / "folds.parquet")
    return table.to_pandas().set_index("id"), table_facts(table.schema)


def refusal(tmp_path, rows, **choices):
    with pytest.raises(PhenoloomError) as error:
        folds_of(tmp_path, rows, **choices)
    assert not (tmp_path / "folds.parquet").exists()
    return str(error.value)


@st.composite
def grouped_rows(draw):
    """Objects in wells of mixed labels, some unlabelled, some with copies of other images."""
    number = draw(st.integers(12, 60))
    wells = draw(st.lists(st.sampled_from([f"A{i:02d}" for i in range(1, 9)]), min_size=number, max_size=number))
    labels = draw(st.lists(st.sampled_from(["x", "y", "z", None]), min_size=number, max_size=number))
    digests = draw(st.lists(st.sampled_from(["", "", "", "d1", "d2"]), min_size=number, max_size=number))
    return objects(labels, well=wells, plate=["p"] * number, digest=digests)


@settings(max_examples=80, deadline=None)
@given(grouped_rows(), st.integers(2, 3), st.integers(0, 3))
def test_no_group_and_no_image_content_sits_in_two_folds(tmp_path_factory, rows, count, seed):
    try:
        frame, facts = folds_of(tmp_path_factory.mktemp("f"), rows, group="well", count=count, seed=seed)
    except PhenoloomError:
        return
    table = pd.DataFrame(rows).set_index("id").join(frame[["group", "fold"]])
    tested = table[table["fold"] >= 0]
    assert (tested.groupby("group")["fold"].nunique() == 1).all()
    assert (tested.groupby("well")["fold"].nunique() == 1).all()
    copies = tested[tested["digest"] != ""]
    assert (copies.groupby("digest")["fold"].nunique() <= 1).all()
    if "unscored" in facts:
        assert len(tested) == len(table)
        return
    assert sum(facts["classes"].values()) == len(tested)
    assert len(table) == len(tested) + sum(facts["dropped"].values()) + facts["unlabelled"]


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_index_does_not_change_a_byte(tmp_path_factory, random):
    rows = objects("aabbccabcabcabcbbca", per_image=2, digest=[""] * 15 + ["d", "", "d", ""])
    folder = tmp_path_factory.mktemp("f")
    folds_of(folder, rows, group="image", count=3)
    before = (folder / "folds.parquet").read_bytes()
    random.shuffle(rows)
    folds_of(folder, rows, group="image", count=3)
    assert (folder / "folds.parquet").read_bytes() == before


def test_every_class_with_a_group_for_each_fold_is_in_every_fold(tmp_path):
    labels = "a" * 20 + "b" * 5 + "c" * 9
    frame, facts = folds_of(tmp_path, objects(labels), count=5)
    assert (frame.groupby("label")["fold"].nunique() == 5).all()
    assert facts["classes"] == {"a": 20, "b": 5, "c": 9}
    assert facts["folds_without"] == {}


def test_a_class_in_fewer_groups_than_folds_is_left_out_by_name_and_counted(tmp_path):
    # Eight units of `rare`, but in two wells only.
    labels = ["rare"] * 8 + ["a", "b"] * 8
    wells = ["W1", "W2"] * 4 + [f"X{n // 2}" for n in range(16)]
    frame, facts = folds_of(tmp_path, objects(labels, well=wells, plate=["p"] * 24), group="well", count=3)
    assert facts["dropped"] == {"rare": 8}
    assert (frame.loc[frame["label"] == "rare", "fold"] == -1).all()
    assert (frame.loc[frame["label"] != "rare", "fold"] >= 0).all()


def test_unlabelled_units_have_a_group_but_no_fold(tmp_path):
    rows = objects(["a", "b", None] * 4, well=[f"W{n // 3}" for n in range(12)], plate=["p"] * 12)
    frame, facts = folds_of(tmp_path, rows, group="well", count=2)
    unlabelled = frame[frame["label"].isna()]
    assert (unlabelled["fold"] == -1).all()
    assert unlabelled["group"].tolist() == ["p/W0", "p/W1", "p/W2", "p/W3"]
    assert facts["unlabelled"] == 4


def test_copies_of_an_image_are_one_group_under_the_smallest_name_through_chains(tmp_path):
    # i000 = i003 and i003 = i005 in another channel set: one group of three.
    rows = [
        *objects("ababab", digest=["d1", "", "", "d1", "", ""]),
        {"id": "i003#extra", "image_id": "i003", "label": "b", "digest": "d2"},
        {"id": "i005#extra", "image_id": "i005", "label": "b", "digest": "d2"},
    ]
    frame, facts = folds_of(tmp_path, rows, group="image", count=2)
    assert facts["merged_duplicates"] == 2
    joined = frame[frame.index.str.startswith(("i000", "i003", "i005"))]
    assert set(joined["group"]) == {"i000"}
    assert joined["fold"].nunique() == 1


def test_objects_of_one_image_share_its_digest_without_being_copies(tmp_path):
    frame, facts = folds_of(tmp_path, objects("abab", per_image=4, digest=["same"] * 4), count=2)
    assert facts["merged_duplicates"] == 0
    assert frame["group"].nunique() == 4


def test_wells_are_units_of_their_plate_and_take_their_images_label(tmp_path):
    rows = objects("aabbaabb", plate=["p1"] * 4 + ["p2"] * 4, well=["A1", "A1", "A2", "A2"] * 2)
    frame, facts = folds_of(tmp_path, rows, unit="well", group="well", count=2)
    assert frame.index.tolist() == ["p1/A1", "p1/A2", "p2/A1", "p2/A2"]
    assert frame["label"].tolist() == ["a", "b", "a", "b"]
    assert facts["unit"] == facts["group"] == "well"


def test_a_well_without_a_plate_is_called_by_its_own_name(tmp_path):
    frame, _ = folds_of(tmp_path, objects("abab", well=["A1", "A2", "A3", "A4"]), unit="well", group="well")
    assert frame.index.tolist() == ["A1", "A2", "A3", "A4"]


def test_a_unit_with_conflicting_labels_is_refused_by_name(tmp_path):
    rows = objects("abab", per_image=2)
    assert "'i000' has conflicting labels (a, b)" in refusal(tmp_path, rows, unit="image", group="image")


def test_a_unit_that_lies_in_two_groups_is_refused_by_name(tmp_path):
    rows = objects("aaaabbbb", well=["A1", "A1", "A2", "A2"] * 2, plate=["p"] * 4 + ["q"] * 4)
    assert "unit 'p/A1' lies in 2 groups" in refusal(tmp_path, rows, unit="well", group="image")


def test_a_labelled_unit_without_a_group_is_refused_and_an_unlabelled_one_stands_alone(tmp_path):
    rows = objects(["a", "b", "a", "b", None], group=["g1", "g2", "g3", "g4", None])
    frame, facts = folds_of(tmp_path, rows, group="group")
    assert frame.loc["i004#0004", "group"] == "i004#0004"
    assert facts["ungrouped"] == 1
    (tmp_path / "folds.parquet").unlink()
    rows[1]["group"] = None
    assert "'i001#0001' has a label but no group" in refusal(tmp_path, rows, group="group")


def test_images_without_a_well_cannot_be_grouped_by_well(tmp_path):
    found = refusal(tmp_path, objects("abab"), group="well")
    assert "'i000' has no well, but folds.group is well" in found
    assert found.endswith("or set folds.group to image")
    found = refusal(tmp_path, objects("abab"), group="well", unit="well")
    assert found.endswith("or set classify.unit and folds.group to image")


def test_a_study_without_labels_has_whole_groups_in_folds_of_equal_size_and_says_why_it_has_no_scores(tmp_path):
    rows = objects([None] * 24, per_image=2, well=[f"W{n // 4}" for n in range(24)], plate=["p"] * 24)
    frame, facts = folds_of(tmp_path, rows, group="well", count=3)
    assert frame["label"].isna().all()
    assert frame["fold"].value_counts().to_dict() == {0: 8, 1: 8, 2: 8}
    assert (frame.groupby("group")["fold"].nunique() == 1).all()
    assert facts["unscored"].startswith("no object has a label; to get scores, name the column of labels")
    assert (facts["classes"], facts["dropped"], facts["unlabelled"]) == ({}, {}, 24)
    assert read_manifest(tmp_path / "folds.json")["rejected"] == {}
    assert read_manifest(tmp_path / "folds.json")["unscored"] == facts["unscored"]
    others = folds_of(tmp_path, rows, group="well", count=3, seed=1)[0]["fold"]
    assert (others != frame["fold"]).any()


@settings(max_examples=25, deadline=None)
@given(grouped_rows(), st.integers(2, 4), st.sampled_from(["none", "one class"]), st.integers(0, 3))
def test_whatever_a_study_without_scores_looks_like_every_unit_is_tested_once_beside_its_group(
    tmp_path_factory, rows, count, labels, seed
):
    rows = [row | {"label": None if labels == "none" or row["label"] != "x" else "x", "digest": ""} for row in rows]
    wells = len({row["well"] for row in rows})
    assume(wells > 1)
    frame, facts = folds_of(tmp_path_factory.mktemp("f"), rows, group="well", count=min(count, wells), seed=seed)
    assert facts["unscored"]
    assert set(frame["fold"]) == set(range(min(count, wells)))
    assert (frame.groupby("group")["fold"].nunique() == 1).all()


def test_a_study_of_one_class_is_embedded_and_names_it(tmp_path):
    frame, facts = folds_of(tmp_path, objects("aaaaaa"), count=3)
    assert (
        facts["unscored"]
        == "there is one class, 'a' (6 units in 6 groups (object)); scores need units of a second class"
    )
    assert frame["label"].tolist() == ["a"] * 6
    assert frame["fold"].value_counts().to_dict() == {0: 2, 1: 2, 2: 2}


def test_classes_that_no_folds_of_whole_groups_could_score_are_embedded_with_their_counts(tmp_path):
    _, facts = folds_of(tmp_path, objects("aaaaaab"), count=3)
    assert facts["unscored"] == (
        "classification needs two classes in at least 3 groups (object) each, but found a: 6 units in 6; b: 1 units "
        "in 1; scores need two classes in at least two groups (object) each"
    )
    rows = objects("aaaabbbb", per_image=4, well=["A1"] * 4 + ["B1"] * 4, plate=["p"] * 8)
    found = folds_of(tmp_path, rows, group="well", count=2)[1]["unscored"]
    assert "set folds.scheme to stratified-group-kfold, folds.group to object and folds.count to 2" in found


def advised(message, design):
    """The choices of a split after each piece of advice in a refusal."""
    words = {"folds.count": "count", "folds.group": "group", "folds.scheme": "scheme", "classify.unit": "unit"}
    found = []
    for advice in message.split(", or "):
        changes = re.findall(r"(folds\.\w+|classify\.unit) to ([\w-]+)", advice)
        found.append(design | {words[key]: int(value) if value.isdigit() else value for key, value in changes})
    return [choices for choices in found if choices != design]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from("abc-")), min_size=3, max_size=14),
    st.sampled_from(["", "one class", "no labels"]),
    st.integers(2, 6),
    st.sampled_from(["object", "image", "plate"]),
    st.sampled_from(["stratified-group-kfold", "leave-one-group-out"]),
    st.sampled_from(["object", "image"]),
)
def test_the_advice_of_a_refusal_works_in_that_very_case(tmp_path_factory, cells, labels, count, group, scheme, unit):
    rows = [
        {
            "id": f"i{plate}{image}#{n}",
            "image_id": f"i{plate}{image}",
            "plate": f"p{plate}",
            "label": None if labels == "no labels" or label == "-" else "a" if labels == "one class" else label,
            "digest": "",
        }
        for n, (plate, image, label) in enumerate(cells)
    ]
    design = {"count": count, "group": group, "scheme": scheme, "unit": unit}
    refused = refused_with(tmp_path_factory, rows, design)
    if refused is None or "add images" in refused:
        return
    better = advised(refused, design)
    assert better, refused
    for choices in better:
        left = refused_with(tmp_path_factory, rows, choices)
        # A unit that is torn by its groups, or has two labels, is no whole unit: what then follows is another question.
        assert left is None or "whole units" in refused or "conflicting labels" in refused, (refused, left)


def refused_with(tmp_path_factory, rows, design):
    try:
        folds_of(tmp_path_factory.mktemp("f"), rows, **design)
    except PhenoloomError as error:
        return str(error)
    return None


def test_one_slide_is_told_to_hold_out_objects(tmp_path):
    found = refusal(tmp_path, objects([None] * 8, per_image=8), group="image", count=5)
    assert found.endswith("folds.group = image gives 1: set folds.group to object (8 groups)")
    assert "count to" not in found
    folds_of(tmp_path, objects([None] * 8, per_image=8), group="object", count=5)


def test_one_unit_of_many_objects_is_told_to_take_objects_as_units(tmp_path):
    found = refusal(tmp_path, objects([None] * 4, per_image=4), unit="image", group="image", count=5)
    assert "set classify.unit to object and folds.group to object and folds.count to 4 (4 objects)" in found


def test_units_of_an_unlabelled_study_need_a_group(tmp_path):
    rows = objects([None] * 6, per_image=2, plate=["p", "p", "q", "q", None, None])
    found = refusal(tmp_path, rows, group="plate")
    assert "Unit 'i002#0004' has no plate" in found
    assert found.endswith("give every image a plate, or set folds.group to image or object")


def test_fewer_groups_than_folds_are_refused_with_both_numbers(tmp_path):
    found = refusal(tmp_path, objects("abab", plate=["p", "p", "q", "q"]), group="plate", count=5)
    assert "5 folds need at least 5 labelled groups, but folds.group = plate gives 2; set folds.count to 2" in found


def test_leave_one_group_out_tests_each_group_alone_and_names_the_count_to_set(tmp_path):
    rows = objects("ababab", plate=["p1", "p1", "p2", "p2", "p3", "p3"])
    choices = {"group": "plate", "scheme": "leave-one-group-out"}
    frame, _ = folds_of(tmp_path, rows, count=3, **choices)
    assert frame["fold"].tolist() == [0, 0, 1, 1, 2, 2]
    (tmp_path / "folds.parquet").unlink()
    assert "set folds.count to 3" in refusal(tmp_path, rows, count=5, **choices)


def test_a_test_fold_of_one_class_is_refused_with_its_group(tmp_path):
    rows = objects("ababaabb", plate=["p1", "p1", "p2", "p2", "p3", "p3", "p4", "p4"])
    choices = {"group": "plate", "scheme": "leave-one-group-out"}
    found = refusal(tmp_path, rows, count=4, **choices)
    assert "must hold two classes, but 2 of 4 hold one; fold 2 (group 'p3') has 'a' alone" in found
    # With its groups in fewer folds the same study can be scored.
    frame, _ = folds_of(tmp_path, rows, count=2, group="plate")
    assert frame.groupby("fold")["label"].nunique().tolist() == [2, 2]


def test_several_labels_a_unit_are_spread_over_all_folds(tmp_path):
    rows = objects([["x"], ["x", "y"], ["y", "x"], ["y"], [], ["rare", "x"], ["rare"], None])
    frame, facts = folds_of(tmp_path, rows, multi=True, count=2)
    assert facts["multi_label"]
    assert facts["classes"] == {"rare": 2, "x": 4, "y": 3}
    assert facts["unlabelled"] == 2
    assert frame.loc["i002#0002", "label"].tolist() == ["x", "y"]
    for name in facts["classes"]:
        holds = frame["label"].map(lambda label, name=name: name in label)
        assert frame.loc[holds, "fold"].nunique() == 2


def test_a_class_too_small_leaves_the_other_labels_of_its_units_in_place(tmp_path):
    rows = objects([["x"], ["y"], ["x"], ["y"], ["x", "once"], ["once2"]])
    frame, facts = folds_of(tmp_path, rows, multi=True, count=2)
    assert facts["dropped"] == {"once": 1, "once2": 1}
    assert frame["fold"].tolist()[4] >= 0
    assert frame["fold"].tolist()[5] == -1


@pytest.mark.real_data
@pytest.mark.parametrize("least_grade", [3, 2, 1])
def test_opencell_proteins_of_17_graded_classes_are_spread_evenly(tmp_path, data_root, least_grade):
    table = data_root / "opencell_annotations" / "opencell-localization-annotations.csv"
    if not table.exists():
        pytest.skip("no opencell_annotations")
    rows = []
    for protein in csv.DictReader(table.open()):
        grades = [protein[f"annotations_grade_{grade}"] for grade in range(least_grade, 4)]
        label = sorted({name for cell in grades for name in cell.split(";") if name})
        # Three fields a protein, all with its labels: the case that leaks when fields are dealt at random.
        name = protein["target_name"]
        rows += [
            {"id": f"{name}/{n}", "image_id": f"{name}/{n}", "label": label, "group": name, "digest": ""}
            for n in range(3)
        ]
    frame, facts = folds_of(tmp_path, rows, multi=True, unit="image", group="group", count=5)
    assert len(facts["classes"]) == 17
    assert facts["folds_without"] == {} == facts["dropped"]
    tested = frame[frame["fold"] >= 0]
    assert (tested.groupby("group")["fold"].nunique() == 1).all()
    spread = tested.explode("label").groupby(["label", "fold"]).size().unstack() / 3
    # Proteins of one class in the fullest and the emptiest fold.
    assert (spread.max(axis=1) - spread.min(axis=1)).max() <= 2
    assert tested["fold"].value_counts().agg(lambda n: n.max() - n.min()) <= 3 * 3


def test_the_manifest_says_what_takes_part_and_what_was_left_out(tmp_path):
    rows = objects(["x", "y"] * 6 + ["rare", None])
    index = write_index(tmp_path / "index.parquet", rows)
    run(tmp_path, index, group="object", count=2)
    manifest = read_manifest(tmp_path / "folds.json")
    assert manifest["found"]["units"] == 12
    assert manifest["rejected"] == {"class too small for the folds: rare": 1, "unit without a label": 1}
    assert manifest["content"] == file_digest([tmp_path / "folds.parquet"])
    assert manifest["index"] == file_digest([index])


def test_units_without_a_tile_are_split_like_the_others_and_marked(tmp_path):
    index = write_index(tmp_path / "index.parquet", objects(["x", "y"] * 4, per_image=2))
    table = pq.read_table(index)
    pq.write_table(table.append_column("position", pa.array([0, -1, 1, 2, -1, -1, 3, 4])), index)
    run(tmp_path, index)
    folds = pq.read_table(tmp_path / "folds.parquet").to_pandas().set_index("id")
    assert folds["tile"].tolist() == [True, False, True, True, False, False, True, True]
    assert (folds["fold"] >= 0).all()
    split = Split.read(tmp_path / "folds.parquet")
    assert split.tiled.tolist() == folds["tile"].tolist()
    assert split.among(["y"]).tiled.tolist() == [False, True, False, True]
    pq.write_table(table.append_column("position", pa.array(range(8))), index)
    run(tmp_path, index)
    assert Split.read(tmp_path / "folds.parquet").tiled is None
