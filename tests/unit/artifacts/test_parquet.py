from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.artifacts.layout import StudyFolder, step_of
from phenoloom.artifacts.parquet import intact, read_result, read_result_schema
from phenoloom.core.errors import PhenoloomError

TABLE = pa.table({"id": [f"tile {i}" for i in range(500)], "value": list(range(500))})


@given(st.data())
def test_a_table_that_was_cut_anywhere_is_named_with_the_step_to_run_again(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = StudyFolder(tmp_path_factory.getbasetemp() / "study").tiles.table("0000")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(TABLE, path)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    sentence = r"tiles/0000\.parquet is damaged or incomplete \(.*\); delete it .*: its step, `convert`"
    for read in (read_result, read_result_schema):
        with pytest.raises(PhenoloomError, match=sentence):
            read(path)


def test_a_whole_table_is_read_by_columns_and_rows_and_gains_none_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "plate=1" / "sheet.parquet"
    path.parent.mkdir()
    pq.write_table(TABLE, path)
    assert read_result(path).column_names == ["id", "value"]
    assert read_result(path, ["value"], [("id", "=", "tile 7")])["value"].to_pylist() == [7]
    assert read_result_schema(path).names == ["id", "value"]


def test_a_missing_table_is_named_with_its_step(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match=r"There is no table .*folds\.parquet; .* its step, `folds`"):
        read_result(tmp_path / "folds.parquet")


def test_what_the_disk_says_is_not_taken_for_damage(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), intact(tmp_path / "sheet.parquet"):
        raise IsADirectoryError(21, "Is a directory")


def test_each_table_of_a_study_has_a_step() -> None:
    study = StudyFolder(Path("results/mine"))
    other = study.transfer("theirs")
    steps = {
        study.sheet: "sheet", study.index: "index", study.folds: "folds", study.scores: "compare",
        study.comparisons: "compare", study.tiles.table("0"): "convert", study.shapes.table("0"): "contours",
        study.descriptors.table("0"): "describe", study.embeddings.table("vae", "all"): "embed",
        study.representation_scores("vae"): "classify", other.scores("vae"): "transfer",
        other.embeddings.table("vae", "fold-0"): "transfer_embed", Path("elsewhere/vectors.parquet"): None,
    }  # fmt: skip
    assert {path: step_of(path) for path in steps} == steps
