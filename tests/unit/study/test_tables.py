from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from phenoloom.core.errors import PhenoloomError
from phenoloom.study.tables import read_table, require_columns


def test_ids_and_na_stay_text_and_empty_cells_are_null(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('\ufeffPlate , x\n001,"33,33"\nNA,\n1.0,nan\n', encoding="utf-8")
    table = read_table(tmp_path / "t.csv")
    assert list(table.columns) == ["Plate", "x"]
    assert table["Plate"].tolist() == ["001", "NA", "1.0"]
    assert table["x"].isna().tolist() == [False, True, False]
    assert table["x"].tolist()[0] == "33,33"


@pytest.mark.parametrize("name", ["t.tsv", "t.txt", "t.tsv.gz"])
def test_tabs_separate_in_tsv_and_txt_also_when_compressed(tmp_path: Path, name: str) -> None:
    content = b"a\tb\n1,5\t2\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read_table(tmp_path / name).to_dict("records") == [{"a": "1,5", "b": "2"}]


def test_a_table_without_a_header_gets_its_names_and_a_blank_line_can_be_a_row(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("dunn\n\ndlm8\n\n")
    assert read_table(tmp_path / "t.txt", ["line"], blank_lines=True)["line"].isna().tolist() == [False, True, False]
    assert read_table(tmp_path / "t.txt", ["line"])["line"].tolist() == ["dunn", "dlm8"]
    with pytest.raises(PhenoloomError, match="names 2 columns"):
        read_table(tmp_path / "t.txt", ["line", "other"])


def test_a_parquet_table_is_read_as_text(tmp_path: Path) -> None:
    pd.DataFrame({"id": [1, 20], "name": ["a", None]}).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table["id"].tolist() == ["1", "20"]
    assert table["name"].tolist() == ["a", None]


def test_a_cell_beyond_the_header_is_refused_in_any_row_and_empty_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Plate,Compound,Label\nP1,2,4-DNP,b\nP2,DMSO,a\n")
    with pytest.raises(PhenoloomError, match=r"3 columns, but 4 cells in line 2 \('b' belongs to none\)"):
        read_table(path)
    path.write_text("a,b\n1,2\n1,2,,3\n")
    with pytest.raises(PhenoloomError, match="4 cells in line 3"):
        read_table(path)
    path.write_text("a,b\n1,2,\n3,4,,\n5\n")
    assert read_table(path).fillna("").to_dict("list") == {"a": ["1", "3", "5"], "b": ["2", "4", ""]}


def test_a_column_that_is_needed_must_be_there_once(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,a ,,\n1,2,3,4,5\n")
    table = read_table(tmp_path / "t.csv")
    assert list(table.columns) == ["a", "b", "a", "", ""]
    require_columns(table, ["b"], "The table")
    with pytest.raises(PhenoloomError, match="several columns 'a'"):
        require_columns(table, ["b", "a"], "The table")


def test_the_index_of_a_parquet_table_is_a_column(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1, 2]}, index=pd.Index(["A1", "A2"], name="Well")).to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["Well"].tolist() == ["A1", "A2"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("t.xlsx", b"", "must end in"),
        ("t.csv", b"", "cannot be read"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "3 cells in line 3"),
        ("t.csv", b"a\n\xff\n", "UTF-8"),
        ("t.csv.gz", b"a,b\n", "cannot be read"),
        ("t.parquet", b"a,b\n", "cannot be read as Parquet"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhenoloomError, match=complaint):
        read_table(tmp_path / name)
    with pytest.raises(PhenoloomError, match="no table"):
        read_table(tmp_path / "absent.csv")


def test_a_missing_column_is_named_with_the_nearest_ones() -> None:
    with pytest.raises(PhenoloomError, match="no column 'phenotype'; did you mean 'Phenotype'"):
        require_columns(pd.DataFrame(columns=["Phenotype", "Well"]), ["Well", "phenotype"], "The table")


@pytest.mark.real_data
def test_the_annotation_table_of_idr0094_is_read_with_its_decimal_commas(data_root: Path) -> None:
    table = read_table(data_root / "idr" / "idr0094" / "idr0094-screenA-annotation.csv")
    assert len(table) == 64 * 96
    assert table["Plate"].nunique() == 64
    assert "positive" in set(table["Control Type"].dropna())


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_only_the_columns_that_are_asked_for_are_kept_whatever_their_order(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"note.x": ["n", "m"], " id ": ["1", "2"], "note": ["p", "q"], "class": ["a", "b"]})
    path = tmp_path / name
    frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
    seen: list[str] = []

    def wanted(columns: list[str]) -> list[str]:
        seen[:] = columns
        return ["class", "note", "id"]

    table = read_table(path, columns=wanted)
    assert seen == ["note.x", "id", "note", "class"]
    assert table.to_dict("list") == {"id": ["1", "2"], "note": ["p", "q"], "class": ["a", "b"]}


@pytest.mark.parametrize("text", ["id,other\n1,x,y\n", 'id,other\n1,"x\n', "id,other\n1,x\0\n"])
def test_a_column_that_is_not_kept_is_checked_all_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(PhenoloomError, match=r"line [12]"):
        read_table(tmp_path / "t.csv", columns=lambda _: ["id"])
    (tmp_path / "t.csv").write_text("id,other,id\n1,,2\n")
    with pytest.raises(PhenoloomError, match="several columns 'id'"):
        require_columns(read_table(tmp_path / "t.csv", columns=lambda _: ["id"]), ["id"], "T")
