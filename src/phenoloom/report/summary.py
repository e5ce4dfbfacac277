"""The findings of a study in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .audit import in_short, layout_finding
from .numbers import amount, listing, plus_minus, score, signed
from .score_names import DUMMY, KIND_NAMES, SHUFFLED, probe_name
from .scoreboard import Mean, Scoreboard


def summary(scoreboard: Scoreboard, fold_facts: dict[str, Any]) -> str:
    """Return what leads the chart, how sure its lead is, and its controls, in sentences with numbers.

    Args:
        scoreboard: the scores of the study.
        fold_facts: facts that the table of folds states about itself.
    """
    ranked = scoreboard.ranked()
    mean = scoreboard.mean(ranked[0]) if ranked else None
    if not scoreboard.classifiers:
        return "No representation of this study is scored: classify.probes names no classifier, but only the dummy."
    if mean is None:
        return "No representation of this study has a score."
    best, classes = ranked[0], fold_facts.get("classes", {})
    probe = probe_name(scoreboard.main_probe)
    finding = layout_finding(scoreboard, classes)
    sentences = [
        f"The best representation is {best} ({_description(scoreboard, best)}): {probe} on its vectors reaches a "
        f"macro-F1 of {plus_minus(mean.value, mean.sd)} over {amount(mean.folds, 'fold')}"
        + _over_seeds(mean)
        + (f" and {amount(len(classes), 'class', 'classes')}." if classes else "."),
        *([in_short(finding)] if finding and finding.matters else []),
        *_rivals(scoreboard, best),
        *_controls(scoreboard, best),
    ]
    return " ".join(sentences)


def without_scores(fold_facts: dict[str, Any]) -> str:
    """Return why a study has no scores, and what its page shows all the same."""
    if reason := fold_facts.get("unscored"):
        return (
            f"This study has no scores: {reason}. Its page shows samples, maps, models and what they reconstruct; "
            "vectors of all representations are in embeddings.h5ad."
        )
    return "This study has no scores yet."


def _description(scoreboard: Scoreboard, name: str) -> str:
    members = scoreboard.families.members(name)
    entry, kind = scoreboard.entries[members[0]], scoreboard.kind(name)
    if entry.get("concatenate"):
        parts = [scoreboard.families.family(part) for part in entry["concatenate"]]
        return f"{listing(parts)} in one vector, {KIND_NAMES[kind]}"
    if kind == "descriptors":
        return KIND_NAMES[kind]
    models = [str(scoreboard.entries[member].get("model")) for member in members]
    trained = f", trained on {listing(entry['trained_on'])}" if entry.get("trained_on") else ""
    state = {"transductive": ", transductive", "untrained": ", untrained: its weights are random"}.get(kind, "")
    return f"the {'models' if len(models) > 1 else 'model'} {listing(models)}{trained}{state}"


def _rivals(scoreboard: Scoreboard, best: str) -> Iterator[str]:
    for role, name in scoreboard.rivals():
        mean, difference = scoreboard.mean(name), scoreboard.difference(best, name)
        if mean is None:
            continue
        lead = ""
        if difference is not None:
            lead = f", {signed(-difference.value, difference.sd)} compared with {best} on the same folds"
            if difference.within:
                lead += f": within the spread over {listing(difference.within)}, so it is not shown to be worse"
        yield f"The best {role}, {name}, scored {plus_minus(mean.value, mean.sd)}{_over_seeds(mean)}{lead}."


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
