from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.studies import made_by

from phenoloom.artifacts.parquet import table_facts
from phenoloom.core.errors import PhenoloomError
from phenoloom.embedding.table import Features, TableFacts, read_embedding, write_embedding

VALUES = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
FACTS = TableFacts("s", "rep", "fold-0", made_by("s"))


def rows(**changes: Any) -> pa.Table:
    """Two rows of an index that has no plates."""
    columns = {"id": ["a", "b"], "image_id": ["i", "i"], "object": pa.array([7, 8], pa.int32()), "label": ["x", None]}
    return pa.table({**columns, "group": ["g", None], "role": ["train", "unused"], "position": [0, 1], **changes})


def features(**changes: Any) -> Features:
    return Features(**{"values": VALUES, "found": np.array([True, False, True]), **changes})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    write_embedding(path, rows(), features(scale=np.float32([1, np.e]), parts={"x": 1, "y": 2}), FACTS)
    found = read_embedding(path, "rep")
    assert found.vectors.tolist() == VALUES.tolist()
    assert (found.parts, found.seen_test_groups) == ((1, 2), False)
    assert found.rows["image_id"].tolist() == ["i", "i"]
    assert found.rows["object"].dtype == np.int32
    assert found.rows["scale"].tolist() == pytest.approx([0, 1])
    assert found.rows["group"].tolist() == ["g", None]
    assert pq.read_schema(path).names == [
        *(f"Metadata_{name}" for name in ("id", "study", "image", "plate", "well", "field", "object", "label")),
        *("Metadata_scale", "Metadata_group", "Metadata_role", "rep_0000", "rep_0001", "rep_0002"),
    ]


def test_the_table_states_what_its_vectors_are_and_how_they_were_made(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    more = {"images": 9}
    seen = features(seen_test_groups=True, names=["u", "v", "w"])
    write_embedding(path, rows(), seen, TableFacts("s", "rep", "all", made_by("s"), more))
    assert table_facts(pq.read_schema(path)) == {
        **made_by("s").record(),
        "representation": "rep",
        "split": "all",
        "features": ["u", "v", "w"],
        "rows": 2,
        "missing": 1,
        "seen_test_groups": True,
        "images": 9,
    }
    assert read_embedding(path, "rep").seen_test_groups


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("names", "name"), [(None, "rep_0001"), (["u", "v", "w"], "v")])
def test_a_value_that_is_not_finite_is_refused_with_its_row_and_feature(
    value: float, names: list[str] | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second row is in the second block.
    monkeypatch.setattr("phenoloom.embedding.table.ROWS_A_GROUP", 1)
    values = VALUES.copy()
    values[1, 1] = value
    with pytest.raises(PhenoloomError, match=f"Feature {name} of b is {value}, .* 1 of 2 rows"):
        write_embedding(tmp_path / "e.parquet", rows(), features(values=values, names=names), FACTS)
    assert not (tmp_path / "e.parquet").exists()


def broken(path: Path, **changes: Any) -> Path:
    write_embedding(path, rows(), features(), FACTS)
    frame = pq.read_table(path)
    for name, values in changes.items():
        frame = frame.set_column(frame.column_names.index(name), name, pa.array(values, pa.float32()))
    pq.write_table(frame, path)
    return path


def test_tables_of_another_representation_or_without_rows_are_refused(tmp_path: Path) -> None:
    path = broken(tmp_path / "e.parquet")
    with pytest.raises(PhenoloomError, match="must hold columns other_0000"):
        read_embedding(path, "other")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(PhenoloomError, match="found 3 such columns and 0 rows"):
        read_embedding(path, "rep")


def test_a_table_with_a_value_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match="1 of 2 vectors are not finite, first 'a' in rep_0002"):
        read_embedding(broken(tmp_path / "e.parquet", rep_0002=[np.nan, 1]), "rep")


def test_rows_of_an_index_without_some_columns_have_nulls_there(tmp_path: Path) -> None:
    write_embedding(tmp_path / "e.parquet", rows(), features(), FACTS)
    frame = pd.read_parquet(tmp_path / "e.parquet")
    assert frame["Metadata_plate"].isna().all()
    assert "Metadata_position" not in frame
