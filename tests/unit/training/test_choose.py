from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import TrialState, create_trial
from tests.helpers.studies import StudyOnDisk, shape_settings
from tests.helpers.training import task_of

from phenoloom.config.search import Range, Tune
from phenoloom.core.errors import PhenoloomError
from phenoloom.models.checkpoint import read_card
from phenoloom.training.choose import choose, chosen_settings
from phenoloom.training.pretrain import pretrain
from phenoloom.training.tune import EPOCHS, REASON, SLOT, distribution, open_journal

RATE = "training.learning_rate"
TUNE = Tune(ranges={RATE: Range(low=0.001, high=0.1)}, trials=3)


def searched(folder: Path, values: Sequence[float | None], tune: Tune = TUNE) -> list[Path]:
    """The file of one worker, whose slots have ended with these values; None: the training failed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = open_journal(folder / "journal.log", tune)
    for slot, value in enumerate(values):
        ended = {"state": TrialState.FAIL} if value is None else {"state": TrialState.COMPLETE, "value": value}
        why = {REASON: "The loss is not finite"} if value is None else {EPOCHS: 2}
        params, drawn = {RATE: 0.01 * (slot + 1)}, {RATE: distribution(tune.ranges[RATE])}
        journal.add_trial(create_trial(params=params, distributions=drawn, user_attrs={SLOT: slot, **why}, **ended))
    worker = folder / "worker-0.json"
    worker.write_text(json.dumps({"journal": "journal.log"}))
    return [worker]


@pytest.mark.parametrize(
    ("metric", "values", "slot"),
    [("val_loss", [2.0, 1.0, 1.0], 1), ("knn_accuracy", [0.5, 0.9, 0.2], 1), ("val_loss", [None, 3.0, 2.0], 2)],
)
def test_the_best_value_is_chosen_and_of_equal_ones_the_first_slots(
    metric: str, values: list[float | None], slot: int, tmp_path: Path
) -> None:
    tune = TUNE.model_copy(update={"metric": metric})
    choose(tune, searched(tmp_path, values, tune), tmp_path / "trials.tsv", tmp_path / "chosen.yaml")
    chosen = yaml.safe_load((tmp_path / "chosen.yaml").read_text())
    assert chosen == {"metric": metric, "value": values[slot], "trials": 3, "settings": {RATE: 0.01 * (slot + 1)}}
    rows = [line.split("\t") for line in (tmp_path / "trials.tsv").read_text().splitlines()]
    assert rows[0] == ["slot", "state", metric, "epochs", RATE, "reason"]
    assert [row[2] for row in rows[1:]] == ["" if value is None else repr(value) for value in values]


def test_a_search_that_is_not_finished_or_in_vain_chooses_nothing(tmp_path: Path) -> None:
    files = tmp_path / "trials.tsv", tmp_path / "chosen.yaml"
    (tmp_path / "some").mkdir()
    with pytest.raises(PhenoloomError, match=r"1 of 3 trials in .* are not finished"):
        choose(TUNE, searched(tmp_path / "some", [1.0, 2.0]), *files)
    (tmp_path / "none").mkdir()
    with pytest.raises(PhenoloomError, match=r"None of 3 trials was finished \(The loss is not finite\)"):
        choose(TUNE, searched(tmp_path / "none", [None] * 3), *files)
    assert not files[1].exists()


def test_workers_of_different_data_are_refused(tmp_path: Path) -> None:
    workers = searched(tmp_path, [1.0, 2.0, 3.0])
    other = tmp_path / "worker-1.json"
    other.write_text(json.dumps({"journal": "another.log"}))
    with pytest.raises(PhenoloomError, match="searched on other data or settings than each other"):
        choose(TUNE, [*workers, other], tmp_path / "trials.tsv", tmp_path / "chosen.yaml")


def test_training_takes_what_was_chosen_and_says_so(study: StudyOnDisk, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen.yaml"
    values = {RATE: 0.004, "latent": 6, "objective.decoder": "matrix"}
    chosen.write_text(yaml.safe_dump({"metric": "val_loss", "value": 0.5, "trials": 9, "settings": values}))
    wanted, tuned = chosen_settings(shape_settings(training={"epochs": 1}), chosen)
    pretrain(task_of(wanted), [study.input("shapes")], tmp_path / "model", tuned=tuned)
    card = read_card(tmp_path / "model")
    assert (card.model.training.learning_rate, card.model.latent) == (0.004, 6)
    assert card.model.objective.decoder == "matrix"
    assert card.tuned is not None
    assert card.tuned.settings == values
    assert card.settings_sha256 == wanted.digest() != shape_settings(training={"epochs": 1}).digest()
