"""Studies that are tested with each other's encoders and probes: what is planned, what runs, and what runs again."""

from __future__ import annotations

import copy
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.helpers.jobs import count_jobs
from tests.helpers.workspace import STUDY, TINY, Workspace, new_workspace

from phenoloom.config import load_study
from phenoloom.evaluation.scores import read_scores

MODEL = "vqvae-resnet18"
REPORT = {"report", "overview"}


def studies() -> dict[str, dict[str, Any]]:
    """The tiny study in two folds, and another one in three, with channels in another order; each names the other."""
    own: dict[str, Any] = copy.deepcopy(TINY)
    own |= {"shards": 1, "transfer": ["foreign"], "models": {MODEL: own["models"][MODEL]}}
    own["representations"] = {
        "vqvae": {"model": MODEL},
        "vqvae-untrained": {"model": MODEL, "untrained": True},
        "regionprops": {"descriptors": "regionprops"},
        "both": {"concatenate": ["vqvae", "regionprops"]},
        "intensity": {"descriptors": "intensity"},
    }
    own["shapes"] = {"points": 32}
    foreign = copy.deepcopy(own)
    foreign |= {"seed": 1, "tiles": {"mode": "objects", "size": 72}, "transfer": [STUDY]}
    foreign["folds"]["count"] = 3
    foreign["source"]["channels"] = dict(reversed(own["source"]["channels"].items()))
    foreign["models"][MODEL]["width"] = 8
    del foreign["representations"]["intensity"]
    return {STUDY: own, "foreign": foreign}


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = new_workspace(tmp_path_factory.mktemp("transfer") / "work")
    workspace.write_studies(studies(), [STUDY])
    done = workspace.snakemake("--dry-run")
    found = {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)}
    read = {name: load_study(name, workspace.folder / "config") for name in studies()}
    expected = count_jobs(STUDY, read[STUDY], workspace.folder / "config", read) | Counter(all=1, overview=1)
    for rule in ("simulate", "sheet", "convert", "contours", "index", "describe", "folds"):
        expected[rule] += 1
    # Of the other study: an encoder and a table of vectors a fold, of one representation a table for all folds.
    expected["pretrain"] += 3
    expected["embed"] += 3 + 3 + 1 + 3
    assert expected["transfer_embed"] == 9
    assert expected["transfer"] == 4
    assert found == expected | {"total": sum(expected.values())}
    workspace.snakemake()
    return workspace


def test_the_other_study_is_made_as_far_as_its_encoders_and_train_vectors_need_it(tested: Workspace) -> None:
    made = {path.name for path in (tested.folder / "results" / "foreign").iterdir()}
    assert {"models", "embeddings", "folds.parquet"} <= made
    assert not made & {"scores", "scores.parquet", "report", "transfer", "embeddings.h5ad"}


def test_all_units_are_tested_once_a_fold_of_the_other_study_by_its_own_encoder(tested: Workspace) -> None:
    results = tested.folder / "results" / STUDY
    folds = pq.read_table(results / "folds.parquet").to_pandas()
    labelled = int((folds["fold"] >= 0).sum())
    for name in ("vqvae", "vqvae-untrained", "regionprops", "both"):
        scores, facts = read_scores(results / "transfer" / "foreign" / f"{name}.parquet")
        units = scores[(scores["metric"] == "units_test") & (scores["probe"] == "dummy")]
        assert units["fold"].tolist() == [0, 1, 2]
        assert set(units["value"]) == {labelled}
        assert facts["copies"] == 0
        assert facts["left_out"] == {}
    for fold in range(3):
        vectors = pq.read_table(results / "transfer" / "foreign" / "embeddings" / "both" / f"fold-{fold}.parquet")
        assert set(vectors["Metadata_role"].to_pylist()) == {"new"}
        assert set(vectors["Metadata_study"].to_pylist()) == {STUDY}
    page = (results / "report" / "index.html").read_text()
    assert "Trained on foreign" in page
    assert "intensity (not declared there)" in page


def test_a_second_run_has_nothing_to_do_and_words_about_the_other_study_change_its_title_only(
    tested: Workspace, tmp_path: Path
) -> None:
    workspace = tested.copy(tmp_path / "work")
    assert workspace.planned() == set()
    files = studies()
    files["foreign"]["title"] = "Another title"
    workspace.write_studies(files, [STUDY])
    assert workspace.planned() == REPORT


def test_other_folds_of_the_other_study_test_again_and_score_nothing_of_this_one(
    tested: Workspace, tmp_path: Path
) -> None:
    workspace = tested.copy(tmp_path / "work")
    files = studies()
    files["foreign"]["folds"]["group"] = "image"
    workspace.write_studies(files, [STUDY])
    planned = workspace.planned()
    rules = {job for job in planned if ":" not in job}
    assert rules == {"folds", "pretrain", "embed", "transfer_embed", "transfer"} | REPORT
    # This study has no third fold and its own vectors of intensities.
    assert {"pretrain:fold-2", "transfer_embed:fold-2", "transfer:regionprops"} <= planned
    assert "embed:intensity" not in planned


def test_another_probe_of_this_study_fits_it_on_the_other_one_too_and_embeds_nothing(
    tested: Workspace, tmp_path: Path
) -> None:
    workspace = tested.copy(tmp_path / "work")
    files = studies()
    files[STUDY]["classify"]["neighbours"] = 3
    workspace.write_studies(files, [STUDY])
    rules = {job for job in workspace.planned() if ":" not in job}
    assert rules == {"classify", "audit", "compare", "transfer"} | REPORT


def test_a_source_that_does_not_fit_stops_the_plan_with_a_sentence(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "work")
    files = studies()
    files["foreign"]["classify"]["unit"] = "image"
    workspace.write_studies(files, [STUDY])
    done = workspace.snakemake("--dry-run", check=False)
    assert done.returncode
    assert "`classify.unit` is object here and image there" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
