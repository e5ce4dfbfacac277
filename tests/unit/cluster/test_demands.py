from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.manifests import put_manifest

from phenoloom.artifacts.inputs import Inputs
from phenoloom.cluster.demands import (
    CONTOURS_MB,
    EMBEDDINGS_A_JOB,
    MANY_VECTORS_MB,
    SHARDS_A_GROUP,
    Growing,
    embedding_group,
    embeds_beside_others,
    image_mb,
    preparation_group,
    probe_threads,
    split_group,
)
from phenoloom.config import RuleSettings, load_study
from phenoloom.config.rule_settings import IndexSettings
from phenoloom.config.run import Config
from phenoloom.config.study import Study

CONFIG = Path(__file__).parents[3] / "config"


def file_of(path: Path, megabytes: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(round(megabytes * 1e6))
    return path


def demo(**changes: object) -> Study:
    return load_study("demo", CONFIG).model_copy(update=changes)


def inputs(study: Study) -> Inputs:
    return Inputs(RuleSettings("demo", study, Config(), CONFIG))


def test_amounts_grow_with_what_is_read_and_double_with_each_attempt(tmp_path: Path) -> None:
    paths = [file_of(tmp_path / name, size) for name, size in (("a", 3), ("b", 5))]
    file_of(tmp_path / "s" / "index", 2)
    table = str(tmp_path / "{study}" / "index")
    assert Growing(100).amount("s", paths, 1) == 100
    assert Growing(100).amount("s", paths, 3) == 400
    assert Growing(100, 10).amount("s", paths, 1) == 100 + 10 * 8
    assert Growing(100, 10, (table,)).amount("s", paths, 2) == 2 * (100 + 10 * (8 + 2))
    assert Growing(100, 10, inputs=max).amount("s", paths, 1) == 100 + 10 * 5
    assert Growing(100, 10, (table,), inputs=None).amount("s", paths, 1) == 100 + 10 * 2


def test_files_that_another_job_of_the_group_makes_count_as_nothing(tmp_path: Path) -> None:
    assert Growing(100, 10).amount("s", [tmp_path / "none"], 1) == 100
    assert Growing(100, 10, inputs=max).amount("s", [], 1) == 100


def test_probes_have_a_thread_a_fold_only_where_there_is_work(tmp_path: Path) -> None:
    small, large = file_of(tmp_path / "a", MANY_VECTORS_MB), file_of(tmp_path / "b", MANY_VECTORS_MB + 1)
    assert (probe_threads(5, [small]), probe_threads(5, [large])) == (1, 5)


def test_a_study_of_one_shard_is_prepared_in_one_group() -> None:
    assert preparation_group(demo(shards=1), "outlines") == "prepare"
    # The sheet says how much memory images need, so it is made before the job with them is submitted.
    own = demo(shards=1)
    own = own.model_copy(update={"source": own.source.model_copy(update={"simulate": None})})
    assert preparation_group(own, None) == "convert"
    assert preparation_group(demo(shards=2), "outlines") == "outlines"
    assert preparation_group(demo(shards=2), None) is None


@pytest.mark.parametrize(("shards", "group"), [(1, "prepare"), (SHARDS_A_GROUP, "split"), (SHARDS_A_GROUP + 1, None)])
def test_index_and_folds_are_one_job_unless_there_are_many_shards(shards: int, group: str | None) -> None:
    assert split_group(demo(shards=shards)) == group


def test_what_is_embedded_in_seconds_shares_a_job_with_its_probes() -> None:
    study = inputs(demo())
    groups = {name: embedding_group(study, name) for name in ("regionprops", "shape-ae", "vqvae")}
    assert groups == {"regionprops": "probe", "shape-ae": "probe", "vqvae": None}
    assert embedding_group(inputs(demo(shards=SHARDS_A_GROUP + 1)), "regionprops") is None
    assert embeds_beside_others(study, "shape-ae")
    assert not embeds_beside_others(study, "regionprops")  # a table for all folds
    assert not embeds_beside_others(study, "vqvae")


def test_more_folds_than_a_job_may_hold_are_jobs_of_their_own() -> None:
    folds = demo().folds.model_copy(update={"count": EMBEDDINGS_A_JOB + 1})
    assert embedding_group(inputs(demo(folds=folds)), "shape-ae") is None


def test_conversion_asks_for_the_largest_image_of_its_shard_once_the_sheet_is_made(tmp_path: Path) -> None:
    manifest = tmp_path / "sheet.json"
    study = demo(shards=2)
    assert image_mb(study, "convert", manifest, "0000", 2) == 800
    put_manifest(
        manifest,
        "sheet",
        IndexSettings(algorithm=1, study="s"),
        largest_image={"0000": [1728.0, 576.0], "0001": [1.0, 1.0]},
    )
    assert image_mb(study, "convert", manifest, "0000", 2) > 20_000
    assert image_mb(study, "convert", manifest, "0001", 2) == 800
    assert image_mb(study, "contours", manifest, "0000", 2) == CONTOURS_MB  # from the masks of tiles
    alone = study.model_copy(update={"tiles": None})
    assert image_mb(alone, "contours", manifest, "0000", 2) > CONTOURS_MB + 20_000
