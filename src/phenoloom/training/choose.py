"""Choose the best settings that a search has found."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial, TrialState

from ..config.load import with_values
from ..config.rule_settings import PretrainSettings
from ..config.search import Tune
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from ..models.checkpoint import Tuned
from .tune import EPOCHS, REASON, SLOT, finished_trial, open_journal


def choose(tune: Tune, workers: Sequence[Path], trials: Path, output: Path) -> None:
    """Write the table of all trials and, last, the best settings; of equal values those of the first slot.

    Args:
        tune: What was searched for.
        workers: What each job of the search wrote.
        trials: The table (TSV), with a line a slot.
        output: The best settings (YAML).

    Raises:
        PhenoloomError: The jobs searched on different data, a slot is missing, or no trial was finished.
    """
    output.unlink(missing_ok=True)
    journals = {json.loads(path.read_text(encoding="utf-8"))["journal"] for path in workers}
    if len(journals) != 1:
        raise PhenoloomError(
            f"The workers {', '.join(map(str, workers))} searched on other data or settings than each other; delete "
            "them and rerun the step `tune`"
        )
    journal = open_journal(workers[0].parent / journals.pop(), tune)
    found = [finished_trial(journal, slot) for slot in range(tune.trials)]
    done = [trial for trial in found if trial is not None]
    if len(done) != len(found):
        raise PhenoloomError(
            f"{len(found) - len(done)} of {len(found)} trials in {workers[0].parent} are not finished; rerun `tune`"
        )
    complete = [
        (trial.value, trial) for trial in done if trial.state == TrialState.COMPLETE and trial.value is not None
    ]
    if not complete:
        reasons = sorted({str(trial.user_attrs.get(REASON, "stopped early")) for trial in done})
        raise PhenoloomError(f"None of {len(done)} trials was finished ({'; '.join(reasons)}); change `tune.ranges`")
    sign = -1 if tune.maximise else 1
    value, best = min(complete, key=lambda one: (sign * one[0], one[1].user_attrs[SLOT]))
    _write_trials(trials, done, tune)
    tuned = Tuned(metric=tune.metric, value=value, trials=len(done), settings=best.params)
    text = yaml.safe_dump(tuned.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_atomically(output, lambda file: file.write(text.encode()))


def chosen_settings(settings: PretrainSettings, chosen: Path) -> tuple[PretrainSettings, Tuned]:
    """Return the settings of a training with those in the file `chosen`, and how the search has chosen them."""
    tuned = Tuned.model_validate(yaml.safe_load(chosen.read_text(encoding="utf-8")))
    model = with_values(settings.model, tuned.settings, str(chosen))
    return settings.model_copy(update={"model": model}), tuned


def _write_trials(path: Path, trials: Sequence[FrozenTrial], tune: Tune) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["slot", "state", tune.metric, "epochs", *tune.ranges, "reason"])
    for trial in trials:
        noted: dict[str, Any] = trial.user_attrs
        value = "" if trial.value is None else repr(trial.value)
        cells = [trial.params.get(key, "") for key in tune.ranges]
        row = [noted[SLOT], trial.state.name.lower(), value, noted.get(EPOCHS, ""), *cells, noted.get(REASON, "")]
        writer.writerow(row)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))
