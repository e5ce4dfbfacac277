"""The rows that a model is trained on, their items, and the statistics of these."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..artifacts.manifest import read_manifest
from ..artifacts.parquet import read_result, read_result_schema
from ..core.errors import PhenoloomError
from ..data.channels import Normaliser
from ..data.domain import domain_of
from ..data.loader import Rows
from ..data.mixed_source import MixedSource
from ..data.opened import NetworkInputs, Opened
from ..data.sources import StudySource
from ..data.study_input import StudyInput
from ..splits.split import ALL, TRAIN, Split, hold_out
from .pairs import KINDS
from .task import TrainingTask

LEAST_ROWS = 4
UNIT_COLUMNS = ["id", "image_id", "plate", "well"]
LABEL, FOREGROUND = "label", "foreground"


@dataclass(frozen=True)
class StudyPart:
    """The part of a training set that comes from one study.

    Attributes:
        name: Name of the study.
        source: Its items.
        table: The row of each item.
        train: Positions of the items to train on.
        validation: Positions of the items held out for early stopping.
        lost: Number of rows left out because they have no item, as an object without a contour or larger than a tile.
        normaliser: Statistics of the items to train on; None where items are not normalised.
        share: Share of the study in every batch.
        taken_out: Reason why training must not see rows -> their number.
    """

    name: str
    source: StudySource
    table: pd.DataFrame
    train: Rows
    validation: Rows
    lost: int
    normaliser: Normaliser | None
    share: float = 1.0
    taken_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSet:
    """The items of one study or of several that a model is trained on.

    Attributes:
        source: The items.
        table: The row of each item; of several studies with the name of each row's study in the column `study`.
        train: Positions of the items to train on.
        validation: Positions of the items held out for early stopping.
        lost: Number of rows left out because they have no item, as an object without a contour or larger than a tile.
        normaliser: Statistics of the tiles of the study that vectors are made of; None of contours.
        stores: Manifests of all shards that are read.
        inputs: How the channels of each study reach the network.
        channels: Channels of the study that vectors are made of; None of contours.
        points: Points of a contour; None of tiles.
        studies: The parts of a training on several studies, in the order of their items in `source`.
        fold_normalisers: Split -> statistics of the study's train groups, where training saw nothing of the study.
    """

    source: StudySource | MixedSource
    table: pd.DataFrame
    train: Rows
    validation: Rows
    lost: int
    normaliser: Normaliser | None
    stores: tuple[Path, ...]
    inputs: NetworkInputs
    channels: list[str] | None
    points: int | None
    studies: tuple[StudyPart, ...] = ()
    fold_normalisers: Mapping[str, Normaliser] = field(default_factory=dict)

    @property
    def labels(self) -> list[Any] | None:
        """Return the label of each row, or None where the study has no labels; training does not see them."""
        return self.table[LABEL].tolist() if LABEL in self.table else None

    def groups(self, rows: Rows) -> int:
        """Return the number of groups among `rows`."""
        names = ["study", "unit_group"] if "study" in self.table else ["unit_group"]
        return len(self.table.iloc[rows][names].drop_duplicates())

    def fingerprint(self) -> str:
        """Return a digest of the items: the same settings on other rows or pixels are another training."""
        digest = hashlib.sha256()
        for part in self.studies:
            digest.update(f"{part.name} {len(part.table)} {part.normaliser}\0".encode())
        for rows in (self.train, self.validation):
            digest.update("\n".join(self.table["id"].iloc[rows]).encode() + b"\0")
        digest.update(repr(self.normaliser).encode())
        for store in sorted(self.stores):
            digest.update(str(read_manifest(store)["content"]).encode())
        return digest.hexdigest()


def read_training_set(task: TrainingTask, study: StudyInput) -> TrainingSet:
    """Return the rows of a study that may be trained on, in the order of their ids, and open their items.

    Raises:
        PhenoloomError: There are too few rows outside the test groups, or a channel has no place in the network.
    """
    domain = domain_of(task.model)
    known = [KINDS[domain.pairs][0]] if domain.pairs and domain.pairs in KINDS else []
    table = with_groups(read_rows(task, study.index, known), split := Split.read(study.folds))
    table = table[np.isin(split.roles(table, task.split), [TRAIN, ALL])]
    if len(table) == 0:
        raise PhenoloomError(f"{study.index} has no row outside the test groups of {task.split}; use fewer folds")
    part = open_part(task, study, table)
    return TrainingSet(
        part.source,
        part.table,
        part.train,
        part.validation,
        part.lost,
        part.normaliser,
        study.stores,
        domain.inputs_of_study(study.name, part.source),
        part.source.channels,
        domain.points([part.source]),
    )


def read_rows(task: TrainingTask, index: Path, known: Sequence[str] = ()) -> pd.DataFrame:
    """Read the columns of an index that training needs.

    Args:
        task: The training, whose model decides which columns it needs.
        index: Parquet table with a row for each tile or object.
        known: Further columns to read.
    """
    there = set(read_result_schema(index).names)
    wanted = [FOREGROUND] if task.model.training.foreground_exponent else []
    columns = [
        *dict.fromkeys([*UNIT_COLUMNS, *wanted, *known, *({LABEL} & there)]),
        *domain_of(task.model).columns,
    ]
    table: pd.DataFrame = read_result(index, columns=columns).to_pandas()
    return table


def with_groups(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Return the rows with the column `unit_group`, the group that each must stay together with."""
    return table.assign(unit_group=split.groups_of(table))


def open_part(task: TrainingTask, study: StudyInput, table: pd.DataFrame) -> StudyPart:
    """Open the items of the rows of a study that may be trained on, and hold out groups for early stopping.

    Args:
        task: The training.
        study: The study.
        table: Rows of its index.

    Raises:
        PhenoloomError: There are too few rows with an item.
    """
    domain = domain_of(task.model)
    # By id: the order of the index depends on the number of shards, and weights must not.
    table = table.sort_values("id", ignore_index=True)
    opened: Opened = domain.open(table, study.stores)
    table = table[opened.found].reset_index(drop=True)
    of_study = f" of {study.name}" if study.name != task.study else ""
    if len(table) < LEAST_ROWS:
        raise PhenoloomError(
            f"{task.name} needs at least {LEAST_ROWS} {task.model.view}{of_study} outside the test "
            f"groups of {task.split}, found {len(table)}; add data or use fewer folds"
        )
    held = hold_out(table["unit_group"], table["id"], task.model.training.validation_fraction, task.seed)
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    statistics = domain.statistics(table.iloc[train])
    return StudyPart(study.name, opened.source, table, train, validation, opened.lost, statistics)
