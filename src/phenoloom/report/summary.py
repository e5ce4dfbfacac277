"""The findings in words: one summary, and every warning that a careful reader would ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ..config.rule_settings import ReportSettings
from .numbers import amount, listing, percent, plus_minus, score, signed
from .results import Results
from .scoreboard import DUMMY, MAIN_METRIC, SHUFFLED, Mean, Scoreboard, kind_of, probe_name
from .sections.training_sets import precision_warnings, size_warnings, supervision_warnings
from .seeds import Draws


def summary(board: Scoreboard, fold_facts: dict[str, Any]) -> str:
    """What was found, in one or two sentences with numbers."""
    ranked = board.ranked("descriptors", "learned", "transductive")
    if not ranked:
        return "No representation of this study has a score."
    best, classes = ranked[0], len(fold_facts.get("classes", {}))
    mean = board.mean(best)
    assert mean is not None
    probe = probe_name(board.main_probe)
    parts = [
        f"The best representation is {best} ({_what(board, best)}): {probe} on its vectors reaches a macro-F1 of "
        f"{plus_minus(mean.value, mean.sd)} over {amount(mean.folds, 'fold')}"
        + _over_seeds(mean)
        + (f" and {amount(classes, 'class', 'classes')}." if classes else "."),
        *_beside(board, best),
    ]
    controls = []
    if dummy := board.mean(best, DUMMY):
        controls.append(f"always answering the commonest class scores {score(dummy.value)}")
    if shuffled := board.mean(best, SHUFFLED):
        controls.append(f"the same probe on labels shuffled between groups {plus_minus(shuffled.value, shuffled.sd)}")
    if controls:
        text = ", ".join(controls)
        parts.append(f"{text[0].upper()}{text[1:]} (chance).")
    return " ".join(parts)


def _what(board: Scoreboard, name: str) -> str:
    members = board.draws.members(name)
    entry = board.entries[members[0]]
    if entry.get("concatenate"):
        return f"{listing([board.draws.family(part) for part in entry['concatenate']])} in one vector"
    if board.kind(name) == "descriptors":
        return "classical descriptors"
    models = [str(board.entries[member].get("model")) for member in members]
    trained = f", trained on {listing(entry['trained_on'])}" if entry.get("trained_on") else ""
    return (
        f"the {'models' if len(models) > 1 else 'model'} {listing(models)}{trained}"
        f"{', transductive' if board.kind(name) == 'transductive' else ''}"
    )


def _beside(board: Scoreboard, best: str) -> Iterator[str]:
    rivals = {
        "The best descriptors": board.ranked("descriptors"),
        "The best learned representation": board.ranked("learned", "transductive"),
    }
    for role, names in rivals.items():
        if names and names[0] != best and (mean := board.mean(names[0])):
            yield f"{role}, {names[0]}, scored {plus_minus(mean.value, mean.sd)}{_over_seeds(mean)}."


def _over_seeds(mean: Mean) -> str:
    return f" (± {score(mean.sd_seeds)} over {amount(mean.seeds, 'seed')})" if mean.seeds > 1 else ""


def warnings(settings: ReportSettings, results: Results, board: Scoreboard | None) -> list[str]:
    """Everything that limits what the scores mean, one sentence each."""
    found = [*_data_warnings(results), *size_warnings(results.runs)]
    if board is not None:
        found = [*_model_warnings(board), *_control_warnings(board, results), *_unit_warnings(board, results), *found]
    found = [*supervision_warnings(results.runs), *precision_warnings(results.runs), *found]
    entries = settings.representations
    names = [name for name, entry in entries.items() if kind_of(entry, entries) == "transductive"]
    transductive = Draws(settings.families).standing(names)
    if transductive:
        found.append(
            f"Transductive: the encoder of {listing(transductive)} was trained on the images of the test groups too "
            "(without their labels), so its scores may be better than on a new study."
        )
    return found


def _model_warnings(board: Scoreboard) -> Iterator[str]:
    descriptors = board.ranked("descriptors")
    for name in board.ranked("learned", "transductive"):
        twin = board.untrained_twin(name)
        rivals = [(descriptors[0], "the best descriptors")] if descriptors else []
        rivals += [(twin, "its own untrained encoder")] if twin else []
        for other, role in rivals:
            difference = board.difference(name, other)
            if difference is None:
                continue
            shown = signed(difference.value, difference.sd)
            spreads = {"folds": difference.sd} | ({"seeds": difference.sd_seeds} if difference.seeds > 1 else {})
            # The sd of a single fold is NaN, and shows nothing.
            within = [over for over, sd in spreads.items() if not difference.value > sd]
            if difference.value <= 0:
                yield f"{name} is no better than {role} ({other}): paired difference in macro-F1 {shown}."
            elif within:
                yield (
                    f"{name} is not shown to be better than {role} ({other}): {shown}; the difference is within one "
                    f"standard deviation of zero over the {listing(within)}."
                )


def _control_warnings(board: Scoreboard, results: Results) -> Iterator[str]:
    classes = len(results.fold_facts.get("classes", {}))
    # What guessing scores in F1 depends on how frequent a label is where a unit may have several; the average precision
    # of a guess is the label's frequency, which is the dummy's.
    several = "average_precision" in board.metrics
    above = []
    for name in board.names:
        shuffled = board.mean(name, SHUFFLED, "average_precision" if several else MAIN_METRIC)
        guess = board.mean(name, DUMMY, "average_precision") if several else None
        chance = guess.value if guess else 1 / max(classes, 1)
        if shuffled and (guess or (classes > 1 and not several)) and shuffled.value - 2 * shuffled.sd > chance:
            above.append(f"{name} {plus_minus(shuffled.value, shuffled.sd)} against {score(chance)}")
    if above:
        what = "the dummy in average precision" if several else f"guessing among {classes} classes"
        yield (
            f"Labels shuffled between groups score above {what} ({listing(above)}), so something besides the label is "
            "shared by train and test groups."
        )
    if failed := [name for name in board.names if board.total(name, "unconverged")]:
        yield f"Logistic regression did not converge in every fold of {listing(failed)}; its scores may be too low."


def _unit_warnings(board: Scoreboard, results: Results) -> Iterator[str]:
    missing = {name: n for name in board.names if (n := board.total(name, "units_missing"))}
    if missing:
        planned = len(results.split.tested().units) if results.split else 0
        shown = listing([f"{name} {n}" for name, n in missing.items()])
        yield (
            f"Not every unit has a vector, so these representations were scored without some of the {planned} test "
            f"units: {shown}."
        )
    absent = results.fold_facts.get("folds_without", {})
    if absent:
        shown = listing([f"{name} ({n})" for name, n in absent.items()])
        yield f"Some classes are missing from test folds (number of folds): {shown}; averages skip them there."


def _data_warnings(results: Results) -> Iterator[str]:
    dropped = results.fold_facts.get("dropped", {})
    if dropped:
        shown = listing([f"{name} ({count})" for name, count in dropped.items()])
        yield (
            f"{amount(len(dropped), 'class', 'classes')} dropped, with too few groups for the folds: {shown}. "
            "No score says anything about them."
        )
    if unlabelled := results.fold_facts.get("unlabelled"):
        yield f"{amount(unlabelled, 'unit')} without a label: embedded, but neither trained on by probes nor scored."
    if merged := results.fold_facts.get("merged_duplicates"):
        yield f"{amount(merged, 'group')} merged with others, since what they hold is identical."
    if results.quarantine is not None and len(results.quarantine):
        bad = results.quarantine["image_id"].nunique()
        total = results.image_count
        share = f" of {total} ({percent(bad / total)})" if total else ""
        yield f"{amount(bad, 'image')}{share} could not be used and {'is' if bad == 1 else 'are'} in quarantine."
    yield from _confounding(results.index)


def _confounding(index: pd.DataFrame | None) -> Iterator[str]:
    if index is None or not {"plate", "label"} <= set(index.columns) or index["plate"].nunique() < 2:
        return
    rows = index[["plate", "label"]].explode("label").dropna()
    plates = rows.groupby("label")["plate"].nunique()
    single = sorted(plates.index[plates == 1])
    if single:
        yield (
            f"{amount(len(single), 'class', 'classes')} on one plate only ({listing([str(s) for s in single])}): "
            "there, plate and label cannot be told apart."
        )
