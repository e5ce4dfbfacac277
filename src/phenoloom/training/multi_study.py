"""Several studies in one training: what may be seen of each, and in which inputs it arrives.

Of the study whose embeddings will be scored, the test groups of the split are out, as in every training. Of the other
studies everything is seen but what may show a test group: rows of a group that is called like one of them, images
whose pixels equal those of a test group, and the whole groups that such images lie in. What is out is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.scratch import staged_stores
from ..config.model import ImageModel
from ..config.rule_settings import PretrainSettings
from ..core.errors import PhenoloomError
from ..data.channels import Normaliser, Placement, network_inputs, placement
from ..data.mixed_source import MixedSource, intake
from ..data.sources import TileSource, stores_in
from ..splits.duplicates import digests_of, with_copies
from ..splits.split import ALL, TEST, TRAIN, Split
from ..splits.units import unit_ids
from .dataset import LABEL, UNIT_COLUMNS, Material, StudyPart, divide, normaliser_of, open_view, read_rows
from .pairs import KINDS
from .sampling import shares

SAME_GROUP, SAME_IMAGE = "group called like a test group", "group with an image of a test group"


@dataclass(frozen=True)
class Other:
    """What is read of another study."""

    name: str
    index: Path
    folds: Path
    stores: tuple[Path, ...]

    @classmethod
    def parse(cls, argument: Sequence[str]) -> Other:
        """One `--also` of the command line: a study, its index, its folds, and the folder of its stores."""
        name, index, folds, stores = argument
        return cls(name, Path(index), Path(folds), tuple(stores_in(Path(stores), Path(index))))


@contextmanager
def staged_studies(
    stores: Sequence[Path], others: Sequence[Other], scratch: Path | None
) -> Iterator[tuple[list[Path], list[Other]]]:
    """The stores of a study and those of others, or copies of all of them on scratch (`scratch.staged_stores`)."""
    with staged_stores([*stores, *(store for other in others for store in other.stores)], scratch) as staged:
        left = iter(staged)
        own = list(islice(left, len(stores)))
        yield own, [replace(other, stores=tuple(islice(left, len(other.stores)))) for other in others]


@dataclass(frozen=True)
class Secret:
    """What training must not see: `kind` of group, names of such groups, and digests of images."""

    kind: str
    groups: frozenset[str]
    digests: frozenset[str]


def gather_mixture(
    settings: PretrainSettings, index: Path, folds: Path, stores: Sequence[Path], others: Sequence[Other]
) -> Material:
    """The rows of all studies that the settings name, one study after the other in the order of their names.

    Raises PhenoloomError where `others` are not those studies, for a contrast by what one study knows, for channels
    without a place, and for a study of which too little may be seen.
    """
    mixture = settings.mixture
    assert mixture is not None
    expected = set(mixture.studies) - {settings.study}
    if {other.name for other in others} != expected:
        raise PhenoloomError(
            f"{settings.model_name} is trained on {', '.join(mixture.studies)}, so `--also` must give "
            f"{', '.join(sorted(expected))}, found {', '.join(other.name for other in others) or 'none'}"
        )
    _refuse_pairs(settings)
    secret = _secret(settings, index, folds)
    own = Other(settings.study, index, folds, tuple(stores))
    tables: list[pd.DataFrame] = []
    parts: list[StudyPart] = []
    without = 0
    for study in sorted([*([own] if settings.trained_here else []), *others], key=lambda study: study.name):
        part, table, lost = _part(settings, study, None if study is own else secret)
        tables.append(table.assign(study=study.name))
        parts.append(part)
        without += lost
    balance = settings.model.training.balance
    weights = shares({part.name: len(part.train) for part in parts}, balance)
    parts = [replace(part, share=float(share)) for part, share in zip(parts, weights, strict=True)]
    view = MixedSource([part.view for part in parts])
    table = pd.concat(tables, ignore_index=True)
    if LABEL in table:
        # What is called alike in two studies need not be the same.
        table[LABEL] = table[LABEL].where(table["study"] == settings.study, None)
    channels = {part.name: part.view.channels for part in parts if isinstance(part.view, TileSource)}
    inputs, places = _inputs(settings, channels)
    drawn = len(inputs) if inputs and isinstance(settings.model, ImageModel) and None in places.values() else None
    material = Material(
        view,
        table,
        np.concatenate([part.train + start for part, start in zip(parts, view.starts[:-1], strict=True)]),
        np.concatenate([part.validation + start for part, start in zip(parts, view.starts[:-1], strict=True)]),
        None,
        without,
        inputs=inputs,
        studies=tuple(parts),
        intakes=tuple(intake(part.view, part.normaliser, places.get(part.name), drawn) for part in parts),
    )
    return _for_own(settings, material, own)


def _part(settings: PretrainSettings, study: Other, secret: Secret | None) -> tuple[StudyPart, pd.DataFrame, int]:
    """A study's part, its rows, and the number of objects without a contour; `secret` is that of another study."""
    known = [name for name in ("group", "digest") if name in pq.read_schema(study.index).names]
    table = read_rows(settings, study.index, known)
    split = Split.read(study.folds)
    table["unit_group"] = split.groups_of(table)
    taken: dict[str, int] = {}
    if secret is None:
        table = table[np.isin(split.roles(table, settings.split), [TRAIN, ALL])]
    else:
        out = _taken_out(table, secret)
        taken = {reason: int(mask.sum()) for reason, mask in out.items()}
        table = table[~np.any(list(out.values()), axis=0)]
    if len(table) == 0:
        raise PhenoloomError(
            f"Nothing of {study.name} may be seen by {settings.model_name} for {settings.split} of {settings.study}: "
            f"{_told(taken) or 'all of it is tested'}; where groups of the two studies share names but nothing else, "
            "set `shared_groups: keep`, else leave the study out of `trained_on`"
        )
    view, table, lost = open_view(settings, table, study.stores)
    train, validation, normaliser = divide(settings, table, study.name)
    columns = [name for name in table.columns if name not in ("group", "digest")]
    return StudyPart(study.name, view, len(table), train, validation, normaliser, 1.0, taken), table[columns], lost


def _secret(settings: PretrainSettings, index: Path, folds: Path) -> Secret:
    """What the other studies must not show: the test groups of the split, or everything that is ever tested.

    The latter is for one encoder that serves all folds; nothing is secret from a transductive one.
    """
    there = pq.read_schema(index).names
    table = pq.read_table(index, columns=[*UNIT_COLUMNS, *({"group", "digest"} & set(there))]).to_pandas()
    split = Split.read(folds)
    if settings.split != ALL:
        tested = split.roles(table, settings.split) == TEST
    else:
        tested = np.full(len(table), not settings.trained_here)
    assert settings.mixture is not None
    kind = str(split.facts.get("group", "object"))
    hidden = table[tested]
    names = _group_names(hidden, kind) if settings.mixture.shared_groups == "drop" else []
    return Secret(kind, frozenset(names), digests_of(hidden))


def _taken_out(table: pd.DataFrame, secret: Secret) -> dict[str, NDArray[np.bool_]]:
    """Masks of the rows of another study that must not be seen, by reason; no row has two."""
    same_group = np.zeros(len(table), bool)
    if secret.groups:
        same_group = _groups_by(table, secret.kind).isin(secret.groups).to_numpy()
    return {SAME_GROUP: same_group, SAME_IMAGE: with_copies(table, secret.digests) & ~same_group}


def _groups_by(table: pd.DataFrame, kind: str) -> pd.Series:
    """Names of groups of a kind of `folds.group`; null where a row has none."""
    if kind == "well":
        return unit_ids(table, "well")
    column = {"image": "image_id", "plate": "plate", "group": "group"}.get(kind, "id")
    return table[column] if column in table else pd.Series(None, index=table.index, dtype=object)


def _group_names(table: pd.DataFrame, kind: str) -> set[str]:
    names = _groups_by(table, kind).dropna()
    return set(names[names != ""])


def _inputs(
    settings: PretrainSettings, channels: Mapping[str, list[str]]
) -> tuple[list[str] | None, dict[str, Placement | None]]:
    """Names of the network's inputs, and how each study reaches them."""
    if not isinstance(settings.model, ImageModel):
        return None, {}
    how = settings.model.channels
    inputs = network_inputs(how, channels)
    contrast = settings.model.contrast
    if contrast and contrast.pairs == "channels" and len(inputs) < 2:
        raise PhenoloomError(
            "`contrast.pairs: channels` needs two channels of a tile, and one of the studies has a single one; use "
            "other pairs, or leave it out"
        )
    return inputs, {name: placement(how, inputs, name, names) for name, names in channels.items()}


def _for_own(settings: PretrainSettings, material: Material, own: Other) -> Material:
    """With the statistics that tiles of the study itself will be embedded by, of its train groups in each split."""
    part = next((part for part in material.studies if part.name == own.name), None)
    if part is not None:
        names = part.view.channels if isinstance(part.view, TileSource) else None
        return replace(material, normaliser=part.normaliser, channels=names)
    if not isinstance(settings.model, ImageModel):
        return material
    table, split = read_rows(settings, own.index), Split.read(own.folds)
    by_fold: dict[str, Normaliser] = {}
    for name in split.names:
        seen = table[split.roles(table, name) == TRAIN]
        fitted = normaliser_of(settings, seen) if len(seen) else None
        if fitted is None:
            raise PhenoloomError(f"{own.index} has no row outside the test groups of {name}; use fewer folds")
        by_fold[name] = fitted
    view = TileSource(table, own.stores)
    assert material.inputs is not None
    # Refuses channels without a place now rather than after the training.
    placement(settings.model.channels, material.inputs, own.name, view.channels)
    whole = normaliser_of(settings, table)
    return replace(material, normaliser=whole, fold_normalisers=by_fold, channels=view.channels)


def _refuse_pairs(settings: PretrainSettings) -> None:
    contrast = settings.model.contrast if isinstance(settings.model, ImageModel) else None
    if contrast and contrast.pairs in KINDS:
        raise PhenoloomError(
            f"`contrast.pairs: {contrast.pairs}` rests on what one study says of its images, and {settings.model_name} "
            f"is trained on several; use `views` or `channels`"
        )


def _told(taken: Mapping[str, int]) -> str:
    return ", ".join(f"{count} rows in a {reason}" for reason, count in taken.items() if count)


def sampled(material: Material, study: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Train and validation rows that monitors may look at: those of the study itself where it is trained on."""
    own = (material.table["study"] == study).to_numpy()
    if not own.any():
        return material.train, material.validation
    return material.train[own[material.train]], material.validation[own[material.validation]]
