from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
import yaml
from tests.helpers.steps import run_sheet

from phenoloom.artifacts.manifest import read_manifest
from phenoloom.config import RuleSettings, load_config, load_study
from phenoloom.config.rule_settings import SheetSettings
from phenoloom.config.source import Source
from phenoloom.core.errors import PhenoloomError
from phenoloom.study.sheet import sheet_schema

CHANNELS = {"DNA": "dna", "actin": "act"}


class Study:
    """A folder of raw data and the sheet made of it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.sheet = folder / "raw", folder / "results" / "sheet.parquet"
        self.root.mkdir(parents=True)

    def files(self, *names: str, size: int = 3) -> Study:
        for name in names:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(b"x" * size)
        return self

    def text(self, name: str, text: str) -> Study:
        (self.root / name).write_text(text, encoding="utf-8")
        return self

    def make(self, shards: int = 1, limit: float = 0.1, **source: Any) -> pd.DataFrame:
        settings = SheetSettings(
            algorithm=1,
            study="test",
            root=str(self.root),
            source=Source.model_validate(source),
            shards=shards,
            max_rejected_fraction=limit,
        )
        run_sheet(settings, self.sheet)
        table: pd.DataFrame = pq.read_table(self.sheet).to_pandas()
        return table.set_index("image_id", drop=False)

    @property
    def manifest_path(self) -> Path:
        return self.sheet.with_suffix(".json")

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.manifest_path)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


@pytest.mark.parametrize("plate", ["SARS-CoV2[2454]", "plate 11001", 'it\'s "x"', "$HOME", "Zürich"])
def test_files_per_channel_become_one_row_in_channel_order(study: Study, plate: str) -> None:
    study.files(*(f"{plate}/B03_s{s}_{c}.tif" for s in (10, 2) for c in ("act", "dna", "brightfield")))
    sheet = study.make(files="{plate}/{well}_s{field}_{channel}.tif", channels=CHANNELS)
    assert sheet["image_id"].tolist() == [f"{plate}/B03/2", f"{plate}/B03/10"]
    first = sheet.iloc[0]
    assert list(first["files"]) == [f"{plate}/B03_s2_dna.tif", f"{plate}/B03_s2_act.tif"]
    assert (first["plate"], first["well"], first["row"], first["column"]) == (plate, "B03", "B", "3")
    assert (first["bytes"], first["line"], first["shard"]) == (6, -1, "0000")


def test_a_file_name_with_decomposed_accents_is_kept_as_it_is_on_disk(study: Study) -> None:
    name = unicodedata.normalize("NFD", "Zürich/é.tif")
    sheet = study.files(name).make(files="{plate}/{image}.tif", channels=["DNA"])
    assert sheet["files"].iloc[0][0] == name
    assert sheet["plate"].iloc[0] == unicodedata.normalize("NFC", "Zürich")


def test_the_schema_is_the_same_whatever_is_null(study: Study) -> None:
    study.files("x.tif").make(files="{image}.tif", channels=["DNA"])
    assert pq.read_schema(study.sheet) == sheet_schema(multi_label=False)
    assert pq.read_table(study.sheet).to_pylist()[0] | {"bytes": 0} == {
        "image_id": "x", "plate": None, "well": None, "row": None, "column": None, "field": None, "files": ["x.tif"],
        "mask": None, "label": None, "group": None, "shard": "0000", "bytes": 0, "line": -1,
    }  # fmt: skip


def test_a_table_gives_labels_and_groups_and_ids_stay_text(study: Study) -> None:
    study.files("001/A1_dna.tif", "001/A1_act.tif", "NA/A1_dna.tif", "NA/A1_act.tif")
    study.text("t.csv", "Plate,Well,Phenotype,Compound\n001,A01,round,NA\nNA,A01,,x\n002,A01,long,y\n")
    sheet = study.make(
        files="{plate}/{well}_{channel}.tif",
        channels=CHANNELS,
        table={"path": "t.csv", "join": {"plate": "Plate", "well": "Well"}},
        columns={"label": "Phenotype", "group": "Compound"},
        classes={"round": "Round"},
    )
    assert sheet["label"].to_dict() == {"001/A1": "Round", "NA/A1": None}
    assert sheet["group"].to_dict() == {"001/A1": "NA", "NA/A1": "x"}
    assert sheet["line"].tolist() == [0, 1]
    manifest = study.manifest
    assert manifest["expected"] == {"images": 2, "table_rows": 3}
    assert manifest["found"] == {"images": 2, "table_rows": 2}
    assert manifest["table_rows_without_image"] == {"count": 1, "examples": ["002, A01"]}
    assert manifest["unlabelled"] == 1


def test_images_without_a_row_of_the_table_are_counted_and_unlabelled(study: Study) -> None:
    study.files("1.tif", "2.tif").text("t.csv", "id,label\n1,a\n")
    sheet = study.make(files="{image}.tif", channels=["DNA"], table={"path": "t.csv", "join": {"image": "id"}})
    assert sheet["label"].to_dict() == {"1": "a", "2": None}
    assert study.manifest["images_without_table_row"] == {"count": 1, "examples": ["2"]}


def test_zero_padding_joins_numbers_to_padded_names_and_its_lack_is_explained(study: Study) -> None:
    study.files("001.bmp", "010.bmp").text("t.csv", "image ID,class\n1,5\n10,2\n")
    source = {"files": "{image}.bmp", "channels": ["red"], "columns": {"label": "class"}}
    table = {"path": "t.csv", "join": {"image": "image ID"}}
    sheet = study.make(**source, table={**table, "zero_pad": {"image ID": 3}})
    assert sheet["label"].to_dict() == {"001": "5", "010": "2"}
    with pytest.raises(PhenoloomError, match=r"None of 2 images has a row in the table.*'001'.*'1'.*zero_pad"):
        study.make(**source, table=table)


def test_several_labels_in_a_cell_become_a_list_without_the_unwanted(study: Study) -> None:
    study.files("a.tif", "b.tif").text("t.csv", "id,label\na,er; golgi;er;?\nb,\n")
    sheet = study.make(
        files="{image}.tif",
        channels=["DNA"],
        table={"path": "t.csv", "join": {"image": "id"}},
        label_separator=";",
        classes={"er": "ER", "?": ""},
    )
    assert list(sheet.loc["a", "label"]) == ["ER", "golgi"]
    assert sheet.loc["b", "label"] is None
    assert pq.read_schema(study.sheet) == sheet_schema(multi_label=True)


def test_an_index_of_paths_is_read_and_never_rebuilt(study: Study) -> None:
    study.files("[x]/a b.tif", "[x]/c.tif", "d.tif", "e.tif")
    study.text("t.tsv", "Well\tF1\tF2\tlabel\nA1\t[x]/a b.tif\t[x]/c.tif\tu\nA2\td.tif\te.tif\tv\n")
    sheet = study.make(files={"DNA": "F2", "actin": "F1"}, channels=["DNA", "actin"], table={"path": "t.tsv"},
                       columns={"well": "Well"})  # fmt: skip
    assert [list(files) for files in sheet["files"]] == [["[x]/c.tif", "[x]/a b.tif"], ["e.tif", "d.tif"]]
    assert sheet["label"].tolist() == ["u", "v"]


def test_a_listing_replaces_the_walk_and_lost_files_are_quarantined(study: Study) -> None:
    study.files(*(f"{i}.tif" for i in range(9)), "unlisted.tif")
    study.text("files.txt", "".join(f"{i}.tif\n" for i in range(10)))
    sheet = study.make(files="{image}.tif", listing="files.txt", channels=["DNA"])
    assert sheet["image_id"].tolist() == [str(i) for i in range(9)]
    assert study.manifest["quarantine"] == [{"image_id": "9", "file": "9.tif", "reason": "the file does not exist"}]
    assert study.manifest["expected"]["images"] == 10


def test_cells_that_name_no_file_are_quarantined_with_their_reason(study: Study) -> None:
    study.files("a.tif", "b.tif", "c.tif", "d.tif", "e.tif", "f.tif")
    (study.root / "loop.tif").symlink_to("loop.tif")
    rows = "".join(f"{name}.tif\n" for name in ("a", "b", "c", "d", "e", "f", "loop", "n" * 300))
    study.text("t.tsv", f"path\n{rows}.\n")
    study.make(files={"DNA": "path"}, channels=["DNA"], table={"path": "t.tsv"}, limit=1)
    lost = {row["image_id"][:4]: row["reason"] for row in study.manifest["quarantine"]}
    assert lost["loop"] == "its links lead in a circle"
    assert "no file can have this name" in lost["nnnn"]
    assert lost["."] == "it is not a file"
    assert len(lost) == 3


def test_a_listing_that_fits_nothing_shows_its_own_lines(study: Study) -> None:
    study.files("a.tif").text("files.txt", "/data/a.tif\n")
    with pytest.raises(PhenoloomError, match=r"No line of the listing files.txt fits .*example: '/data/a.tif'"):
        study.make(files="{image}.tif", listing="files.txt", channels=["DNA"])


def test_a_column_that_occurs_twice_in_the_table_is_refused_where_it_is_needed(study: Study) -> None:
    study.files("a.tif", "b.tif").text("t.csv", "image,Label,Label,note,note\na,x,y,1,2\nb,z,w,1,2\n")
    choices = {"files": "{image}.tif", "channels": ["DNA"], "table": {"path": "t.csv", "join": {"image": "image"}}}
    with pytest.raises(PhenoloomError, match="several columns 'Label'"):
        study.make(**choices, columns={"label": "Label"})


def test_without_a_join_row_i_belongs_to_image_i_and_counts_must_match(study: Study) -> None:
    study.files("i10.tif", "i2.tif").text("t.txt", "a\nb\n")
    source = {"files": "{image}.tif", "channels": ["DNA"], "columns": {"label": "what"}}
    sheet = study.make(**source, table={"path": "t.txt", "header": ["what"]})
    assert sheet["label"].to_dict() == {"i2": "a", "i10": "b"}
    study.text("t.txt", "a\n\nc\n")
    with pytest.raises(PhenoloomError, match="has 3 rows, but there are 2 images"):
        study.make(**source, table={"path": "t.txt", "header": ["what"]})


def test_outlines_get_one_row_each_with_their_position(study: Study) -> None:
    study.text("cells.txt", "0 0\n1 0\n1 1\n\n5 5\n6 6\n").text("lines.txt", "dunn\ndlm8")
    sheet = study.make(outlines={"path": "cells.txt"}, table={"path": "lines.txt", "header": ["label"]}, shards=2)
    assert sheet["image_id"].tolist() == ["1", "2"]
    assert sheet["label"].tolist() == ["dunn", "dlm8"]
    assert sheet["line"].tolist() == [0, 1]
    assert [list(files) for files in sheet["files"]] == [[], []]
    assert sheet["shard"].tolist() == ["0000", "0001"]


def test_outlines_of_a_table_are_joined_by_their_object(study: Study) -> None:
    study.text("cells.csv", "object,x,y\nb,0,0\na,1,1\nb,1,0\n").text("t.csv", "cell,label\na,A\nb,B\n")
    source = {"outlines": {"path": "cells.csv", "format": "table"}}
    sheet = study.make(**source, table={"path": "t.csv", "join": {"object": "cell"}})
    assert sheet[["label", "line"]].to_dict("index") == {"a": {"label": "A", "line": 1}, "b": {"label": "B", "line": 0}}


def test_a_mask_that_the_pattern_of_images_fits_too_is_named_as_one(study: Study) -> None:
    study.files("A1.tif", "A1_m.tif", "A2.tif")
    source = {"files": "{image}.tif", "channels": ["DNA"], "masks": {"files": "{image}_m.tif"}}
    assert study.make(limit=1, **source)["mask"].to_dict() == {"A1": "A1_m.tif"}
    reasons = {lost["image_id"]: lost["reason"] for lost in study.manifest["quarantine"]}
    assert reasons["A1_m"].startswith("it is the mask of another image; narrow a field of `source.files`")
    assert reasons["A2"] == "there is no mask file for it"


def test_masks_are_matched_by_shared_fields_and_an_image_without_one_is_quarantined(study: Study) -> None:
    study.files(*(f"i/{w}_1_{c}.tif" for w in ("A1", "A2") for c in ("dna", "act")), "m/A1_7_cells.png")
    sheet = study.make(
        limit=0.5,
        files="i/{well}_{number}_{channel}.tif",
        channels=CHANNELS,
        masks={"files": "m/{well}_{version}_cells.png"},
    )
    assert sheet["mask"].to_dict() == {"A1": "m/A1_7_cells.png"}
    assert study.manifest["quarantine"][0]["reason"] == "there is no mask file for it"
    study.files("m/A1_8_cells.png")
    with pytest.raises(PhenoloomError, match="Two mask files belong to the image with well = A1"):
        study.make(files="i/{well}_{n}_{channel}.tif", channels=CHANNELS, masks={"files": "m/{well}_{v}_cells.png"})
    with pytest.raises(PhenoloomError, match="shares no field"):
        study.make(files="i/{well}_{n}_{channel}.tif", channels=CHANNELS, masks={"files": "m/{v}_cells.png"})


def test_an_image_without_a_channel_is_quarantined_until_there_are_too_many(study: Study) -> None:
    wells = [f"A{i}" for i in range(1, 11)]
    study.files(*(f"{w}_{c}.tif" for w in wells for c in ("dna", "act") if (w, c) != ("A3", "act")))
    source = {"files": "{well}_{channel}.tif", "channels": CHANNELS}
    assert len(study.make(**source)) == 9
    assert study.manifest["quarantine"] == [
        {"image_id": "A3", "file": "A3_dna.tif", "reason": "there is no file for channel 'actin'"}
    ]
    with pytest.raises(PhenoloomError, match="1 of 10 images cannot be used"):
        study.make(limit=0.05, **source)
    assert not study.manifest_path.exists()


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"label": "phenotyp"}, "neither a column of the table t.csv nor a field.*did you mean 'Phenotype'"),
        ({"group": "qqq"}, "`columns.group` is 'qqq'.*it has: Well, Phenotype, channel, well"),
    ],
)
def test_a_word_that_is_found_nowhere_is_named_with_the_nearest(
    study: Study, columns: dict[str, str], complaint: str
) -> None:
    study.files("A1_dna.tif").text("t.csv", "Well,Phenotype\nA1,x\n")
    with pytest.raises(PhenoloomError, match=complaint):
        study.make(files="{well}_{channel}.tif", channels=CHANNELS, columns=columns,
                   table={"path": "t.csv", "join": {"well": "Well"}})  # fmt: skip


def test_two_files_for_one_image_are_both_named(study: Study) -> None:
    study.files("A1_t1.tif", "A1_t2.tif", "x/A1_t1_dna.tif", "x/A1_t2_dna.tif")
    with pytest.raises(PhenoloomError, match=r"image 'A1': 'A1_t1.tif' and 'A1_t2.tif'"):
        study.make(files="{well}_{time}.tif", channels=["DNA"])
    with pytest.raises(PhenoloomError, match=r"channel 'DNA' of image 'A1': 'x/A1_t1_dna.tif' and 'x/A1_t2_dna.tif'"):
        study.make(files="x/{well}_{time}_{channel}.tif", channels=CHANNELS)


def test_two_rows_about_one_image_are_refused_unless_they_agree(study: Study) -> None:
    study.files("A1.tif").text("t.csv", "well,label,note\nA1,x,1\nA01,x,2\n")
    source = {"files": "{well}.tif", "channels": ["DNA"], "table": {"path": "t.csv", "join": {"well": "well"}}}
    assert study.make(**source)["label"].tolist() == ["x"]
    study.text("t.csv", "well,label\nA1,x\nA01,y\n")
    with pytest.raises(
        PhenoloomError, match=r"Rows 1 and 2 of the table t\.csv are both about A01, but differ in 'label'"
    ):
        study.make(**source)


def test_no_match_shows_the_nearest_file_and_where_it_stops_fitting(study: Study) -> None:
    study.files("a/1.tiff", "a/2.tiff", "b/3.tiff", "Thumbs.db")
    with pytest.raises(PhenoloomError, match=r"fits the pattern '\{plate\}/\{well\}\.tif'; the nearest is 'a/1.tiff': "
                       r"'a/1' fits '\{plate\}/\{well\}', but there is '\.tiff' instead of '\.tif'$"):  # fmt: skip
        study.make(files="{plate}/{well}.tif", channels=["DNA"])


def test_files_of_channels_that_are_not_named_are_counted_and_silent_if_they_are_meant(study: Study) -> None:
    study.files(*(f"P/A{i}_{c}.tif" for i in range(1, 5) for c in ("dna", "act", "brightfield")), "P/A1_er.tif")
    source = {"files": "{plate}/{well}_{channel}.tif", "channels": CHANNELS}
    assert len(study.make(**source)) == 4
    assert study.manifest["unread"]["channels"] == {
        "brightfield": {"count": 4, "examples": [f"P/A{i}_brightfield.tif" for i in range(1, 5)]},
        "er": {"count": 1, "examples": ["P/A1_er.tif"]},
    }
    study.make(**source, ignore_channels=["brightfield"], ignore_files=["{**}/{_}_er.tif"])
    assert study.manifest["unread"]["channels"] == {}
    assert study.manifest["unread"]["ignored"]["count"] == 5
    assert len(study.make(**(source | {"files": "{plate}/{well}_{channel:[a-z]+}.tif"}),
                          ignore_channels=["brightfield", "er"])) == 4  # fmt: skip


def test_channels_in_folders_of_their_own_are_counted_too(study: Study) -> None:
    study.files(*(f"P/{c}/A{i}.tif" for i in (1, 2) for c in ("dna", "act", "bf")), "Q/x/y.tif", "other/z.txt")
    study.make(files="{plate:P}/{channel}/{well}.tif", channels=CHANNELS)
    unread = study.manifest["unread"]
    assert unread["channels"] == {"bf": {"count": 2, "examples": ["P/bf/A1.tif", "P/bf/A2.tif"]}}
    assert unread["folders"] == {"count": 2, "examples": ["Q/", "other/"]}


def test_files_that_nearly_fit_and_others_are_counted_by_kind(study: Study) -> None:
    good = [f"A{i}_s1.tif" for i in range(1, 4)]
    near = {"letter case": ["A1_S2.tif", "A4_s1.TIF"], "extension": ["A5_s1.png", "A5_s2.TIFF"],
            "text of a field": ["A6_sX.tif"]}  # fmt: skip
    others = ["._A1_s1.tif", "A1_s1.txt", "Thumbs.db", "notes.tif"]
    study.files(*good, *(name for names in near.values() for name in names), *others, "m/A1_s1.png", "m/A2_s1.PNG")
    study.files("m/A2_s1.png", "m/A3_s1.png").text("t.csv", "well,label\nA1,x\n")
    sheet = study.make(
        files=r"{well}_s{field:\d}.tif",
        channels=["DNA"],
        masks={"files": "m/{well}_s{field}.png"},
        table={"path": "./t.csv", "join": {"well": "well"}},
    )
    assert len(sheet) == 3
    unread = study.manifest["unread"]
    assert unread["near"] == {kind: {"count": len(names), "examples": names} for kind, names in near.items()}
    assert unread["near_masks"] == {"letter case": {"count": 1, "examples": ["m/A2_s1.PNG"]}}
    assert unread["others"] == {"count": len(others), "examples": others}
    assert unread["folders"] == {"count": 1, "examples": ["m/"]}


def test_lines_of_a_listing_that_nearly_fit_are_counted(study: Study) -> None:
    study.files("P/a.tif").text("files.txt", "P/a.tif\nP/b.TIF\nP/readme.md\n")
    study.make(files="{plate}/{image}.tif", listing="files.txt", channels=["DNA"])
    assert study.manifest["unread"]["near"] == {"letter case": {"count": 1, "examples": ["P/b.TIF"]}}
    assert study.manifest["unread"]["others"]["count"] == 1


@pytest.mark.parametrize("listed", [False, True])
def test_a_file_beside_one_that_is_read_is_not_missed(study: Study, listed: bool) -> None:
    names = ("a/1.tif", "a/1.png", "a/2.png", "a/3.tif", "a/3.tiff")
    study.files(*names)
    if listed:
        study.text("files.txt", "".join(f"{name}\n" for name in names))
    study.make(files="{plate}/{image}.tif", channels=["DNA"], **({"listing": "files.txt"} if listed else {}))
    assert study.manifest["unread"]["near"] == {"extension": {"count": 1, "examples": ["a/2.png"]}}
    assert study.manifest["unread"]["others"] == {"count": 2, "examples": ["a/1.png", "a/3.tiff"]}


def test_one_misspelt_channel_is_named_with_those_that_files_have(study: Study) -> None:
    study.files("P1/A01_dna.tif", "P1/A01_act.tif", "P1/A02_dna.tif", "P1/A02_act.tif")
    with pytest.raises(PhenoloomError, match=r"files of 'act', such as P1/A01_act.tif; correct the texts in"):
        study.make(files="{plate}/{well}_{channel}.tif", channels={"DNA": "dna", "actin": "Act"})


def test_only_unnamed_channels_are_an_error_that_names_them(study: Study) -> None:
    study.files("A1_w1.tif", "A1_w2.tif")
    with pytest.raises(PhenoloomError, match=r"have the channels 'w1', 'w2', for example 'A1_w1\.tif'"):
        study.make(files="{well}_{channel}.tif", channels=CHANNELS)


def test_backslashes_between_folders_are_named(study: Study) -> None:
    study.files("P/a.tif", "q.tif").text("files.txt", "P\\a.tif\n").text("t.csv", "path\nP\\a.tif\nq.tif\n")
    with pytest.raises(PhenoloomError, match=r"No line of the listing .* write `/` between folders in place of a"):
        study.make(files="{plate}/{image}.tif", listing="files.txt", channels=["DNA"])
    study.make(files={"DNA": "path"}, channels=["DNA"], table={"path": "t.csv"}, limit=1)
    assert study.manifest["quarantine"][0]["reason"].endswith("; write `/` between folders in place of a backslash")


def test_a_mask_pattern_that_fits_nothing_shows_its_nearest_file(study: Study) -> None:
    study.files("i/A1.tif", "m/A1_mask.png")
    with pytest.raises(PhenoloomError, match=r"the nearest is 'm/A1_mask.png': 'm/A1_mask' fits .*'.png' instead of"):
        study.make(files="i/{well}.tif", channels=["DNA"], masks={"files": "m/{well}_mask.tif"})


def test_masks_join_wells_in_any_spelling(study: Study) -> None:
    study.files("i/A1.tif", "i/B2.tif", "m/A01.png", "m/b - 2.png")
    sheet = study.make(files="i/{well}.tif", channels=["DNA"], masks={"files": "m/{well}.png"})
    assert sheet["mask"].to_dict() == {"A1": "m/A01.png", "B2": "m/b - 2.png"}


def test_paths_of_a_table_without_a_file_are_counted_with_the_nearest_that_is_there(study: Study) -> None:
    study.files("x/a.tif", "x/B.TIF", "x/c.tiff").text("t.csv", "path\nx/a.tif\nx/b.tif\nx/c.tif\ny/d.tif\nx/qqq.tif\n")
    source = {"files": {"DNA": "path"}, "channels": ["DNA"], "table": {"path": "t.csv"}}
    study.make(limit=1, **source)
    assert [row["reason"] for row in study.manifest["quarantine"]] == [
        "the file does not exist, but one in other upper and lower case does",
        "the file does not exist, but one with the extension .tiff does",
        "the file does not exist",
        "the file does not exist, nor does its folder",
    ]
    assert study.manifest["unread"]["missing"] == {
        "count": 4, "examples": ["'x/b.tif' (there is 'x/B.TIF')", "'x/c.tif' (there is 'x/c.tiff')", "'x/qqq.tif'",
                                   "'y/d.tif'"],
    }  # fmt: skip
    study.text("t.csv", "path\nx/b.tif\n")
    with pytest.raises(PhenoloomError, match=r"1 do not exist, the first is 'x/b.tif' \(there is 'x/B.TIF'\)"):
        study.make(limit=1, **source)


def test_two_fields_are_the_well_and_two_are_the_plate(study: Study) -> None:
    study.files(*(f"P_{run}/{row}/{column}.tif" for run in (1, 2) for row in "ab" for column in ("01", "02")))
    study.text("t.csv", "Barcode,Well,label\nP-1,A - 01,x\nP-2,B2,y\n")
    sheet = study.make(
        files="{plate}_{run}/{row}/{column}.tif",
        channels=["DNA"],
        columns={"well": "{row}{column}", "plate": "{plate}-{run}"},
        table={"path": "t.csv", "join": {"{plate}-{run}": "Barcode", "well": "Well"}},
    )  # fmt: skip
    assert sheet["image_id"].tolist() == [f"P-{run}/{well}" for run in (1, 2) for well in ("a01", "a02", "b01", "b02")]
    assert sheet["label"].dropna().to_dict() == {"P-1/a01": "x", "P-2/b02": "y"}
    assert sheet.loc["P-1/a01", ["row", "column"]].tolist() == ["A", "1"]


def test_the_entry_of_columns_that_an_error_names_cures_it(study: Study) -> None:
    study.files(*(f"r{run}/A{i}_{c}.tif" for run in (1, 2) for i in (1, 2) for c in ("dna", "act")))
    study.text("t.csv", "run,well,label\n1,A1,x\n2,A1,y\n1,A2,x\n2,A2,y\n")
    source = {
        "files": "r{run}/{well}_{channel}.tif",
        "channels": CHANNELS,
        "table": {"path": "t.csv", "join": {"run": "run", "well": "well"}},
    }
    with pytest.raises(PhenoloomError, match="disagree on 'run'") as error:
        study.make(**source)
    cure = yaml.safe_load(re.findall(r"`columns: (.*?)`", str(error.value))[0])
    assert cure == {"plate": "run"}
    assert study.make(**source, columns=cure)["label"].to_dict() == {"1/A1": "x", "1/A2": "x", "2/A1": "y", "2/A2": "y"}


@pytest.mark.parametrize(
    ("files", "pattern", "ids"),
    [
        (["P_1/A1.tif", "P_2/A1.tif"], "{plate}_{run}/{well}.tif", ["P_1/A1", "P_2/A1"]),
        (["A1_x_1.tif", "A1_y_1.tif"], "{well}_{part}_{field}.tif", ["A1/1_x", "A1/1_y"]),
        (["A1_x.tif", "A1_y.tif"], "{well}_{part}.tif", ["A1/x", "A1/y"]),
    ],
)
def test_two_files_of_one_image_are_told_apart_as_the_error_says(
    study: Study, files: list[str], pattern: str, ids: list[str]
) -> None:
    study.files(*files)
    with pytest.raises(PhenoloomError, match="Two files are image") as error:
        study.make(files=pattern, channels=["DNA"])
    cure = yaml.safe_load(re.findall(r"`columns: (.*?)`;", str(error.value).replace("; else", ";"))[0])
    assert study.make(files=pattern, channels=["DNA"], columns=cure)["image_id"].tolist() == ids


def test_an_image_field_beside_a_field_may_differ_between_channels(study: Study) -> None:
    study.files("A1_1_k_dna.tif", "A1_1_l_act.tif")
    assert study.make(files="{well}_{field}_{image}_{channel}.tif", channels=CHANNELS)["image_id"].tolist() == ["A1/1"]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({"files": "{name}_{channel}.tif", "channels": CHANNELS}, "plate, well, field or image"),
        ({"files": "{name}_{channel}.tif"}, "`channels` must name the channels"),
        ({"files": "{image}.tif", "channels": CHANNELS}, "has no such field"),
        ({"files": "{image}_{channel:d.*}.tif", "channels": ["x"]}, "of channel 'dna', which `channels` lacks"),
        ({"files": "{image}.tif", "channels": ["x"], "table": {"path": "t.csv", "join": {"wel": "id"}}}, "'wel'"),
        ({"files": "{image}.tif", "channels": ["x"], "table": {"path": "t.csv", "join": {"image": "ID"}}}, "'id'"),
        ({"files": "{image}.tif", "channels": ["x"], "table": {"path": "../t.csv"}}, "leads out of the root"),
        ({"files": {"x": "id"}, "channels": ["x"], "table": {"path": "t.csv", "join": {"x": "id"}}}, "remove `table"),
        ({"files": {"x": "file"}, "channels": ["x"], "table": {"path": "t.csv"}}, "has no column 'file'"),
        ({"files": {"x": "id"}, "channels": ["x"], "table": {"path": "t.csv"}}, "leads out of the root"),
        ({"outlines": {"path": "cells.csv", "format": "table"}}, "There is no table"),
    ],
)  # fmt: skip
def test_a_source_that_contradicts_itself_or_its_files_is_refused(
    study: Study, source: dict[str, Any], complaint: str
) -> None:
    study.files("a_dna.tif").text("t.csv", "id,label\n/a_dna.tif,x\n")
    with pytest.raises(PhenoloomError, match=complaint):
        study.make(**source)


def test_a_renamed_class_that_no_label_has_is_refused(study: Study) -> None:
    study.files("a.tif").text("t.csv", "image,label\na,neutrophil\n")
    with pytest.raises(PhenoloomError, match="renames 'neutrophl', which the column 'label' never holds; did you mean"):
        study.make(files="{image}.tif", channels=["x"], table={"path": "t.csv", "join": {"image": "image"}},
                   classes={"neutrophl": "n"})  # fmt: skip


def test_one_well_under_two_names_is_refused(study: Study) -> None:
    study.files("P/A1_s1.tif", "P/A01_s2.tif")
    with pytest.raises(PhenoloomError, match="'A1' and 'A01' are one well of plate 'P'"):
        study.make(files="{plate}/{well}_s{field}.tif", channels=["DNA"])


def test_a_link_out_of_the_root_is_refused(study: Study, tmp_path: Path) -> None:
    (tmp_path / "secret.tif").write_bytes(b"x")
    (study.root / "a.tif").symlink_to(tmp_path / "secret.tif")
    with pytest.raises(PhenoloomError, match="link out of the root"):
        study.make(files="{image}.tif", channels=["DNA"])


def test_the_same_input_gives_the_same_bytes(study: Study) -> None:
    study.files("b/2.tif", "a/10.tif", "a/9.tif")
    first = study.make(files="{plate}/{image}.tif", channels=["DNA"], shards=2)
    content, manifest = study.sheet.read_bytes(), study.manifest_path.read_bytes()
    study.make(files="{plate}/{image}.tif", channels=["DNA"], shards=2)
    assert (study.sheet.read_bytes(), study.manifest_path.read_bytes()) == (content, manifest)
    assert first["shard"].tolist() == ["0000", "0000", "0001"]


REAL = {
    "mpeg7": (1400, 70, ("Bone", 20)),
    "wbc-site1": (300, 5, ("neutrophil", 176)),
    "wbc-site2": (100, 5, ("lymphocyte", 37)),
    "osteosarcoma-line": (650, 2, ("dunn", 392)),
    "osteosarcoma-treatment": (650, 3, ("control", 318)),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_the_sheet_of_a_study_that_we_ship_is_complete(
    name: str, data_root: Path, repository: Path, tmp_path: Path
) -> None:
    images, classes, (label, count) = REAL[name]
    config = load_config({"data_root": str(data_root)})
    settings = RuleSettings(name, load_study(name, repository / "config"), config, repository / "config").sheet()
    run_sheet(settings, tmp_path / "sheet.parquet")
    sheet = pq.read_table(tmp_path / "sheet.parquet").to_pandas()
    manifest = read_manifest(tmp_path / "sheet.json")
    assert (len(sheet), sheet["label"].nunique(), (sheet["label"] == label).sum()) == (images, classes, count)
    assert manifest["expected"]["images"] == manifest["found"]["images"] == images
    assert manifest["expected"]["table_rows"] == manifest["found"]["table_rows"]
    assert sheet["label"].notna().all()


def real(folder: Path, out: Path) -> Study:
    study = Study(out)
    study.root = folder
    return study


@pytest.mark.real_data
def test_cell_painting_files_masks_and_plate_map_are_joined(data_root: Path, tmp_path: Path) -> None:
    study = real(data_root / "nf1_cellpainting", tmp_path)
    source = {
        "files": "images/{well}_01_{number}_{field}_{channel}_001.tif",
        "channels": {"DNA": "DAPI", "ER": "GFP", "actin": "RFP"},
        "table": {"path": "platemap_NF1_plate2.csv", "join": {"well": "well_position"}},
        "columns": {"label": "genotype", "group": "well_position"},
    }
    sheet = study.make(limit=0.0, **source, masks={"files": "masks/{well}_01_1_{field}_DAPI_001_MaskNuclei.tiff"})
    assert sheet["label"].to_dict() == {"B7/3": "Null", "D6/2": "WT", "D7/1": "Null", "F7/2": "Null", "H12/1": "Null"}
    assert list(sheet.loc["D6/2", "files"]) == [
        "images/D6_01_1_2_DAPI_001.tif", "images/D6_01_2_2_GFP_001.tif", "images/D6_01_3_2_RFP_001.tif",
    ]  # fmt: skip
    assert sheet.loc["D6/2", "mask"] == "masks/D6_01_1_2_DAPI_001_MaskNuclei.tiff"
    assert study.manifest["table_rows_without_image"]["count"] == 32 - 5


@pytest.mark.real_data
def test_a_screen_of_jpegs_is_joined_by_plate_number_and_well_in_either_spelling(
    data_root: Path, tmp_path: Path
) -> None:
    study = real(data_root / "hela_sirna_submorph", tmp_path)
    sheet = study.make(
        files=r"source/{replicate:PK-\d+B}-pl{number}/Well-{well}/{channel}.jpeg",
        channels={"actin": "Tritc", "tubulin": "FITC", "DNA": "Hoechst"},
        table={"path": "conf/annotation.txt", "join": {"number": "Plate", "well": "Well"}},
        columns={"plate": "replicate", "label": "GeneID"},
        shards=2,
    )
    assert len(sheet) == 12
    assert sheet.groupby("shard")["plate"].unique().map(list).to_dict() == {"0000": ["PK-10B"], "0001": ["PK-11B"]}
    assert sheet.loc["PK-10B/A003", ["label", "row", "column"]].tolist() == ["UBC", "A", "3"]


def test_the_manifest_states_the_largest_image_of_each_shard(study: Study) -> None:
    for plate, side in (("a", 100), ("b", 300)):
        (study.root / plate).mkdir()
        for well in ("A01", "A02"):
            tall = side if well == "A01" else side // 2
            tifffile.imwrite(study.root / plate / f"{well}.tif", np.zeros((tall, side), np.uint16))
    study.make(shards=2, files="{plate}/{well}.tif", channels=["DNA"])
    assert sorted(study.manifest["largest_image"].values()) == [[0.02, 0.01], [0.18, 0.09]]
