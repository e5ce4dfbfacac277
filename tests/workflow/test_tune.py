"""A search for settings in the plan and in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.helpers.workspace import STUDY, TINY, Workspace, new_workspace, settings_of

from phenoloom.config.search import Range, Tune

SEARCH = {"ranges": {"training.learning_rate": {"low": 0.0001, "high": 0.01, "log": True}}, "trials": 2, "workers": 2}


def searching(**changes: Any) -> dict[str, Any]:
    """A study of one model of shapes that searches for its learning rate."""
    model = {**TINY["models"]["shape-ae"], "tune": {**SEARCH, **changes}}
    representations = {"regionprops": {"descriptors": "regionprops"}, "shape-ae": {"model": "shape-ae"}}
    return {**TINY, "models": {"shape-ae": model}, "representations": representations}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = new_workspace(tmp_path_factory.mktemp("tune") / "work")
    workspace.write_study(searching())
    workspace.snakemake()
    return workspace


def test_each_split_trains_with_what_its_own_search_has_chosen(searched: Workspace) -> None:
    results = searched.folder / "results" / STUDY
    rates = {}
    for split in ("fold-0", "fold-1"):
        chosen = yaml.safe_load((results / "tuning" / "shape-ae" / split / "chosen.yaml").read_text())
        card = yaml.safe_load((results / "models" / "shape-ae" / split / "model.yaml").read_text())
        rates[split] = card["model"]["training"]["learning_rate"]
        assert rates[split] == chosen["settings"]["training.learning_rate"]
        assert card["tuned"] == chosen
        trials = pd.read_csv(results / "tuning" / "shape-ae" / split / "trials.tsv", sep="\t")
        assert trials["slot"].tolist() == [0, 1]
        assert chosen["value"] == pytest.approx(trials["val_loss"].min())
    assert rates["fold-0"] != rates["fold-1"]
    page = (results / "report" / "index.html").read_text()
    assert "Search for settings" in page
    assert "training.learning_rate" in page


def test_nothing_is_searched_again_for_another_number_of_workers_and_all_for_another_range(
    searched: Workspace, tmp_path: Path
) -> None:
    workspace = searched.copy(tmp_path / "work")
    assert workspace.planned() == set()
    workspace.write_study(searching(workers=1))
    planned = workspace.planned()
    assert {"choose", "pretrain:shape-ae"} <= planned
    assert not {"tune", "convert"} & planned
    workspace.write_study(searching(trials=3))
    assert {"tune", "choose", "tune:fold-0", "tune:0", "pretrain:shape-ae", "embed"} <= workspace.planned()


RATE = {"low": 0.0001, "high": 0.01}
CHANGES: dict[str, Any] = {
    "ranges.low": {"ranges": {"training.learning_rate": {**RATE, "low": 0.001}}},
    "ranges.high": {"ranges": {"training.learning_rate": {**RATE, "high": 0.02}}},
    "ranges.log": {"ranges": {"training.learning_rate": {**RATE, "log": True}}},
    "ranges.step": {"ranges": {"training.learning_rate": {**RATE, "step": 0.0001}}},
    "ranges.choices": {"ranges": {"training.learning_rate": {"choices": [0.1, 0.2]}}},
    "trials": {"trials": 7},
    "workers": {"workers": 5},
    "metric": {"metric": "knn_accuracy"},
    "epochs": {"epochs": 9},
    "random_trials": {"random_trials": 2},
    "pruner": {"pruner": "halving"},
    "pruned_after": {"pruned_after": 2},
}


def test_every_key_of_a_search_is_changed_once() -> None:
    inner = {f"ranges.{name}" for name in Range.model_fields}
    assert CHANGES.keys() == (Tune.model_fields.keys() - {"ranges"}) | inner


@pytest.mark.parametrize("key", CHANGES)
def test_a_changed_key_of_a_search_reaches_search_choice_and_training_and_no_other_rule(key: str) -> None:
    before, after = (
        settings_of("shape-ae", {"tune": {"ranges": {"training.learning_rate": RATE}, **changes}})
        for changes in ({}, CHANGES[key])
    )
    reached = set() if key == "workers" else {"tune", "choose", "pretrain"}
    assert {rule for rule in before if before[rule] != after[rule]} == reached


def test_a_model_without_a_search_names_none_in_its_settings() -> None:
    assert '"search":null' in settings_of("shape-ae", {})["pretrain"]


def test_a_model_that_declares_no_search_has_none_in_its_plan(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "work")
    assert not {"tune", "choose"} & workspace.planned("--forceall")
    workspace.write_study({**TINY, "models": {**TINY["models"], **searching()["models"]}})
    planned = workspace.planned()
    assert {"tune:shape-ae", "choose:shape-ae", "pretrain:shape-ae"} <= planned
    assert "pretrain:vqvae-resnet18" not in planned


def test_a_range_that_the_model_does_not_accept_is_refused_with_its_key(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "work")
    workspace.write_study(searching(ranges={"latent": {"low": 1, "high": 8}}))
    done = workspace.snakemake("--dry-run", check=False)
    assert done.returncode != 0
    assert "`tune.ranges.latent` at 1: `latent`" in done.stdout + done.stderr
    workspace.write_study(searching(ranges={"latnet": {"low": 4, "high": 8}}))
    done = workspace.snakemake("--dry-run", check=False)
    assert "unknown key `latnet`; did you mean 'latent'?" in done.stdout + done.stderr
