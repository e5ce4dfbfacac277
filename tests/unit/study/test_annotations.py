from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoloom.config.source import Source
from phenoloom.core.errors import PhenoloomError
from phenoloom.study.annotations import Annotations
from phenoloom.study.files import Root


def annotations(folder: Path, text: str, *fields: str, **source: Any) -> Annotations:
    (folder / "t.csv").write_text(text)
    given = {"files": "x", "channels": ["DNA"], "table": {"path": "t.csv", **source.pop("table", {})}, **source}
    return Annotations(Source.model_validate(given), Root(str(folder)), fields)


JOINED = {"table": {"join": {"plate": "Plate", "well": "Well"}}, "columns": {"label": "Drug"}}


def test_a_row_is_found_by_its_fields_and_wells_by_any_spelling(tmp_path: Path) -> None:
    found = annotations(tmp_path, "Plate,Well,Drug\nP,A01,x\nP,B2,y\n", "plate", "well", **JOINED)
    assert found.row({"plate": "P", "well": "a1"}) == 0
    assert found.row({"plate": "P", "well": "r02c02"}) == 1
    assert found.row({"plate": "Q", "well": "A1"}) is None
    assert found.word("label", {}, 1) == "y"
    assert found.word("well", {"well": "b2"}, 1) == "b2"
    assert found.needed_fields == {"plate", "well"}
    assert found.key(1) == "P, B2"


def test_rows_of_one_image_must_agree_in_what_is_used(tmp_path: Path) -> None:
    same = "Plate,Well,Drug,Note\nP,A1,x,1\nP,A01,x,2\n"
    assert annotations(tmp_path, same, "plate", "well", **JOINED).row({"plate": "P", "well": "A1"}) == 0
    with pytest.raises(PhenoloomError, match=r"Rows 1 and 2 of the table t\.csv are both about P, A01, but differ in"):
        annotations(tmp_path, same.replace("x,2", "y,2"), "plate", "well", **JOINED)


def test_labels_are_separated_renamed_and_named_once(tmp_path: Path) -> None:
    source = {"label_separator": "|", "classes": {"b": "B", "c": ""}, "columns": {"label": "L"}}
    found = annotations(tmp_path, "L\na|b\n", **source)
    assert found.labels("a | b|c|b") == ["a", "B"]
    assert found.labels(None) == []
    with pytest.raises(PhenoloomError, match="`classes` renames 'c', which the column 'L' never holds"):
        found.check_classes()


def test_a_column_that_is_there_twice_is_refused_where_it_is_used(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match=r"The table t\.csv has several columns 'L', and one is needed"):
        annotations(tmp_path, "L,L\na,b\n", columns={"label": "L"})


SPLIT = {"table": {"join": {"well": "Well", "{plate}_{run}": "Plate"}}, "columns": {"well": "{row}{column}"}}


def test_several_fields_make_one_key_of_a_join_in_any_spelling(tmp_path: Path) -> None:
    table = "Plate,Well,label\nP_1,B - 03,x\nP_2,B3,y\n"
    found = annotations(tmp_path, table, "plate", "run", "row", "column", **SPLIT)
    file = {"plate": "P", "row": "b", "column": "03"}
    assert [found.row({**file, "run": run}) for run in ("1", "2", "3")] == [0, 1, None]
    assert found.word("well", {**file, "run": "1"}, 0) == "b03"
    assert found.word("plate", {**file, "run": "1"}, 0) == "P"
    assert found.needed_fields == {"plate", "run", "row", "column"}
    assert found.key(0) == "B - 03, P_1"


def test_several_columns_make_one_key_of_a_join_and_one_word(tmp_path: Path) -> None:
    source = {
        "table": {"join": {"well": "r{Row}c{Col}"}},
        "columns": {"label": "{Drug} {Dose} {{µM}}", "group": "{Drug}/{plate}"},
    }
    found = annotations(tmp_path, "Row,Col,Drug,Dose\n02,3,taxol,10\n1,1,DMSO,\n", "plate", "well", **source)
    file = {"plate": "P", "well": "B03"}
    assert found.row(file) == 0
    assert found.word("label", file, 0) == "taxol 10 {µM}"
    assert found.word("label", file, 1) is None, "an empty part leaves the text unknown"
    assert found.word("group", file, 0) == "taxol/P"
    assert found.word("group", file, None) is None


def test_a_word_that_is_made_of_a_field_of_its_name_is_joined_as_a_whole_unless_its_parts_are(tmp_path: Path) -> None:
    columns, file = {"plate": "{plate}_{run}"}, {"plate": "P", "run": "1"}
    found = annotations(tmp_path, "B\nP_1\n", "plate", "run", columns=columns, table={"join": {"plate": "B"}})
    assert found.row(file) == 0
    parts = {"join": {"plate": "B", "run": "Run"}}
    found = annotations(tmp_path, "B,Run\nP,1\n", "plate", "run", columns=columns, table=parts)
    assert (found.row(file), found.word("plate", file, 0)) == (0, "P_1")
    field = {"join": {"{plate}": "B"}}
    assert annotations(tmp_path, "B\nP\n", "plate", "run", columns=columns, table=field).row(file) == 0


def test_two_wells_never_become_one_text(tmp_path: Path) -> None:
    found = annotations(tmp_path, "a,b\nx,y\n", "row", "column", columns={"well": "{row}{column}"})
    assert found.word("well", {"row": "1", "column": "11"}, None) == "111"
    assert found.word("well", {"row": "1", "column": "11"}, None) == "111"
    with pytest.raises(PhenoloomError, match="makes '111' both of '1' and '11' and of '11' and '1'; put text between"):
        found.word("well", {"row": "11", "column": "1"}, None)


def test_a_column_whose_name_has_braces_is_itself(tmp_path: Path) -> None:
    found = annotations(tmp_path, "dose {uM},uM\n5,x\n", columns={"label": "dose {uM}"})
    assert found.word("label", {}, 0) == "5"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            {"columns": {"well": "{row}{colum}"}},
            "`columns.well` is '{row}{colum}' with 'colum', .*did you mean 'column'",
        ),
        ({"columns": {"well": "{row}{column"}}, "`columns.well` is .*whose braces do not fit together"),
        ({"table": {"join": {"{row}{colum}": "Well"}}}, "names the field 'colum', which .*did you mean 'column'"),
        ({"table": {"join": {"row": "{Well}{Site}"}}}, r"The table t\.csv has no column 'Site'"),
        ({"columns": {"group": "Drug"}, "table": {"join": {"group": "Well"}}}, "names the field 'group', which"),
    ],
)
def test_a_template_that_names_nothing_is_refused(tmp_path: Path, source: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PhenoloomError, match=complaint):
        annotations(tmp_path, "Well,Drug\nA1,x\n", "row", "column", **source)


def test_lists_of_a_parquet_table_are_several_labels(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a", "b"], "go": [["er", "golgi"], []]}), tmp_path / "t.parquet")
    table = {"path": "t.parquet", "join": {"image": "id"}}
    found = annotations(tmp_path, "", "image", table=table, columns={"label": "go"}, label_separator=";")
    assert [found.labels(found.word("label", {}, row)) for row in (0, 1)] == [["er", "golgi"], []]
    with pytest.raises(PhenoloomError, match="the column 'go' cannot be used: it holds lists of several values"):
        annotations(tmp_path, "", "image", table=table, columns={"label": "go"})


def test_a_column_that_is_not_used_may_hold_anything(tmp_path: Path) -> None:
    text = "Well,Note,Note\nA1,a\u200bb,\x07\n"
    assert annotations(tmp_path, text, "well", table={"join": {"well": "Well"}}).row({"well": "A1"}) == 0
    with pytest.raises(
        PhenoloomError, match=r"The table t\.csv, line 2: the column 'Well' .*U\+200B \(zero width space"
    ):
        annotations(tmp_path, "Well\nA\u200b1\n", "well", table={"join": {"well": "Well"}})
