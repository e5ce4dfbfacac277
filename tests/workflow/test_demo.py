"""The demo study, whole: its truth is known, so its report can be checked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.helpers.workspace import Workspace

from phenoloom.artifacts.manifest import read_manifest

pytestmark = pytest.mark.slow


@pytest.fixture
def demo(finished_demo: Workspace) -> Path:
    """Results of the demo study as the project configures it."""
    return finished_demo.folder / "results" / "demo"


def mean_macro_f1(demo: Path) -> pd.Series:
    """Mean over folds by (representation, probe)."""
    rows = pd.read_parquet(demo / "comparisons.parquet")
    rows = rows[(rows["kind"] == "mean") & (rows["metric"] == "macro_f1")]
    return rows.set_index(["representation", "probe"])["value"]


def test_phenotypes_are_found_far_above_the_dummy_by_pixels_and_above_it_by_shape(demo: Path) -> None:
    scores = mean_macro_f1(demo)
    dummy = scores["vqvae", "dummy"]
    assert dummy < 0.15
    assert scores["vqvae", "logistic"] > dummy + 0.4
    assert scores["shape-ae", "logistic"] > dummy + 0.2
    assert scores["regionprops", "forest"] > dummy + 0.2


def test_what_the_image_model_learns_from_pixels_alone_beats_its_untrained_encoder_by_every_probe(demo: Path) -> None:
    scores = mean_macro_f1(demo)
    for probe in ("knn", "logistic", "forest"):
        assert scores["vqvae", probe] > scores["vqvae-untrained", probe] + 0.02


def test_shape_is_the_phenotype_that_outlines_see_and_mean_intensities_do_not_distinguish_phenotypes(
    demo: Path,
) -> None:
    scores = pd.read_parquet(demo / "scores.parquet")
    rows = scores[(scores["metric"] == "f1") & (scores["probe"] == "logistic")]
    by_class = rows.groupby(["representation", "class"])["value"].mean()
    assert by_class["regionprops"].idxmax() == "shape"
    assert by_class["regionprops", "shape"] > 0.8
    assert mean_macro_f1(demo)["intensity", "logistic"] < mean_macro_f1(demo)["vqvae", "logistic"] - 0.2


def test_shuffled_labels_score_at_chance_for_every_representation(demo: Path) -> None:
    scores = mean_macro_f1(demo)
    shuffled = scores[scores.index.get_level_values("probe") == "logistic-shuffled"]
    assert len(shuffled) == 10
    # Four classes; labels are dealt between 32 wells, so a single study strays around a quarter.
    assert shuffled.between(0.1, 0.35).all()


def test_the_damaged_files_and_no_others_are_listed_with_their_reasons_in_the_report(demo: Path) -> None:
    damaged = read_manifest(demo / "raw" / "simulate.json")["damaged"]
    quarantine = pd.read_csv(demo / "quarantine.tsv", sep="\t", dtype=str)
    page = (demo / "report" / "index.html").read_text()
    assert len(damaged) == len(quarantine) == 3
    for file, (listed, reason) in zip(
        sorted(damaged), sorted(zip(quarantine["file"], quarantine["reason"], strict=True)), strict=True
    ):
        assert file in listed
        assert file.rsplit("/", 1)[-1] in page
        assert len(reason) > 20


def test_most_simulated_cells_are_found_and_carry_the_phenotype_of_their_well(demo: Path) -> None:
    truth = pd.read_parquet(demo / "raw" / "truth.parquet")
    index = pd.read_parquet(demo / "index.parquet")
    phenotype = truth.groupby(["plate", "well"])["phenotype"].first()
    found = index.groupby(["plate", "well"])["label"].agg(["nunique", "first"])
    assert (found["nunique"] == 1).all()
    assert found["first"].to_dict() == phenotype.to_dict()
    assert len(index) > 0.85 * len(truth)


def test_encoders_of_a_fold_have_not_seen_its_wells(demo: Path) -> None:
    folds = pd.read_parquet(demo / "folds.parquet").set_index("id")
    for fold in range(4):
        rows = pd.read_parquet(demo / "embeddings" / "vqvae" / f"fold-{fold}.parquet")
        tested = set(folds.loc[folds["fold"] == fold, "group"])
        role = rows["Metadata_group"].isin(tested).map({True: "test", False: "train"})
        assert (rows["Metadata_role"] == role).all()
        card = yaml.safe_load((demo / "models" / "vqvae-resnet18" / f"fold-{fold}" / "model.yaml").read_text())
        assert card["train_rows"] + card["validation_rows"] == int((role == "train").sum())


def test_a_workspace_of_the_demo_has_nothing_to_do_after_its_run(demo: Path) -> None:
    assert Workspace(demo.parents[1]).planned() == set()
