from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phenoloom.artifacts.inputs import Inputs
from phenoloom.artifacts.jobs import Job, jobs_of
from phenoloom.config import RuleSettings, load_study
from phenoloom.config.run import Config
from phenoloom.config.study import Study

CONFIG = Path(__file__).parents[3] / "config"
DEMO = Path(__file__).with_name("demo_jobs.txt")

SOURCE = {"files": "{image}.tif", "channels": ["a"], "masks": {}, "table": {"path": "labels.csv"}}
BOTH_VIEWS = {"tiles": {"mode": "objects", "size": 32}, "shapes": {"points": 32}, "folds": {"count": 2}}
RESULTS = Path("results/s")


def inputs(name: str = "s", others: dict[str, Study] | None = None, **sections: Any) -> Inputs:
    """Inputs of a study of three shards with tiles and shapes, unless `sections` say otherwise."""
    study = made(**sections)
    return Inputs(RuleSettings(name, study, Config(), CONFIG, {name: study, **(others or {})}))


def made(**sections: Any) -> Study:
    values = {"title": "t", "licence": "l", "shards": 3, "source": SOURCE, **BOTH_VIEWS}
    entries = {"ae": {"model": "shape-ae"}, "vae": {"model": "vqvae-resnet18"}, "raw": {"descriptors": "intensity"}}
    return Study.model_validate({**values, "representations": entries, **sections})


def line(job: Job) -> str:
    files = (" ".join(map(str, paths)) for paths in ([p for ps in job.inputs.values() for p in ps], job.outputs))
    return " | ".join([" ".join([job.rule, *job.values]), *files]).rstrip()


def test_the_jobs_of_the_demo_are_the_listed_ones() -> None:
    jobs = [line(job) for job in jobs_of(RuleSettings("demo", load_study("demo", CONFIG), Config(), CONFIG))]
    assert jobs == DEMO.read_text().splitlines()


def test_every_input_is_an_output_of_another_job_of_the_study() -> None:
    jobs = list(jobs_of(RuleSettings("demo", load_study("demo", CONFIG), Config(), CONFIG)))
    outputs = [path for job in jobs for path in job.outputs]
    assert len(set(outputs)) == len(outputs)
    assert {path for job in jobs for paths in job.inputs.values() for path in paths} <= set(outputs)


def test_no_job_waits_for_one_that_comes_later() -> None:
    made: set[Path] = set()
    for job in jobs_of(RuleSettings("demo", load_study("demo", CONFIG), Config(), CONFIG)):
        assert {path for paths in job.inputs.values() for path in paths} <= made
        made |= set(job.outputs)


def test_a_model_waits_for_stores_that_the_index_was_not_made_from() -> None:
    study = inputs()
    assert study.pretrain("vqvae-resnet18", "fold-0")["stores"] == []
    shards = [RESULTS / "shapes" / f"000{shard}.json" for shard in range(3)]
    assert study.pretrain("shape-ae", "fold-0")["stores"] == shards


def test_raw_images_are_not_tracked_but_the_files_that_name_them_are() -> None:
    root = Path("../shared/data/x")
    study = inputs(source={**SOURCE, "root": "x", "listing": "list.txt"})
    assert study.sheet() == {"raw": [root / "labels.csv", root / "list.txt"]}


def test_labels_of_objects_are_read_between_the_sheet_and_the_index() -> None:
    rows = {"path": "cells.csv", "join": {"image": "i"}, "object": "n", "label": "type"}
    masks = {"files": "{image}_mask.tif"}
    study = inputs(source={**SOURCE, "root": "x", "masks": masks, "objects": rows})
    assert study.objects() == {"sheet": [RESULTS / "sheet.json"], "raw": [Path("../shared/data/x/cells.csv")]}
    assert study.index()["objects"] == [RESULTS / "objects.json"]
    assert study.options("index", {}) == ["--objects", "results/s/objects.json"]
    # A changed label is no reason to convert again.
    assert study.convert("0000") == {"sheet": [RESULTS / "sheet.json"]}
    assert [job.rule for job in jobs_of(study.settings)][:2] == ["sheet", "objects"]
    assert "objects" not in inputs().index()
    located = {"path": "cells.csv", "join": {"image": "i"}, "x": "X", "y": "Y", "label": "type"}
    by_point = inputs(source={**SOURCE, "objects": located})
    assert by_point.convert("0000") == {"sheet": [RESULTS / "sheet.json"], "objects": [RESULTS / "objects.json"]}
    assert by_point.options("convert", {"shard": "0000"}) == ["--objects", "results/s/objects.json"]
    # Contours come from tiles, which know which points lie in them.
    assert by_point.contours("0000") == {"tiles": [RESULTS / "tiles/0000.json"]}


def test_an_embedding_names_what_it_is_computed_from_in_its_options() -> None:
    entries = {"ae": {"model": "shape-ae"}, "p": {"descriptors": "regionprops"}, "both": {"concatenate": ["ae", "p"]}}
    study = inputs(representations=entries)
    card = RESULTS / "models/shape-ae/fold-1/model.yaml"
    wildcards = {"split": "fold-1"}
    options = [study.options("embed", {"representation": name, **wildcards}) for name in ("ae", "both")]
    assert options[0] == ["--model", str(card), "--stores", "results/s/shapes"]
    assert options[1] == ["--parts", "results/s/embeddings/ae/fold-1.parquet", "results/s/embeddings/p/all.parquet"]
    tables = [f"results/s/descriptors/000{shard}.parquet" for shard in range(3)]
    assert study.options("embed", {"representation": "p", "split": "all"}) == ["--descriptors", *tables]


def test_a_training_on_several_studies_waits_for_their_folds_and_names_them() -> None:
    entries = {"ae": {"model": "shape-ae", "trained_on": ["s", "other"]}}
    study = inputs(representations=entries, others={"other": made(shards=1)})
    encoder = "shape-ae.on-other_s"
    other = Path("results/other")
    files = study.pretrain(encoder, "fold-0")
    assert files["other_tables"] == [other / "index.parquet", other / "folds.parquet"]
    assert files["other_manifests"] == [other / "folds.json", other / "shapes" / "0000.json"]
    assert study.options("pretrain", {"model": encoder, "split": "fold-0"}) == [
        *("--also", "other", "results/other/index.parquet", "results/other/folds.parquet", "results/other/shapes")
    ]


def test_a_search_comes_before_its_training() -> None:
    search = {"ranges": {"latent": {"low": 8, "high": 64}}, "trials": 4, "workers": 2}
    study = inputs(models={"shape-ae": {"tune": search}})
    chosen = RESULTS / "tuning/shape-ae/fold-0/chosen.yaml"
    workers = [RESULTS / "tuning/shape-ae/fold-0" / f"worker-{number}.json" for number in range(2)]
    assert study.choose("shape-ae", "fold-0") == {"workers": workers}
    assert study.pretrain("shape-ae", "fold-0")["chosen"] == [chosen]
    assert "chosen" not in study.pretrain("vqvae-resnet18", "fold-0")


@pytest.mark.parametrize("embedded", [True, False])
def test_the_report_waits_for_contours_that_nothing_else_is_made_from(embedded: bool) -> None:
    entries = {"raw": {"descriptors": "intensity"}} | ({"ae": {"model": "shape-ae"}} if embedded else {})
    (paths,) = inputs(representations=entries).report().values()
    assert (RESULTS / "shapes" / "0000.json" in paths) is not embedded


def test_contours_come_from_tiles_where_there_are_tiles() -> None:
    assert inputs().options("contours", {"shard": "0001"}) == ["--tiles", "results/s/tiles/0001.json"]
    masks = {"files": "{image}.tif", "masks": {"files": "{image}.png"}}
    alone = inputs(tiles=None, source=masks, representations={"ae": {"model": "shape-ae"}})
    assert alone.contours("0001") == {"sheet": [RESULTS / "sheet.json"]}
    assert alone.options("contours", {"shard": "0001"}) == []
