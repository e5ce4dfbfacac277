from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.studies import StudyOnDisk, image_settings, shape_settings
from tests.helpers.training import task_of

from phenoloom.core.errors import PhenoloomError
from phenoloom.training.dataset import read_training_set


def test_split_all_trains_on_everything(study: StudyOnDisk) -> None:
    data = read_training_set(task_of(image_settings("all")), study.input())
    assert len(data.train) + len(data.validation) == 32


def test_too_few_rows_are_refused_with_their_number(tmp_path: Path) -> None:
    small = StudyOnDisk(tmp_path, wells=4, per_well=1)
    with pytest.raises(PhenoloomError, match="at least 4 tiles outside the test groups of fold-0, found 3"):
        read_training_set(task_of(image_settings()), small.input())


def test_objects_without_a_contour_are_counted_and_left_out(study: StudyOnDisk, tmp_path: Path) -> None:
    table = pq.read_table(study.index)
    extra = table.slice(0, 1).set_column(0, "id", pa.array(["P/W01/0#9999"]))
    extra = extra.set_column(table.schema.get_field_index("well"), "well", pa.array(["W01"]))
    pq.write_table(pa.concat_tables([table, extra]), tmp_path / "index.parquet")
    data = read_training_set(
        task_of(shape_settings("all")), replace(study.input("shapes"), index=tmp_path / "index.parquet")
    )
    assert data.lost == 1
    assert len(data.source) == len(data.table) == 32


def test_the_statistics_are_those_of_the_train_rows_alone(study: StudyOnDisk) -> None:
    data = read_training_set(task_of(image_settings()), study.input())
    assert data.normaliser is not None
    mean = data.table["channel_mean"].iloc[data.train].tolist()
    assert data.normaliser.mean == pytest.approx([sum(row[c] for row in mean) / len(mean) for c in range(2)])
    assert (data.channels, data.points) == (["DNA", "actin"], None)
    contours = read_training_set(task_of(shape_settings()), study.input("shapes"))
    assert (contours.normaliser, contours.channels, contours.points) == (None, None, 32)


def test_other_pixels_and_other_rows_are_other_data(study: StudyOnDisk, tmp_path: Path) -> None:
    settings = image_settings()
    one = read_training_set(task_of(settings), study.input()).fingerprint()
    assert read_training_set(task_of(settings), study.input()).fingerprint() == one
    pq.write_table(pq.read_table(study.index).slice(0, 24), tmp_path / "index.parquet")
    fewer = replace(study.input(), index=tmp_path / "index.parquet")
    assert read_training_set(task_of(settings), fewer).fingerprint() != one
    assert read_training_set(task_of(image_settings("fold-1")), study.input()).fingerprint() != one
