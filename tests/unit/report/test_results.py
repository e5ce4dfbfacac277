from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.helpers.report_results import ReportedStudy, read_results

from phenoloom.core.errors import PhenoloomError
from phenoloom.report.results import read_table


def test_an_empty_folder_has_nothing_and_raises_nothing(tmp_path: Path) -> None:
    results = read_results(tmp_path / "study", tmp_path / "benchmarks")
    tables = (results.sheet, results.index, results.split, results.scores, results.comparisons, results.quarantine)
    assert tables == (None,) * 6
    assert (results.image_count, results.maps, results.benchmarks) == (None, None, None)
    assert (results.manifests, results.models, results.channels, results.fold_facts) == ({}, [], [], {})
    assert results.shape_spaces(["shape-ae"]) == []
    assert results.transferred("elsewhere", ["shape-ae"]) is None
    assert results.gpu_usage == {"pretrain": [], "embed": []}


def test_a_damaged_table_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    path.write_text("not a table")
    with pytest.raises(
        PhenoloomError,
        match=r"scores\.parquet is damaged or .*: its step, `compare`",
    ):
        read_table(path)


def test_only_the_columns_that_a_table_has_are_read(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a"], "well": ["B03"], "secret": [1]}).to_parquet(tmp_path / "index.parquet")
    table = read_table(tmp_path / "index.parquet", ["well", "id", "plate"])
    assert table is not None
    assert list(table.columns) == ["id", "well"]


def test_images_in_quarantine_are_images_of_the_study(study: ReportedStudy) -> None:
    assert study.results.image_count == 27
    assert study.results.quarantine is not None
    assert len(study.results.quarantine) == 3


def test_curves_have_the_throughput_of_their_epochs(tmp_path: Path) -> None:
    folder = tmp_path / "study" / "models" / "vae" / "fold-0"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(yaml.safe_dump({"precision": "bf16"}))
    pd.DataFrame({"epoch": [0, 1], "val_loss": [2.0, 1.0]}).to_csv(folder / "metrics.csv", index=False)
    pd.DataFrame({"epoch": [1], "items_per_second": [900.0]}).to_csv(folder / "throughput.csv", index=False)
    (trained,) = read_results(tmp_path / "study", tmp_path).models
    assert (trained.model, trained.split, trained.card, trained.reconstructions) == (
        "vae",
        "fold-0",
        {"precision": "bf16"},
        None,
    )
    assert trained.metrics is not None
    assert trained.metrics["val_loss"].tolist() == [2.0, 1.0]
    assert trained.metrics["items_per_second"].tolist()[1] == 900
    assert trained.metrics["items_per_second"].isna().tolist() == [True, False]


def test_a_shape_space_is_that_of_the_first_split_of_each_representation(study: ReportedStudy) -> None:
    (space,) = study.results.shape_spaces(["vqvae", "shape-ae"])
    assert (space.representation, space.split) == ("shape-ae", "fold-0")
    assert "mode_outlines" in space.arrays


def test_gpu_usage_is_read_by_rule(tmp_path: Path) -> None:
    model = tmp_path / "study" / "models" / "vae" / "fold-0"
    vectors = tmp_path / "study" / "embeddings" / "vae"
    for folder in (model, vectors):
        folder.mkdir(parents=True)
    (model / "model.yaml").write_text("{}")
    (model / "device.json").write_text(json.dumps({"busy": 0.5}))
    (vectors / "fold-0.device.json").write_text(json.dumps({"busy": 0.25}))
    usage = read_results(tmp_path / "study", tmp_path).gpu_usage
    assert usage == {"pretrain": [{"busy": 0.5}], "embed": [{"busy": 0.25}]}
