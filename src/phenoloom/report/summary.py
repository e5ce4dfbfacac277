"""The findings of a study in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .numbers import amount, listing, plus_minus, score
from .scoreboard import DUMMY, SHUFFLED, Mean, Scoreboard, probe_name


def summary(scoreboard: Scoreboard, fold_facts: dict[str, Any]) -> str:
    """Return the best representation, its rivals and its controls in sentences with numbers.

    Args:
        scoreboard: the scores of the study.
        fold_facts: facts that the table of folds states about itself.
    """
    ranked = scoreboard.ranked("descriptors", "learned", "transductive")
    mean = scoreboard.mean(ranked[0]) if ranked else None
    if mean is None:
        return "No representation of this study has a score."
    best, classes = ranked[0], len(fold_facts.get("classes", {}))
    probe = probe_name(scoreboard.main_probe)
    sentences = [
        f"The best representation is {best} ({_description(scoreboard, best)}): {probe} on its vectors reaches a "
        f"macro-F1 of {plus_minus(mean.value, mean.sd)} over {amount(mean.folds, 'fold')}"
        + _over_seeds(mean)
        + (f" and {amount(classes, 'class', 'classes')}." if classes else "."),
        *_rivals(scoreboard, best),
        *_controls(scoreboard, best),
    ]
    return " ".join(sentences)


def _description(scoreboard: Scoreboard, name: str) -> str:
    members = scoreboard.families.members(name)
    entry = scoreboard.entries[members[0]]
    if entry.get("concatenate"):
        return f"{listing([scoreboard.families.family(part) for part in entry['concatenate']])} in one vector"
    if scoreboard.kind(name) == "descriptors":
        return "classical descriptors"
    models = [str(scoreboard.entries[member].get("model")) for member in members]
    trained = f", trained on {listing(entry['trained_on'])}" if entry.get("trained_on") else ""
    return (
        f"the {'models' if len(models) > 1 else 'model'} {listing(models)}{trained}"
        f"{', transductive' if scoreboard.kind(name) == 'transductive' else ''}"
    )


def _rivals(scoreboard: Scoreboard, best: str) -> Iterator[str]:
    rivals = {
        "The best descriptors": scoreboard.ranked("descriptors"),
        "The best learned representation": scoreboard.ranked("learned", "transductive"),
    }
    for role, names in rivals.items():
        if names and names[0] != best and (mean := scoreboard.mean(names[0])):
            yield f"{role}, {names[0]}, scored {plus_minus(mean.value, mean.sd)}{_over_seeds(mean)}."


def _controls(scoreboard: Scoreboard, best: str) -> Iterator[str]:
    found = []
    if dummy := scoreboard.mean(best, DUMMY):
        found.append(f"always answering the commonest class scores {score(dummy.value)}")
    if shuffled := scoreboard.mean(best, SHUFFLED):
        value = plus_minus(shuffled.value, shuffled.sd)
        found.append(f"the same probe with labels shuffled between groups scores {value}")
    if found:
        text = ", and ".join(found)
        yield f"For comparison, {text} (chance)."


def _over_seeds(mean: Mean) -> str:
    return f" (± {score(mean.sd_seeds)} over {amount(mean.seeds, 'seed')})" if mean.seeds > 1 else ""
