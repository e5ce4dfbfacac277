from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.object_studies import CONTOURS_ALONE, SIDE, ObjectStudy, changed, squares
from tests.helpers.steps import run_index, run_objects

from phenoloom.artifacts.manifest import read_manifest
from phenoloom.core.errors import PhenoloomError
from phenoloom.images.reader import ImageFiles, Reader
from phenoloom.study.object_labels import LEFT_OUT_OR_NONE, NO_SUCH_NUMBER

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


@pytest.mark.parametrize("separator", [None, ";"])
def test_a_shard_without_rows_has_no_labels(study: ObjectStudy, separator: str | None) -> None:
    study.table(f"{HEADER}P1,A1,1,2,round,Ada\n")
    source = {"objects": {"group": "patient"}, "label_separator": separator}
    index = study.make({"shards": 2, "source": source})
    assert index["shard"].nunique() == 2
    assert index["label"].dropna().explode().to_dict() == {"P1/A01/1#0002": "round"}


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


@pytest.mark.parametrize("change", [{}, CONTOURS_ALONE], ids=["tiles", "contours"])
def test_rows_of_objects_that_are_too_small_are_no_mistake_and_counted_apart(
    study: ObjectStudy, change: dict[str, Any]
) -> None:
    specks = np.zeros((SIDE, SIDE), np.uint8)
    specks[10:22, 10:22] = 1
    specks[40, 2:60:10] = np.arange(2, 8)
    study.image("P1/A01_s1", specks)
    numbers = [f"P1,A1,1,{number},a,\n" for number in (1, 2, 3, 4, 5, 6, 7, 99)]
    study.table(f"{HEADER}{''.join(numbers)}P1,A2,1,1,b,\nP1,A2,1,44,b,\n")
    study.make(change)
    counts = {reason: some["count"] for reason, some in study.stated["rows_without_object"].items()}
    assert counts == {NO_SUCH_NUMBER: 1, LEFT_OUT_OR_NONE: 7}
    # Specks have no row in the tables, so nobody knows their classes.
    (loss,) = read_manifest(study.study.index_manifest)["losses"]["reasons"]
    assert (loss["reason"], loss["lost"], loss["classes"]) == ("object smaller than min_area_px", 6, {})
    study.table(f"{HEADER}{''.join(numbers * 3)}P1,A2,1,1,b,\n")
    with pytest.raises(PhenoloomError, match="Only 4 of 19 rows"):
        study.make(change)


def test_an_object_whose_rows_contradict_each_other_has_no_label_and_is_counted(study: ObjectStudy) -> None:
    study.table(f"{HEADER}P1,A1,1,1,a,\nP1,A1,1,1,b,\nP1,A1,1,2,a,\nP1,A1,1,2.0,a,\n")
    index = study.make()
    assert index["label"].dropna().to_dict() == {"P1/A01/1#0002": "a"}
    assert study.stated["contradictory_objects"] == {"count": 1, "examples": ["P1/A01/1#0001"]}


@pytest.mark.parametrize(
    ("rows", "change", "torn"),
    [
        (("a,g", "a,h"), {}, True),
        (("a,g", "a,"), {}, True),
        (("a,g", ",g"), {}, True),
        (("a,g", "a,g"), {}, False),
        (("a;b,g", "b;a,g"), {"label_separator": ";"}, False),
        (("a;b,g", "a,g"), {"label_separator": ";"}, True),
        (("a;b,g", ",g"), {"label_separator": ";"}, True),
        ((",g", ",g"), {"label_separator": ";"}, False),
    ],
)
def test_rows_contradict_each_other_in_labels_of_any_order_or_in_groups(
    study: ObjectStudy, rows: tuple[str, ...], change: dict[str, Any], torn: bool
) -> None:
    study.table(HEADER + "".join(f"P1,A1,1,1,{row}\n" for row in rows))
    index = study.make({"source": {**change, "objects": {"group": "patient"}}})
    assert study.stated["contradictory_objects"]["count"] == torn
    assert index.loc["P1/A01/1#0001", "group"] == (None if torn else "g")


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
    "name",
    [
        *("P1/A01/1", "P1/A01_s1.tif", "P1/A01_s1", "A01_s1.tif", "A01_s1", "A01_s1_mask.png", "A01_s1_mask"),
        *("P1\\A01_s1.tif", "./P1/A01_s1.tif", "{root}/P1/A01_s1.tif"),
    ],
)
def test_an_image_is_found_by_its_id_its_paths_or_its_names(study: ObjectStudy, name: str) -> None:
    study.table(f"Image,ObjectNumber,phenotype\n{name.format(root=study.raw)},3,a\n")
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


def test_several_columns_or_fields_make_one_key(study: ObjectStudy) -> None:
    study.table("Run,Row,Col,ObjectNumber,phenotype\nP1,A,1,3,a\nP1,A,02,2,b\nP1,,2,1,b\n")
    join = {"plate": None, "field": None, "well": "{Row}{Col}", "{plate}_s{field}": "{Run}_s1"}
    index = study.make({"source": {"objects": {"join": join}}})
    assert index["label"].dropna().to_dict() == {"P1/A01/1#0003": "a", "P1/A02/1#0002": "b"}
    example = "row 3 (Row None, Col '2', Run 'P1', ObjectNumber '1')"
    assert study.stated["rows_without_image"] == {"count": 1, "examples": [example]}


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


BY_POINT = {"object": None, "x": "X", "y": "Y"}
POINT_HEADER = "Well,X,Y,phenotype\n"
POINT_JOIN = {"plate": None, "field": None, "well": "Well"}


def by_point(**more: object) -> dict[str, Any]:
    """A change to the study: objects are found by points."""
    return {"source": {"objects": {**BY_POINT, "join": POINT_JOIN}, **more}}


@pytest.mark.parametrize(
    ("views", "masks"),
    [({}, {}), ({}, {"files": None, "smoothing_px": 0.5}), ({}, {"objects": "components"}), (CONTOURS_ALONE, {})],
    ids=["tiles", "segmentation", "components", "contours"],
)
def test_objects_are_found_by_points_in_them(
    study: ObjectStudy, views: dict[str, object], masks: dict[str, object]
) -> None:
    # Objects 1 and 4, the background, and a pixel outside of the image.
    study.table(f"{POINT_HEADER}A1,10,12,a\nA1,45.2,50,b\nA2,12,9,b\nA2,30,30,a\nA2,64,3,a\n")
    index = study.make(views | by_point(masks=masks))
    found = {tuple(sorted(rows)): label for label, rows in index.groupby("label").groups.items()}
    assert found == {("P1/A01/1#0001",): "a", ("P1/A01/1#0004", "P1/A02/1#0001"): "b"}
    assert study.stated["rows_without_object"] == {
        "point on the background of the mask": {"count": 1, "examples": ["row 4 (image 'P1/A02/1', x 30, y 30)"]},
        "point outside of the image": {"count": 1, "examples": ["row 5 (image 'P1/A02/1', x 64, y 3)"]},
    }
    assert "points" not in index


@pytest.mark.parametrize("views", [{}, CONTOURS_ALONE], ids=["tiles", "contours"])
def test_points_in_an_object_that_is_left_out_are_no_wrong_join(study: ObjectStudy, views: dict[str, object]) -> None:
    labels = squares()
    labels[0:8, 60:64] = 9
    study.image("P1/A01_s1", labels).table(f"{POINT_HEADER}A1,62,2,a\nA1,63,2,a\nA1,10,12,a\n")
    index = study.make(views | by_point())
    assert index["label"].dropna().to_dict() == {"P1/A01/1#0001": "a"}
    stated = study.stated
    assert stated["rows_with_object"] + sum(some["count"] for some in stated["rows_without_object"].values()) == 3


def test_points_of_which_most_lie_in_no_object_are_refused(study: ObjectStudy) -> None:
    study.table(f"{POINT_HEADER}A1,100,120,a\nA1,450,500,b\nA2,12,9,b\n")
    with pytest.raises(PhenoloomError, match=r"Only 1 of 3 rows .* outside of the image.* are in px .*not in\s+µm"):
        study.make(by_point())


def test_two_points_in_one_object_are_one_row_or_a_contradiction(study: ObjectStudy) -> None:
    study.table(f"{POINT_HEADER}A1,10,12,a\nA1,11,12,a\nA1,45,45,a\nA1,46,46,b\n")
    assert study.make(by_point())["label"].dropna().to_dict() == {"P1/A01/1#0001": "a"}
    assert study.stated["contradictory_objects"] == {"count": 1, "examples": ["P1/A01/1#0004"]}


def test_an_image_is_read_once_however_many_of_its_objects_have_rows(
    study: ObjectStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.table(POINT_HEADER + "".join(f"A{w},{x},{y},a\n" for w in (1, 2) for x in (9, 41) for y in (9, 41)))
    reads: Counter[str] = Counter()
    read = Reader.read

    def counted(reader: Reader, image: ImageFiles) -> np.ndarray:
        reads[Path(image.files[0]).name] += 1
        return read(reader, image)

    monkeypatch.setattr(Reader, "read", counted)
    assert study.make(by_point())["label"].notna().all()
    # The first image of the study is read once more, for the type of its pixels.
    assert reads == {"A01_s1.tif": 2, "A02_s1.tif": 1}


POINTS = {
    "tiles": {"border": "keep"},
    "source": {
        "objects": None,
        "masks": None,
        "points": {"path": "cells.csv", "join": {"well": "Well"}, "x": "X", "y": "Y", "label": "phenotype"},
    },
}


def test_points_are_objects_where_there_are_no_masks(study: ObjectStudy) -> None:
    study.table(f"{POINT_HEADER}A1,20,30,a\nA2,2,3,b\nA1,40.6,10,\nA2,64,1,a\nA2,nan,1,a\n")
    index = study.make(POINTS)
    assert index["label"].to_dict() == {"P1/A01/1#0001": "a", "P1/A01/1#0003": None, "P1/A02/1#0002": "b"}
    # A tile of 16 px around pixel (20, 30) begins 8 px before it.
    assert index[["x", "y"]].to_numpy().tolist() == [[12, 22], [33, 2], [-6, -5]]
    assert index["border"].tolist() == [False, False, True]
    stated = study.stated
    outside = {"count": 1, "examples": ["row 4 (image 'P1/A02/1', x 64, y 1)"]}
    assert stated["rows_without_object"] == {"point outside of the image": outside}
    assert stated["unusable_rows"]["count"] == 1
    dropped = study.make(changed(POINTS, {"tiles": {"border": "drop"}}))
    assert dropped["object"].tolist() == [1, 3]
    assert read_manifest(study.study.index_manifest)["rejected"] == {
        "point outside of the image": 1,
        "window of a point that reaches over the image border": 1,
    }


def test_points_at_the_place_of_another_are_kept_and_counted(study: ObjectStudy) -> None:
    study.table(f"{POINT_HEADER}A1,20,30,a\nA2,20,30,b\nA1,20.0,30,a\nA1,20,30.5,a\nA2,20,30,a\n")
    assert len(study.make(POINTS)) == 5
    example = "row 3 (Well 'A1', X '20.0', Y '30')"
    assert study.stated["repeated_points"]["count"] == 2
    assert study.stated["repeated_points"]["examples"][0] == example
    assert read_manifest(study.study.objects_manifest)["repeated_points"]["count"] == 2


def test_points_have_the_numbers_of_a_column_which_are_unique_in_an_image(study: ObjectStudy) -> None:
    numbered = changed(POINTS, {"source": {"points": {"object": "n"}}})
    study.table("Well,X,Y,n,phenotype\nA1,20,30,0,a\nA1,30,30,12,a\nA2,20,30,0,b\n")
    assert study.make(numbered)["id"].tolist() == ["P1/A01/1#0000", "P1/A01/1#0012", "P1/A02/1#0000"]
    study.table("Well,X,Y,n,phenotype\nA1,20,30,7,a\nA2,30,30,7,a\nA2,20,30,7,b\n")
    with pytest.raises(PhenoloomError, match=r"Rows 2 and 3 of cells.csv are one point: .*n '7'; numbers must be"):
        study.make(numbered)


def test_folds_split_points_and_an_image_without_any_is_counted(study: ObjectStudy) -> None:
    study.image("P1/A03_s1").table(
        POINT_HEADER + "".join(f"A{w},{20 + w},{y},{'ab'[y % 2]}\n" for w in (1, 2) for y in range(20, 30))
    )
    folds = study.folds(POINTS)
    assert len(folds) == 20
    assert Counter(folds["label"]) == {"a": 10, "b": 10}
    assert read_manifest(study.study.index_manifest)["rejected"] == {"image without points": 1}


def test_tiles_that_were_made_without_the_points_are_made_again(study: ObjectStudy) -> None:
    study.table("Well,X,Y,ObjectNumber,phenotype\nA1,10,12,1,a\n")
    study.make({"source": {"objects": {"join": POINT_JOIN}}})
    rules = study.rules(by_point())
    run_objects(rules.objects(), study.study.sheet, study.study.objects_manifest)
    shards = study.study.tiles.manifests()
    with pytest.raises(PhenoloomError, match="were made without the points of the table of objects; rerun `convert`"):
        run_index(rules.index(), study.study.sheet, shards, study.study.index, study.study.objects_manifest)


def blocks(data: st.DataObject) -> np.ndarray:
    """Return a label image of up to nine blocks of 3 to 12 px, with any numbers, each block in a cell of its own."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    numbers = data.draw(st.lists(st.integers(1, 255), min_size=1, max_size=9, unique=True))
    for cell, number in enumerate(numbers):
        y, x = (21 * place + data.draw(st.integers(0, 8)) for place in divmod(cell, 3))
        height, width = (data.draw(st.integers(3, 12)) for _ in range(2))
        labels[y : y + height, x : x + width] = number
    return labels


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_numbers_and_points_in_any_objects_give_the_same_labels(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        study, lines, expected = ObjectStudy(Path(folder)), [], {}
        for well in (1, 2):
            labels = blocks(data)
            study.image(f"P1/A0{well}_s1", labels)
            for number in np.unique(labels[labels > 0]).tolist():
                ys, xs = np.nonzero(labels == number)
                pixel = data.draw(st.integers(0, len(ys) - 1))
                label = data.draw(st.sampled_from(["a", "b", ""]))
                lines.append(f"A{well},{number},{xs[pixel]},{ys[pixel]},{label}")
                expected[f"P1/A0{well}/1#{number:04d}"] = label or None
        order = data.draw(st.permutations(lines))
        study.table("\n".join(["Well,ObjectNumber,X,Y,phenotype", *order]) + "\n")
        whole = {"max_rejected_fraction": 0.9, "tiles": {"border": "keep"}}
        for keyed in ({"source": {"objects": {"join": POINT_JOIN}}}, by_point()):
            small = changed(whole, keyed) | {"source": changed(keyed["source"], {"masks": {"min_area_px": 1}})}
            assert study.make(small)["label"].to_dict() == expected
