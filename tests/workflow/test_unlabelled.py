"""A study without labels, from images to the report and to vectors of new images."""

from __future__ import annotations

import copy
from pathlib import Path

import anndata
import pandas as pd
import pytest
from tests.helpers.workspace import STUDY, TINY, new_workspace

from phenoloom.cli.main import main
from phenoloom.evaluation.scores import read_scores

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the tiny study without its table."""
    workspace = new_workspace(tmp_path_factory.mktemp("unlabelled") / "work")
    study = copy.deepcopy(TINY)
    del study["source"]["table"], study["source"]["columns"]
    study["representations"] = {name: study["representations"][name] for name in ("intensity", "vqvae", "shape-ae")}
    workspace.write_study(study)
    workspace.snakemake()
    return workspace.folder / "results" / STUDY


def test_each_encoder_is_trained_on_other_groups_than_those_of_its_fold(results: Path) -> None:
    folds = pd.read_parquet(results / "folds.parquet").set_index("id")
    assert folds["label"].isna().all()
    assert set(folds["fold"]) == {0, 1}
    for fold in range(2):
        rows = pd.read_parquet(results / "embeddings" / "vqvae" / f"fold-{fold}.parquet").set_index("Metadata_id")
        roles = folds["fold"].reindex(rows.index).eq(fold).map({True: "test", False: "train"})
        assert rows["Metadata_role"].tolist() == roles.tolist()


def test_all_vectors_and_maps_are_collected_and_there_are_no_scores(results: Path) -> None:
    collected = anndata.read_h5ad(results / "embeddings.h5ad")
    assert {"intensity.map", "vqvae.map", "shape-ae.map", "vqvae.fold-1"} <= set(collected.obsm)
    for name in ("scores", "comparisons", "audit", "scores/vqvae"):
        rows, facts = read_scores(results / f"{name}.parquet")
        assert rows.empty
        assert facts["unscored"].startswith("no object has a label")


def test_the_report_says_in_a_sentence_which_key_names_the_labels(results: Path) -> None:
    page = (results / "report" / "index.html").read_text()
    assert "This study has no scores: no object has a label; to get scores, name the column of labels" in page
    assert "source.columns.label" in page
    assert 'id="maps"' in page
    assert 'id="models"' in page
    assert 'id="errors"' not in page
    assert "no scores" in (results.parent / "index.html").read_text()


def test_its_models_embed_new_images(results: Path, tmp_path: Path) -> None:
    command = [
        "apply",
        "--model",
        str(results / "models" / "vqvae-resnet18" / "fold-0"),
        "--images",
        str(results / "raw"),
    ]
    command += ["--files", TINY["source"]["files"], "--max-rejected-fraction", "0.5"]
    command += ["--channels", *(f"{name}={text}" for name, text in TINY["source"]["channels"].items())]
    assert main([*command, "--output", str(tmp_path / "new.parquet")]) == 0
    found = pd.read_parquet(tmp_path / "new.parquet")
    own = pd.read_parquet(results / "embeddings" / "vqvae" / "fold-0.parquet")
    assert len(found) == len(own)
