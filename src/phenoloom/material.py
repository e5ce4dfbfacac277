"""Which rows a model is trained on, and what they look like."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from .channels import Normaliser, fit_normaliser
from .config.model import ImageModel
from .config.settings import PretrainSettings
from .data import Rows
from .errors import PhenoloomError
from .manifest import read_manifest
from .pairs import KINDS
from .roles import ALL, TRAIN, fold_table, hold_out, row_groups, row_roles
from .views import ShapeView, TileView

LEAST_ROWS = 4
UNIT_COLUMNS = ["id", "image_id", "plate", "well"]
LABEL = "label"


@dataclass(frozen=True)
class Material:
    """What a model is trained on: `view` holds the rows of `table`, `train` and `validation` are positions in it."""

    view: TileView | ShapeView
    table: pd.DataFrame
    train: Rows
    validation: Rows
    normaliser: Normaliser | None
    without_shape: int

    def groups(self, rows: Rows) -> int:
        """Number of groups among `rows`."""
        return int(self.table["unit_group"].iloc[rows].nunique())

    @property
    def labels(self) -> list[Any] | None:
        """The label of each row; none where the study has no labels. Training does not see them."""
        return self.table[LABEL].tolist() if LABEL in self.table else None


def gather(settings: PretrainSettings, index: Path, folds: Path, stores: Sequence[Path]) -> Material:
    """Choose the rows to train on and to validate on, in the order of their ids, and open what they look at."""
    tiles = isinstance(settings.model, ImageModel)
    contrast = settings.model.contrast if isinstance(settings.model, ImageModel) else None
    known = [KINDS[contrast.pairs][0]] if contrast and contrast.pairs in KINDS else []
    columns = [
        *dict.fromkeys([*UNIT_COLUMNS, *known, *({LABEL} & set(pq.read_schema(index).names))]),
        *(["shard", "position", "channel_mean", "channel_std"] if tiles else []),
    ]
    table = pq.read_table(index, columns=columns).to_pandas()
    split = fold_table(folds)
    table["unit_group"] = row_groups(table, split)
    table = table[np.isin(row_roles(table, split, settings.split), [TRAIN, ALL])]
    # By id: the order of the index depends on the number of shards, and weights must not.
    table = table.sort_values("id", ignore_index=True)
    if len(table) == 0:
        raise PhenoloomError(f"{index} has no row outside the test groups of {settings.split}; use fewer folds")
    view: TileView | ShapeView
    if tiles:
        view, without = TileView(table, stores), 0
    else:
        view = ShapeView(table, stores)
        without = int((~view.found).sum())
        table = table[view.found].reset_index(drop=True)
    if len(table) < LEAST_ROWS:
        raise PhenoloomError(
            f"{settings.model_name} needs at least {LEAST_ROWS} {settings.model.view} outside the test groups of "
            f"{settings.split}, found {len(table)}; add data or use fewer folds"
        )
    held = hold_out(table["unit_group"], table["id"], settings.model.training.validation_fraction, settings.seed)
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    normaliser = None
    if isinstance(settings.model, ImageModel):
        mean, std = (np.stack(table[name].to_numpy()[train]) for name in ("channel_mean", "channel_std"))
        normaliser = fit_normaliser(mean, std, settings.model.input_size)
    return Material(view, table, train, validation, normaliser, without)


def fingerprint(material: Material, stores: Sequence[Path]) -> str:
    """Digest of what is trained on: the same settings on other rows or pixels are another training."""
    digest = hashlib.sha256()
    for rows in (material.train, material.validation):
        digest.update("\n".join(material.table["id"].iloc[rows]).encode() + b"\0")
    digest.update(repr(material.normaliser).encode())
    for store in sorted(stores):
        digest.update(str(read_manifest(store)["content"]).encode())
    return digest.hexdigest()
