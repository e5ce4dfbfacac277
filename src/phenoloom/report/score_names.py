"""What the report calls representations, probes and metrics, and in which order it shows them."""

from __future__ import annotations

from typing import Any, Literal

Kind = Literal["descriptors", "published", "learned", "transductive", "untrained"]

PUBLISHED = "efd-published"
"""Descriptors as published, which a sound form stands beside: shown, but not ranked."""

DUMMY = "dummy"
SHUFFLED = "logistic-shuffled"
MAIN_METRIC = "macro_f1"
METRIC_NAMES = {
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "MCC",
    "average_precision": "average precision",
}
PROBE_NAMES = {
    "logistic": "logistic regression",
    "knn": "nearest neighbours",
    "forest": "random forest",
    DUMMY: "majority dummy",
    SHUFFLED: "logistic, labels shuffled",
}
PROBE_HEADS = {
    "logistic+scale": "logistic + size",
    "forest+scale": "forest + size",
    "knn": "kNN",
    SHUFFLED: "shuffled",
    DUMMY: "dummy",
}
PROBE_ORDER = ["logistic", "logistic+scale", "knn", "forest", "forest+scale", SHUFFLED, DUMMY]
KIND_NAMES: dict[Kind, str] = {
    "descriptors": "classical descriptors",
    "published": "as published, not ranked",
    "learned": "learned",
    "transductive": "learned, transductive",
    "untrained": "untrained encoder",
}

RANKED: tuple[Kind, ...] = ("descriptors", "learned", "transductive", "untrained")
_BY_TRAINING: tuple[Kind, ...] = ("published", "descriptors", "untrained", "learned", "transductive")


def kind_of(entry: dict[str, Any], entries: dict[str, dict[str, Any]]) -> Kind:
    """Return the kind of a representation; a concatenated one is of the kind of its most trained part.

    Args:
        entry: the representation's entry in the settings of the study.
        entries: the entries of all representations, by name.
    """
    if entry.get("concatenate"):
        kinds = {kind_of(entries[part], entries) for part in entry["concatenate"]}
        return next(kind for kind in reversed(_BY_TRAINING) if kind in kinds)
    if entry.get("descriptors"):
        return "published" if entry["descriptors"] == PUBLISHED else "descriptors"
    if entry.get("untrained"):
        return "untrained"
    return "transductive" if entry.get("transductive") else "learned"


def probe_name(probe: str) -> str:
    """Return a probe in words; `logistic+scale` gets the size of a shape in addition to its vector."""
    base, plus, _ = probe.partition("+scale")
    return f"{PROBE_NAMES.get(base, base)}{' with size' if plus else ''}"
