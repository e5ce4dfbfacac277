"""What encoders were told beside pixels, and what those trained on other studies too have seen and not seen of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..numbers import MISSING, count, listing
from ..results import Run
from ..table import Column, Table, number, text

SIMILAR = 1.25
"""Pixel sizes whose ratio is larger show the same cell at another size."""

TOLD = {
    "replicates": "tiles of one group in different wells",
    "wells": "tiles of one well position on different plates",
    "labels": "tiles of one label",
}
"""Supervision of a model -> what its training pulled together (`pairs.KINDS`)."""


def seen_table(runs: Sequence[Run]) -> Table | None:
    """A row for each study that an encoder was trained on; none where all were trained on this study alone."""
    rows = []
    for run, part in _parts(runs):
        size, out = part.get("pixel_size_um"), sum(part.get("taken_out", {}).values())
        reasons = "; ".join(f"{n} in a {reason}" for reason, n in part.get("taken_out", {}).items() if n)
        rows.append(
            [
                text(run.model),
                text(run.split),
                text(part["study"]),
                number(f"{part['share']:.0%}", part["share"]),
                number(count(part["train_rows"]), part["train_rows"]),
                number(count(part["validation_rows"]), part["validation_rows"]),
                number(count(out), out, title=reasons or "nothing of it resembles a test group"),
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
        Column("kept out", True, "of the other studies: groups called like a test group, or with a copy of an image"),
        Column("channels"),
        Column("µm a pixel", True),
    ]
    note = "An encoder that was not trained on this study has one training for all folds, and saw none of it."
    return Table("What encoders have seen", columns, rows, note=note, tall=True)


def size_warnings(runs: Sequence[Run]) -> list[str]:
    """A sentence for each model whose studies show cells at sizes that differ by more than their pixels should."""
    sizes: dict[str, dict[str, float]] = {}
    for run, part in _parts(runs):
        if part.get("pixel_size_um"):
            sizes.setdefault(run.model, {})[part["study"]] = part["pixel_size_um"]
    found = []
    for model, by_study in sizes.items():
        if max(by_study.values()) > SIMILAR * min(by_study.values()):
            told = ", ".join(f"{study} {size:g} µm" for study, size in sorted(by_study.items()))
            found.append(
                f"{model} was trained on pixels of different sizes ({told}): it sees equal cells at different sizes."
            )
    return found


def supervision_warnings(runs: Sequence[Run]) -> list[str]:
    """A sentence for each kind of knowledge besides pixels that trainings used."""
    models: dict[str, set[str]] = {}
    for run in runs:
        models.setdefault(run.card.get("supervision", "none"), set()).add(run.model)
    return [
        f"Not from pixels alone: the training of {listing(sorted(models[kind]))} pulled together {what} of the train "
        f"folds (contrast.pairs: {kind}), which descriptors and untrained encoders were not told."
        for kind, what in TOLD.items()
        if kind in models
    ]


def precision_warnings(runs: Sequence[Run]) -> list[str]:
    """A sentence for each model that was trained in one precision for some folds and in another for the others."""
    folds: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        if run.card.get("precision"):
            folds.setdefault(run.model, {}).setdefault(run.card["precision"], []).append(run.split)
    return [
        f"{model} was trained in "
        + " and in ".join(f"{name} for {listing(sorted(splits))}" for name, splits in sorted(parts.items()))
        + ", as its jobs ran on devices that differ: its folds differ by more than their rows. Set "
        "`training.precision` to one of them, or train on devices of one kind."
        for model, parts in folds.items()
        if len(parts) > 1
    ]


def _parts(runs: Sequence[Run]) -> Iterator[tuple[Run, dict[str, Any]]]:
    for run in runs:
        for part in run.card.get("studies") or ():
            yield run, part
