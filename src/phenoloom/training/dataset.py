"""Which rows a model is trained on, and what they look like."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..artifacts.manifest import read_manifest
from ..config.model import ImageModel
from ..config.rule_settings import PretrainSettings
from ..core.errors import PhenoloomError
from ..data.channels import Normaliser, Placement, fit_normaliser, network_inputs, placement
from ..data.loader import Rows
from ..data.mixed_source import Intake, MixedSource
from ..data.sources import ContourSource, TileSource
from ..splits.split import ALL, TRAIN, Split, hold_out
from .pairs import KINDS

LEAST_ROWS = 4
UNIT_COLUMNS = ["id", "image_id", "plate", "well"]
LABEL, FOREGROUND = "label", "foreground"


@dataclass(frozen=True)
class StudyPart:
    """What a training took from one study: the rows of its view, and what its tiles are like.

    `share` is its share of every batch, `taken_out` counts rows by the reason why training must not see them.
    """

    name: str
    view: TileSource | ContourSource
    rows: int
    train: Rows
    validation: Rows
    normaliser: Normaliser | None
    share: float = 1.0
    taken_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """What a model is trained on: `view` holds the rows of `table`, `train` and `validation` are positions in it.

    `normaliser` is that of the study's tiles, `without_shape` the number of rows left out for want of a contour.
    `placement` and `inputs` are those of a network whose inputs are named by the model rather than by the study. Of a
    training on several studies, `studies` are its parts and `intakes` say how their items become inputs; rows of
    `table` have their study in the column `study`. `fold_normalisers` are, by split, those of the study's train groups
    where training saw nothing of the study. `channels` are those of the study whose embeddings are made.
    """

    view: TileSource | ContourSource | MixedSource
    table: pd.DataFrame
    train: Rows
    validation: Rows
    normaliser: Normaliser | None
    without_shape: int
    placement: Placement | None = None
    inputs: list[str] | None = None
    studies: tuple[StudyPart, ...] = ()
    intakes: tuple[Intake, ...] = ()
    fold_normalisers: Mapping[str, Normaliser] = field(default_factory=dict)
    channels: list[str] | None = None

    def groups(self, rows: Rows) -> int:
        """Number of groups among `rows`."""
        names = ["study", "unit_group"] if "study" in self.table else ["unit_group"]
        return len(self.table.iloc[rows][names].drop_duplicates())

    @property
    def labels(self) -> list[Any] | None:
        """The label of each row; none where the study has no labels. Training does not see them."""
        return self.table[LABEL].tolist() if LABEL in self.table else None


def gather(settings: PretrainSettings, index: Path, folds: Path, stores: Sequence[Path]) -> Material:
    """Choose the rows to train on and to validate on, in the order of their ids, and open what they look at."""
    contrast = settings.model.contrast if isinstance(settings.model, ImageModel) else None
    known = [KINDS[contrast.pairs][0]] if contrast and contrast.pairs in KINDS else []
    table = read_rows(settings, index, known)
    split = Split.read(folds)
    table["unit_group"] = split.groups_of(table)
    table = table[np.isin(split.roles(table, settings.split), [TRAIN, ALL])]
    if len(table) == 0:
        raise PhenoloomError(f"{index} has no row outside the test groups of {settings.split}; use fewer folds")
    view, table, without = open_view(settings, table, stores)
    train, validation, normaliser = divide(settings, table, settings.study)
    placed, inputs = None, None
    if isinstance(settings.model, ImageModel) and isinstance(view, TileSource) and settings.model.channels.names:
        inputs = network_inputs(settings.model.channels, {settings.study: view.channels})
        placed = placement(settings.model.channels, inputs, settings.study, view.channels)
    names = view.channels if isinstance(view, TileSource) else None
    return Material(view, table, train, validation, normaliser, without, placed, inputs, channels=names)


def read_rows(settings: PretrainSettings, index: Path, known: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of an index with the columns that training needs, and `known` ones."""
    there = set(pq.read_schema(index).names)
    statistics = ["shard", "position", "channel_mean", "channel_std"]
    wanted = [FOREGROUND] if settings.model.training.foreground_exponent else []
    columns = [
        *dict.fromkeys([*UNIT_COLUMNS, *wanted, *known, *({LABEL} & there)]),
        *(statistics if isinstance(settings.model, ImageModel) else []),
    ]
    table: pd.DataFrame = pq.read_table(index, columns=columns).to_pandas()
    return table


def open_view(
    settings: PretrainSettings, table: pd.DataFrame, stores: Sequence[Path]
) -> tuple[TileSource | ContourSource, pd.DataFrame, int]:
    """What the rows look at, the rows that have it in the order of their ids, and the number of the others."""
    # By id: the order of the index depends on the number of shards, and weights must not.
    table = table.sort_values("id", ignore_index=True)
    if isinstance(settings.model, ImageModel):
        return TileSource(table, stores), table, 0
    view = ContourSource(table, stores)
    return view, table[view.found].reset_index(drop=True), int((~view.found).sum())


def divide(settings: PretrainSettings, table: pd.DataFrame, study: str) -> tuple[Rows, Rows, Normaliser | None]:
    """Positions of the rows to train on and to validate on, and the statistics of the former."""
    whose = f" of {study}" if study != settings.study else ""
    if len(table) < LEAST_ROWS:
        raise PhenoloomError(
            f"{settings.model_name} needs at least {LEAST_ROWS} {settings.model.view}{whose} outside the test "
            f"groups of {settings.split}, found {len(table)}; add data or use fewer folds"
        )
    held = hold_out(table["unit_group"], table["id"], settings.model.training.validation_fraction, settings.seed)
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    return train, validation, normaliser_of(settings, table.iloc[train])


def normaliser_of(settings: PretrainSettings, table: pd.DataFrame) -> Normaliser | None:
    """Statistics of rows, for a model of tiles."""
    if not isinstance(settings.model, ImageModel):
        return None
    mean, std = (np.stack(list(table[name])) for name in ("channel_mean", "channel_std"))
    return fit_normaliser(mean, std, settings.model.input_size)


def fingerprint(material: Material, stores: Sequence[Path]) -> str:
    """Digest of what is trained on: the same settings on other rows or pixels are another training."""
    digest = hashlib.sha256()
    for part in material.studies:
        digest.update(f"{part.name} {part.rows} {part.normaliser}\0".encode())
    for rows in (material.train, material.validation):
        digest.update("\n".join(material.table["id"].iloc[rows]).encode() + b"\0")
    digest.update(repr(material.normaliser).encode())
    for store in sorted(stores):
        digest.update(str(read_manifest(store)["content"]).encode())
    return digest.hexdigest()
