"""Models trained on several studies: what is planned, what runs, what runs again, and what the report says of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.helpers.workspace import STUDY, TINY, Workspace, new_workspace

from phenoloom.evaluation.audit import AUDITED
from phenoloom.models.checkpoint import read_card

MODEL = "vqvae-resnet18"
SET = {"names": ["DNA", "cell body", "protein"], "aliases": {"nucleus": "DNA"}}


def studies() -> dict[str, dict[str, Any]]:
    """The tiny study, and one of other channels that is only trained on; their plates are called alike."""
    own: dict[str, Any] = copy.deepcopy(TINY)
    own["models"] = {MODEL: own["models"][MODEL] | {"channels": SET}}
    own["representations"] = {
        "vqvae": {"model": MODEL},
        "mixed": {"model": MODEL, "trained_on": [STUDY, "foreign"], "shared_groups": "keep"},
        "foreign": {"model": MODEL, "trained_on": ["foreign"], "shared_groups": "keep"},
    }
    foreign: dict[str, Any] = copy.deepcopy(TINY)
    foreign |= {"seed": 1, "shards": 1, "tiles": {"mode": "objects", "size": 72}}
    foreign["source"]["channels"] = {"cell body": "body", "nucleus": "dna"}
    foreign["representations"] = {"intensity": {"descriptors": "intensity"}}
    del foreign["models"]
    return {STUDY: own, "foreign": foreign}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = new_workspace(tmp_path_factory.mktemp("mixture") / "work")
    workspace.write_studies(studies(), [STUDY])
    workspace.snakemake()
    return workspace


def test_a_study_that_is_only_trained_on_is_made_as_far_as_training_needs_it(trained: Workspace) -> None:
    results = trained.folder / "results"
    made = {path.relative_to(results / "foreign").parts[0] for path in (results / "foreign").iterdir()}
    assert {"index.parquet", "folds.parquet", "tiles"} <= made
    assert not made & {"models", "embeddings", "scores", "report", "shapes"}
    models = {path.parent.name + "/" + path.name for path in (results / STUDY / "models").glob("*/*")}
    mixed, foreign = f"{MODEL}.on-foreign_{STUDY}", f"{MODEL}.on-foreign"
    assert models == {f"{MODEL}/fold-0", f"{MODEL}/fold-1", f"{mixed}/fold-0", f"{mixed}/fold-1", f"{foreign}/all"}
    card = read_card(results / STUDY / "models" / mixed / "fold-0")
    assert card.inputs == SET["names"]
    assert card.studies is not None
    assert [(part.study, part.share) for part in card.studies] == [("foreign", 0.5), (STUDY, 0.5)]


def test_every_representation_has_a_table_a_fold_and_scores_of_unseen_groups(trained: Workspace) -> None:
    results = trained.folder / "results" / STUDY
    for name in ("vqvae", "mixed", "foreign"):
        for fold in range(2):
            roles = pq.read_table(results / "embeddings" / name / f"fold-{fold}.parquet")["Metadata_role"]
            assert set(roles.to_pylist()) >= {"train", "test"}
    scores = pq.read_table(results / "scores.parquet").to_pandas()
    assert set(scores["representation"]) - set(AUDITED) == {"vqvae", "mixed", "foreign"}
    page = (results / "report" / "index.html").read_text()
    assert "Training data of the encoders" in page
    assert "foreign" in page


def test_a_second_run_has_nothing_to_do_and_words_about_the_other_study_change_nothing(
    trained: Workspace, tmp_path: Path
) -> None:
    workspace = trained.copy(tmp_path / "work")
    assert workspace.planned() == set()
    files = studies()
    files["foreign"] |= {"title": "Another title", "folds": {"count": 2, "group": "well"}}
    files["foreign"]["representations"]["more"] = {"descriptors": "regionprops"}
    workspace.write_studies(files, [STUDY])
    assert workspace.planned() == set()


def test_other_tiles_of_the_other_study_train_what_has_seen_them_again(trained: Workspace, tmp_path: Path) -> None:
    workspace = trained.copy(tmp_path / "work")
    files = studies()
    files["foreign"]["tiles"]["size"] = 64
    workspace.write_studies(files, [STUDY])
    planned = workspace.planned()
    assert {job for job in planned if job.startswith("pretrain:") and "on" in job} == {
        f"pretrain:{MODEL}.on-foreign",
        f"pretrain:{MODEL}.on-foreign_{STUDY}",
    }
    assert f"pretrain:{MODEL}" not in planned
    assert not any(job.startswith("embed:vqvae") for job in planned)


def test_another_balance_trains_what_has_seen_several_studies_again(trained: Workspace, tmp_path: Path) -> None:
    workspace = trained.copy(tmp_path / "work")
    files = studies()
    files[STUDY]["models"][MODEL]["training"] |= {"balance": {"weights": {"foreign": 2}}}
    workspace.write_studies(files, [STUDY])
    planned = workspace.planned()
    assert f"pretrain:{MODEL}.on-foreign" in planned
    assert f"pretrain:{MODEL}" not in planned


def test_a_study_that_is_not_there_or_lacks_the_view_stops_the_plan_with_a_sentence(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "work")
    for change, sentence in (
        (lambda own, foreign: own["mixed"].update(trained_on=["foriegn"]), "did you mean 'foreign'?"),
        (lambda own, foreign: foreign.pop("tiles"), "is trained on the `tiles` of foreign, which has none"),
        (lambda own, foreign: own["foreign"].update(transductive=True), "remove `transductive`"),
    ):
        files = studies()
        foreign = files["foreign"]
        change(files[STUDY]["representations"], foreign)
        if "tiles" not in foreign:
            foreign["representations"] = {"regionprops": {"descriptors": "regionprops"}}
            foreign["source"]["masks"] = {"files": "{plate}/{well}_s{field}_mask.tif"}
        workspace.write_studies(files, [STUDY])
        done = workspace.snakemake("--dry-run", check=False)
        assert done.returncode
        assert sentence in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
