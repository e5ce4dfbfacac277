from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.manifests import put_manifest
from tests.helpers.steps import run_index

from phenoloom.artifacts.manifest import read_manifest
from phenoloom.config.rule_settings import IndexSettings
from phenoloom.core.errors import PhenoloomError
from phenoloom.study.sheet import sheet_schema

SETTINGS = IndexSettings(algorithm=1, study="test")
IMAGES = {"P/A1/1": "0000", "P/A1/2": "0000", "Q/B2/1": "0001"}


class Results:
    """A sheet of three images and the tables and manifests of its shards."""

    def __init__(self, folder: Path, labels: list[Any] | None = None) -> None:
        self.folder = folder
        labels = labels if labels is not None else ["x", "y", None]
        rows = [
            {"image_id": i, "plate": i[0], "well": i[2:4], "label": label, "shard": shard, "files": [], "bytes": 1}
            for (i, shard), label in zip(IMAGES.items(), labels, strict=True)
        ]
        multi = any(isinstance(label, list) for label in labels)
        pq.write_table(pa.Table.from_pylist(rows, sheet_schema(multi)), folder / "sheet.parquet")
        lost = [{"image_id": "R/C3/1", "file": "r.tif", "reason": "there is no\tmask file"}]
        put_manifest(
            folder / "sheet.json",
            "sheet",
            SETTINGS,
            expected={"images": 4},
            found={"images": 3},
            quarantine=lost,
            content="",
        )
        self.shards: dict[str, Path] = {}

    def shard(self, name: str, images: list[str], extra: str = "", **changes: Any) -> Results:
        path = self.folder / "tiles" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        ids = [f"{image}#{i:04d}" for i, image in enumerate(images)]
        columns = {"id": ids, "image_id": images, "object": pa.array(range(len(ids)), pa.int32())}
        table = pa.table(
            columns, schema=pa.schema([("id", pa.string()), ("image_id", pa.string()), ("object", "int32")])
        )
        pq.write_table(table.append_column(extra, table["object"]) if extra else table, path.with_suffix(".parquet"))
        array = {"shape": [len(ids), 2, 8, 8], "dtype": changes.pop("dtype", "uint16")}
        values = {
            "expected": {"images": len(set(images))},
            "found": {"images": len(set(images))},
            "rejected": {"border": 2, f"only {name}": 1},
            "arrays": {"tiles": array},
            "channels": ["DNA", "actin"],
            "polarity": {"polarity": "bright"},
            "content": "",
        }
        put_manifest(path, "convert", SETTINGS, **(values | changes))
        self.shards[name] = path
        return self

    def make(self) -> list[dict[str, Any]]:
        shards = list(self.shards.values())
        run_index(SETTINGS, self.folder / "sheet.parquet", shards, self.folder / "index.parquet")
        rows: list[dict[str, Any]] = pq.read_table(self.folder / "index.parquet").to_pylist()
        return rows

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.folder / "index.json")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


def good(results: Results) -> Results:
    lost = [{"image_id": "Q/B2/9", "file": "q.tif", "reason": "truncated"}]
    # The second shard comes first: the order of the arguments means nothing.
    results.shard("0001", ["Q/B2/1", "Q/B2/1"], quarantine=lost)
    return results.shard("0000", ["P/A1/1", "P/A1/2", "P/A1/2"])


def test_rows_are_in_shard_order_with_what_the_sheet_says(results: Results) -> None:
    rows = good(results).make()
    assert [(row["id"], row["shard"], row["position"]) for row in rows] == [
        ("P/A1/1#0000", "0000", 0),
        ("P/A1/2#0001", "0000", 1),
        ("P/A1/2#0002", "0000", 2),
        ("Q/B2/1#0000", "0001", 0),
        ("Q/B2/1#0001", "0001", 1),
    ]
    assert [row["label"] for row in rows] == ["x", "y", "y", None, None]
    assert [row["well"] for row in rows] == ["A1", "A1", "A1", "B2", "B2"]
    assert {"row", "column", "field", "group"} <= rows[0].keys()


def test_the_manifest_sums_the_shards_and_counts_classes(results: Results) -> None:
    good(results).make()
    manifest = results.manifest
    assert manifest["expected"] == {"images": 4, "shards": 2}
    assert manifest["found"] == {"images": 3, "shards": 2, "rows": 5}
    assert manifest["rejected"] == {"border": 4, "only 0000": 1, "only 0001": 1}
    assert manifest["arrays"] == {"tiles": {"shape": [5, 2, 8, 8], "dtype": "uint16"}}
    assert manifest["channels"] == ["DNA", "actin"]
    assert manifest["classes"] == {"x": 1, "y": 2}
    assert manifest["unlabelled"] == 2


def test_the_quarantine_table_names_stage_image_file_and_reason(results: Results) -> None:
    good(results).make()
    with (results.folder / "quarantine.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert rows == [
        {"stage": "sheet", "image_id": "R/C3/1", "file": "r.tif", "reason": "there is no mask file"},
        {"stage": "convert", "image_id": "Q/B2/9", "file": "q.tif", "reason": "truncated"},
    ]
    assert results.manifest["quarantined_by_stage"] == {"convert": 1, "sheet": 1}


def test_several_labels_of_an_image_count_for_each_class(tmp_path: Path) -> None:
    results = good(Results(tmp_path, [["x", "y"], ["y"], None]))
    assert results.make()[0]["label"] == ["x", "y"]
    assert results.manifest["classes"] == {"x": 1, "y": 3}


def test_an_empty_shard_beside_others_is_fine_even_if_its_dtype_is_a_default(results: Results) -> None:
    results.shard("0000", [], dtype="uint8").shard("0001", ["Q/B2/1"])
    assert len(results.make()) == 1
    assert results.manifest["arrays"]["tiles"] == {"shape": [1, 2, 8, 8], "dtype": "uint16"}


def test_the_same_shards_give_the_same_bytes(results: Results) -> None:
    good(results).make()
    names = ("index.parquet", "index.json", "quarantine.tsv")
    before = [(results.folder / name).read_bytes() for name in names]
    results.make()
    assert [(results.folder / name).read_bytes() for name in names] == before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"channels": ["actin", "DNA"]}, r"0001.json has channels \['actin', 'DNA'\]"),
        ({"dtype": "uint8"}, r"0001.json holds tiles of dtype uint8 .*0000.json of dtype uint16"),
        ({"arrays": {"tiles": {"shape": [1, 2, 9, 8], "dtype": "uint16"}}}, r"shape \(n, 2, 9, 8\)"),
        ({"arrays": {"tiles": {"shape": [3, 2, 8, 8], "dtype": "uint16"}}}, "states 3 tiles, but its table lists 1"),
        ({"extra": "focus"}, "has other columns than .*focus"),
        ({"polarity": {"polarity": "dark"}}, "0001.json takes objects as dark, .*0000.json as bright"),
    ],
)
def test_shards_that_disagree_are_refused(results: Results, change: dict[str, Any], complaint: str) -> None:
    results.shard("0000", ["P/A1/1"]).shard("0001", ["Q/B2/1"], **change)
    with pytest.raises(PhenoloomError, match=complaint):
        results.make()
    assert not (results.folder / "index.json").exists()


def test_a_missing_shard_is_refused(results: Results) -> None:
    with pytest.raises(PhenoloomError, match="has the shards 0000, 0001, but the index was given 0000"):
        results.shard("0000", ["P/A1/1"]).make()


def test_an_image_in_the_wrong_shard_is_refused(results: Results) -> None:
    with pytest.raises(PhenoloomError, match="'Q/B2/1', which the sheet does not have in shard 0000"):
        results.shard("0000", ["P/A1/1", "Q/B2/1"]).shard("0001", []).make()
    with pytest.raises(PhenoloomError, match="'new'"):
        results.shard("0000", ["new"]).make()


def test_an_id_that_occurs_twice_is_refused_also_across_shards(results: Results) -> None:
    results.shard("0000", ["P/A1/1"]).shard("0001", ["Q/B2/1"])
    path = results.shards["0001"].with_suffix(".parquet")
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "id", pa.array(["P/A1/1#0000"])), path)
    with pytest.raises(PhenoloomError, match="The id 'P/A1/1#0000' occurs more than once"):
        results.make()
    assert not (results.folder / "index.parquet").exists()


def test_a_study_without_a_single_row_is_refused_with_the_commonest_reasons(results: Results) -> None:
    with pytest.raises(PhenoloomError, match=r"No object or tile is left in 2 shards .*4 x border"):
        results.shard("0000", []).shard("0001", []).make()
