from __future__ import annotations

from pathlib import Path

import pytest

from phenoloom.artifacts.layout import ResultsFolder, StudyFolder


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_names_that_are_wildcards_give_patterns() -> None:
    folder = StudyFolder(Path("results/{study}"))
    assert str(folder.tiles.manifest("{shard}")) == "results/{study}/tiles/{shard}.json"
    assert str(folder.model("{model}", "{split}").card) == "results/{study}/models/{model}/{split}/model.yaml"
    assert str(folder.log("tune", ("{model}", "{split}"))) == "results/logs/{study}/tune/{model}-{split}.log"


def test_a_job_without_wildcards_of_its_own_has_a_log_named_like_its_rule() -> None:
    folder = StudyFolder(Path("results/demo"))
    assert folder.log("sheet") == Path("results/logs/demo/sheet.log")
    assert folder.benchmark("sheet") == Path("results/benchmarks/demo/sheet/all.tsv")


def test_only_what_exists_is_listed(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path).study("demo")
    assert folder.models() == folder.searches() == folder.transfers() == folder.tiles.manifests() == []
    put(folder.model("b", "fold-0").card)
    put(folder.model("a", "all").card)
    put(folder.model("a", "fold-1").weights)  # a training that has not finished has no card
    assert [(model.model, model.split) for model in folder.models()] == [("a", "all"), ("b", "fold-0")]
    put(folder.shapes.manifest("0001"))
    assert folder.shapes.stores() == {"0001": tmp_path / "demo" / "shapes" / "0001.zarr"}
    put(folder.transfer("other").scores("vqvae"))
    put(folder.transfer("other").embeddings.table("vqvae", "fold-0"))
    (found,) = folder.transfers()
    assert found.tables() == [tmp_path / "demo" / "transfer" / "other" / "vqvae.parquet"]
    assert [path.stem for path in found.embeddings.tables()] == ["fold-0"]


def test_a_study_is_listed_with_its_benchmarks_and_its_sheet(tmp_path: Path) -> None:
    results = ResultsFolder(tmp_path)
    put(results.study("done").benchmark("sheet"))
    put(results.study("done").sheet_manifest)
    put(results.study("gone").benchmark("sheet"))
    put(results.study("foreign").sheet_manifest)
    assert [folder.name for folder in results.studies()] == ["done"]


def test_a_study_has_two_views_only() -> None:
    with pytest.raises(KeyError):
        StudyFolder(Path("demo")).view("pixels")
