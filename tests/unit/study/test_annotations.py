from __future__ import annotations

from pathlib import Path
from typing import Any

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
