from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.helpers.object_studies import CONTOURS_ALONE, ObjectStudy

from phenoloom.core.errors import PhenoloomError
from phenoloom.study.object_labels import NO_SUCH_NUMBER

HEADER = "Plate,Well,Site,ObjectNumber,phenotype,patient\n"


@pytest.fixture
def study(tmp_path: Path) -> ObjectStudy:
    return ObjectStudy(tmp_path).image("P1/A01_s1").image("P1/A02_s1")


@pytest.mark.parametrize("views", [{}, CONTOURS_ALONE], ids=["tiles", "contours"])
def test_objects_have_the_labels_and_groups_of_their_rows(study: ObjectStudy, views: dict[str, object]) -> None:
    study.table(f"{HEADER}P1,A1,1,2,round,Ada\nP1,A01,1,1,long,Ada\nP1,r01c02,1,4,round,Bea\nP1,A2,1,3,,Bea\n")
    index = study.make(views | {"source": {"objects": {"group": "patient"}}})
    assert index["label"].to_dict() == {
        "P1/A01/1#0001": "long", "P1/A01/1#0002": "round", "P1/A01/1#0003": None, "P1/A01/1#0004": None,
        "P1/A02/1#0001": None, "P1/A02/1#0002": None, "P1/A02/1#0003": None, "P1/A02/1#0004": "round",
    }  # fmt: skip
    assert index["group"].dropna().to_dict() == {
        "P1/A01/1#0001": "Ada", "P1/A01/1#0002": "Ada", "P1/A02/1#0003": "Bea", "P1/A02/1#0004": "Bea",
    }  # fmt: skip
    assert study.stated["objects_without_row"] == 4
    assert (study.stated["rows"], study.stated["rows_with_object"]) == (4, 4)


def test_labels_of_objects_replace_those_of_images_and_groups_stay_where_the_table_has_none(
    study: ObjectStudy,
) -> None:
    study.table(f"{HEADER}P1,A1,1,1,round,\nP1,A2,1,1,round,\n").table(
        "Well,label,group\nA01,x,g1\nA02,y,g2\n", "w.csv"
    )
    images = {"table": {"path": "w.csv", "join": {"well": "Well"}}}
    index = study.make({"source": images})
    assert index["label"].dropna().to_dict() == {"P1/A01/1#0001": "round", "P1/A02/1#0001": "round"}
    assert Counter(index["group"]) == {"g1": 4, "g2": 4}
    groups_alone = {"source": {**images, "objects": {"label": None, "group": "phenotype"}}}
    index = study.make(groups_alone)
    assert Counter(index["label"]) == {"x": 4, "y": 4}
    assert index["group"].dropna().to_dict() == {"P1/A01/1#0001": "round", "P1/A02/1#0001": "round"}


def test_classes_rename_labels_of_objects_and_several_in_a_cell_are_a_list(study: ObjectStudy) -> None:
    study.table(f"{HEADER}P1,A1,1,1,a; b,\nP1,A1,1,2,b,\nP1,A1,1,3,none,\n")
    several = {"label_separator": ";", "classes": {"a": "alpha", "none": ""}}
    index = study.make({"source": several})
    found = index["label"].map(lambda names: None if names is None else list(names))
    assert found.dropna().to_dict() == {"P1/A01/1#0001": ["alpha", "b"], "P1/A01/1#0002": ["b"]}
    with pytest.raises(PhenoloomError, match=r"`classes` renames 'alfa', which the column 'phenotype' never holds"):
        study.make({"source": {"classes": {"alfa": "A"}}})


def test_rows_without_an_object_are_counted_with_examples(study: ObjectStudy) -> None:
    study.image("P1/A03_s1").raw.joinpath("P1/A03_s1.tif").write_bytes(b"broken")
    rows = [
        "P1,A1,1,1,a,",
        "P1,A1,1,2,b,",
        "P1,A2,1,9,a,",
        "P9,A1,1,1,a,",
        "P1,A2,1,x,a,",
        "P1,A2,1,0,a,",
        "P1,A3,1,1,b,",
    ]
    study.table(HEADER + "\n".join(rows) + "\n")
    study.make({"max_rejected_fraction": 0.5})
    stated = study.stated
    assert (stated["rows"], stated["rows_with_object"], stated["rows_in_quarantine"]) == (7, 2, 1)
    example = "row 3 (image 'P1/A02/1', object 9)"
    assert stated["rows_without_object"] == {NO_SUCH_NUMBER: {"count": 1, "examples": [example]}}
    assert stated["rows_without_image"] == {
        "count": 1, "examples": ["row 4 (Plate 'P9', Well 'A1', Site '1', ObjectNumber '1')"],
    }  # fmt: skip
    assert stated["unusable_rows"]["count"] == 2


def test_an_object_whose_rows_contradict_each_other_has_no_label_and_is_counted(study: ObjectStudy) -> None:
    study.table(f"{HEADER}P1,A1,1,1,a,\nP1,A1,1,1,b,\nP1,A1,1,2,a,\nP1,A1,1,2.0,a,\n")
    index = study.make()
    assert index["label"].dropna().to_dict() == {"P1/A01/1#0002": "a"}
    assert study.stated["contradictory_objects"] == {"count": 1, "examples": ["P1/A01/1#0001"]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["P7,A1,1,1,a,"], r"None of the 1 rows of cells.csv belongs to an image: the first row has Plate 'P7'"),
        (["P1,A1,1,,a,"], r"No row of cells.csv has a whole number in 'ObjectNumber'"),
        (["P1,A1,1,11,a,", "P1,A1,1,12,a,", "P1,A1,1,1,a,"], r"Only 1 of 3 rows of cells.csv belong to an object"),
        ([], "The table cells.csv has no rows"),
    ],
)
def test_a_table_that_fits_no_image_or_few_objects_is_refused(
    study: ObjectStudy, rows: list[str], message: str
) -> None:
    study.table(HEADER + "".join(f"{row}\n" for row in rows))
    with pytest.raises(PhenoloomError, match=message):
        study.make()


@pytest.mark.parametrize(
    "name", ["P1/A01/1", "P1/A01_s1.tif", "P1/A01_s1", "A01_s1.tif", "A01_s1", "A01_s1_mask.png", "A01_s1_mask"]
)
def test_an_image_is_found_by_its_id_its_paths_or_its_names(study: ObjectStudy, name: str) -> None:
    study.table(f"Image,ObjectNumber,phenotype\n{name},3,a\n")
    index = study.make(
        {"source": {"objects": {"join": {"plate": None, "well": None, "field": None, "image": "Image"}}}}
    )
    assert index["label"].dropna().to_dict() == {"P1/A01/1#0003": "a"}


def test_a_name_that_two_images_have_is_refused_until_another_column_tells_them_apart(study: ObjectStudy) -> None:
    study.image("P2/A01_s1").table("Plate,Image,ObjectNumber,phenotype\nP2,A02_s1.tif,3,a\nP2,A01_s1.tif,3,a\n")
    by_name = {"plate": None, "well": None, "field": None, "image": "Image"}
    with pytest.raises(PhenoloomError, match=r"Row 2 of cells.csv may be about image 'P1/A01/1' or 'P2/A01/1'"):
        study.make({"source": {"objects": {"join": by_name}}})
    index = study.make({"source": {"objects": {"join": {**by_name, "plate": "Plate"}}}})
    assert index["label"].dropna().to_dict() == {"P2/A01/1#0003": "a"}
    assert study.stated["rows_without_image"]["count"] == 1


def test_an_unknown_name_in_join_is_refused_with_the_nearest(study: ObjectStudy) -> None:
    study.table("a,ObjectNumber,phenotype\nx,1,a\n")
    join = {"plate": None, "well": None, "field": None, "wel": "a"}
    with pytest.raises(PhenoloomError, match=r"`source.objects.join` names 'wel', .* did you mean 'well'"):
        study.make({"source": {"objects": {"join": join}}})


def test_folds_keep_the_groups_of_objects_together_and_the_unit_is_the_object(study: ObjectStudy) -> None:
    rows = [f"P1,{w},1,{n},{'ab'[n % 2]},patient {n % 2}{'xy'[n > 2]}\n" for w in ("A1", "A2") for n in (1, 2, 3, 4)]
    study.table(HEADER + "".join(rows))
    folds = study.folds({"source": {"objects": {"group": "patient"}}, "folds": {"group": "group", "count": 2}})
    assert len(folds) == 8
    assert Counter(folds["label"]) == {"a": 4, "b": 4}
    assert (folds.groupby("group")["fold"].nunique() == 1).all()


def test_an_image_whose_objects_differ_is_no_unit_of_one_label(study: ObjectStudy) -> None:
    study.table(f"{HEADER}P1,A1,1,1,a,\nP1,A1,1,2,b,\n")
    with pytest.raises(PhenoloomError, match=r"'P1/A01/1' has conflicting labels \(a, b\); each image needs one label"):
        study.folds({"classify": {"unit": "image"}})
