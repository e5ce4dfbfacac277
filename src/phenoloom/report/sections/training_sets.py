"""Training sets: the data of encoders that were trained on several studies, and what trainings used besides pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..numbers import MISSING, count, listing
from ..results import TrainedModel
from ..table import Column, PageTable, number, text

SIMILAR_RATIO = 1.25
"""Ratio of two pixel sizes above which the same cell has clearly different sizes in px."""

SUPERVISION = {
    "replicates": "tiles of one group in different wells",
    "wells": "tiles of one well position on different plates",
    "labels": "tiles of one label",
}
"""What a training pulled together, by `contrast.pairs` of its model (`training.pairs.KINDS`)."""


def training_data(models: Sequence[TrainedModel]) -> PageTable | None:
    """Return a row for each study that an encoder was trained on; None if all were trained on this study alone."""
    rows = []
    for trained, part in _parts(models):
        size, out = part.get("pixel_size_um"), sum(part.get("taken_out", {}).values())
        reasons = "; ".join(f"{n} in a {reason}" for reason, n in part.get("taken_out", {}).items() if n)
        rows.append(
            [
                text(trained.model),
                text(trained.split),
                text(part["study"]),
                number(f"{part['share']:.0%}", part["share"]),
                number(count(part["train_rows"]), part["train_rows"]),
                number(count(part["validation_rows"]), part["validation_rows"]),
                number(count(out), out, title=reasons or "nothing in this study resembles a test group"),
                text(", ".join(part.get("channels") or []) or MISSING),
                number(MISSING if size is None else f"{size:g}", size),
            ]
        )
    if not rows:
        return None
    columns = [
        *(Column(name) for name in ("model", "split", "study")),
        Column("share", True, "of every batch"),
        Column("trained on", True, "tiles or contours"),
        Column("validated on", True, "tiles or contours"),
        Column(
            "kept out",
            True,
            "groups of the other study that are named like a test group, or contain a copy of an image",
        ),
        Column("channels"),
        Column("µm a pixel", True),
    ]
    note = (
        "An encoder that was trained only on other studies has one training for all folds, and saw no row of this one."
    )
    return PageTable("Training data of the encoders", columns, rows, note=note, tall=True)


def pixel_size_caveats(models: Sequence[TrainedModel]) -> list[str]:
    """Return a sentence for each model that was trained on pixels of clearly different sizes."""
    sizes: dict[str, dict[str, float]] = {}
    for trained, part in _parts(models):
        if part.get("pixel_size_um"):
            sizes.setdefault(trained.model, {})[part["study"]] = part["pixel_size_um"]
    found = []
    for model, by_study in sizes.items():
        if max(by_study.values()) > SIMILAR_RATIO * min(by_study.values()):
            listed = ", ".join(f"{study} {size:g} µm" for study, size in sorted(by_study.items()))
            found.append(
                f"{model} was trained on pixels of different sizes ({listed}): it sees equal cells at different sizes."
            )
    return found


def supervision_caveats(models: Sequence[TrainedModel]) -> list[str]:
    """Return a sentence for each kind of information besides pixels that trainings used."""
    names: dict[str, set[str]] = {}
    for trained in models:
        names.setdefault(trained.card.get("supervision", "none"), set()).add(trained.model)
    return [
        f"Not from pixels alone: the training of {listing(sorted(names[kind]))} pulled together {pairs} in the train "
        f"folds (contrast.pairs: {kind}). Descriptors and untrained encoders do not have this information."
        for kind, pairs in SUPERVISION.items()
        if kind in names
    ]


def precision_caveats(models: Sequence[TrainedModel]) -> list[str]:
    """Return a sentence for each model that was trained in different precision for different folds."""
    folds: dict[str, dict[str, list[str]]] = {}
    for trained in models:
        if precision := trained.card.get("precision"):
            folds.setdefault(trained.model, {}).setdefault(precision, []).append(trained.split)
    return [
        f"{model} was trained in "
        + " and in ".join(f"{name} for {listing(sorted(splits))}" for name, splits in sorted(parts.items()))
        + ", because its jobs ran on different kinds of devices: its folds differ by more than their data. Set "
        "`training.precision` to one of them, or train on one kind of device."
        for model, parts in folds.items()
        if len(parts) > 1
    ]


def _parts(models: Sequence[TrainedModel]) -> Iterator[tuple[TrainedModel, dict[str, Any]]]:
    for trained in models:
        for part in trained.card.get("studies") or ():
            yield trained, part
