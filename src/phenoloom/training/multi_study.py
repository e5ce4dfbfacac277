"""Several studies in one training: the rows of each that training may see.

The test groups of the split are left out of the scored study, as in every training. Of the other studies everything is
seen except what may show a test group: rows of a group with the name of a test group,
images whose pixels equal those of a test group, and the whole groups that such images lie in. Rows that are left out
are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..artifacts.parquet import read_result, read_result_schema
from ..config.representation import Mixture
from ..core.errors import PhenoloomError
from ..data.channels import Normaliser
from ..data.domain import domain_of
from ..data.loader import Rows
from ..data.mixed_source import MixedSource
from ..data.study_input import StudyInput
from ..splits.duplicates import digests_of, with_copies
from ..splits.split import ALL, TEST, TRAIN, Split
from ..splits.units import unit_ids
from .dataset import LABEL, UNIT_COLUMNS, StudyPart, TrainingSet, open_part, read_rows, with_groups
from .pairs import KINDS
from .sampling import shares
from .task import TrainingTask

SAME_GROUP, SAME_IMAGE = "group called like a test group", "group with an image of a test group"


@dataclass(frozen=True)
class HeldOut:
    """Groups and images that training must not see in other studies.

    Attributes:
        kind: Kind of group, as in `folds.group`.
        groups: Names of such groups that are tested.
        digests: Digests of images that are tested.
    """

    kind: str
    groups: frozenset[str]
    digests: frozenset[str]


def read_studies(task: TrainingTask, mixture: Mixture, studies: Sequence[StudyInput]) -> TrainingSet:
    """Return the rows of all studies of a mixture, one study after the other in the order of their names.

    Args:
        task: The training.
        mixture: The studies to train on.
        studies: These studies, and the one that vectors are made of.

    Raises:
        PhenoloomError: `studies` are not those of the settings, the model contrasts pairs that only one study knows,
            a channel has no place, or too little of a study may be seen.
    """
    own, others = _own_and_others(task, mixture, studies)
    _refuse_pairs(task)
    domain = domain_of(task.model)
    held_out = _held_out(task, mixture, own)
    trained = sorted([*([own] if task.trained_here else []), *others], key=lambda study: study.name)
    parts = [_part(task, study, None if study is own else held_out) for study in trained]
    weights = shares({part.name: len(part.train) for part in parts}, task.model.training.balance)
    parts = [replace(part, share=float(share)) for part, share in zip(parts, weights, strict=True)]
    source = MixedSource([part.source for part in parts])
    data = TrainingSet(
        source,
        _all_rows(parts, task.study),
        np.concatenate([part.train + start for part, start in zip(parts, source.starts[:-1], strict=True)]),
        np.concatenate([part.validation + start for part, start in zip(parts, source.starts[:-1], strict=True)]),
        sum(part.lost for part in parts),
        None,
        tuple(store for study in trained for store in study.stores),
        domain.inputs_of_studies({part.name: part.source for part in parts}),
        None,
        domain.points(part.source for part in parts),
        tuple(parts),
    )
    return _with_own_statistics(task, data, own)


def _own_and_others(
    task: TrainingTask, mixture: Mixture, studies: Sequence[StudyInput]
) -> tuple[StudyInput, list[StudyInput]]:
    own = next(study for study in studies if study.name == task.study)
    others = [study for study in studies if study is not own]
    expected = sorted(set(mixture.studies) - {task.study})
    if sorted(other.name for other in others) != expected:
        raise PhenoloomError(
            f"{task.name} is trained on {', '.join(mixture.studies)}, so `--also` must give "
            f"{', '.join(expected)}, found {', '.join(other.name for other in others) or 'none'}"
        )
    return own, others


def _all_rows(parts: Sequence[StudyPart], own: str) -> pd.DataFrame:
    table = pd.concat([part.table.assign(study=part.name) for part in parts], ignore_index=True)
    if LABEL in table:
        # Equal names in two studies need not mean the same class.
        table[LABEL] = table[LABEL].where(table["study"] == own, None)
    return table


def _part(task: TrainingTask, study: StudyInput, held_out: HeldOut | None) -> StudyPart:
    """Return what may be seen of a study; `held_out` is given for each study but the model's own."""
    known = [name for name in ("group", "digest") if name in read_result_schema(study.index).names]
    table = with_groups(read_rows(task, study.index, known), split := Split.read(study.folds))
    taken: dict[str, int] = {}
    if held_out is None:
        table = table[np.isin(split.roles(table, task.split), [TRAIN, ALL])]
    else:
        out = _taken_out(table, held_out)
        taken = {reason: int(mask.sum()) for reason, mask in out.items()}
        table = table[~np.any(list(out.values()), axis=0)]
    if len(table) == 0:
        counted = ", ".join(f"{count} rows in a {reason}" for reason, count in taken.items() if count)
        raise PhenoloomError(
            f"Nothing of {study.name} may be seen by {task.name} for {task.split} of {task.study}: "
            f"{counted or 'all of it is tested'}; where groups of the two studies share names but nothing else, "
            "set `shared_groups: keep`, else leave the study out of `trained_on`"
        )
    columns = [name for name in table.columns if name not in ("group", "digest")]
    return replace(open_part(task, study, table[columns]), taken_out=taken)


def _held_out(task: TrainingTask, mixture: Mixture, own: StudyInput) -> HeldOut:
    """Return what training must not see: the test groups of the split, or everything that is ever tested.

    The latter is for one encoder that serves all folds; of a transductive one nothing is held out.
    """
    there = read_result_schema(own.index).names
    table = read_result(own.index, columns=[*UNIT_COLUMNS, *({"group", "digest"} & set(there))]).to_pandas()
    split = Split.read(own.folds)
    if task.split != ALL:
        tested = split.roles(table, task.split) == TEST
    else:
        tested = np.full(len(table), not task.trained_here)
    kind = str(split.facts.get("group", "object"))
    hidden = table[tested]
    names = _group_names(hidden, kind) if mixture.shared_groups == "drop" else []
    return HeldOut(kind, frozenset(names), digests_of(hidden))


def _taken_out(table: pd.DataFrame, held_out: HeldOut) -> dict[str, NDArray[np.bool_]]:
    """Return masks of the rows of another study that must not be seen, by reason; no row has two."""
    same_group = np.zeros(len(table), bool)
    if held_out.groups:
        same_group = _groups_by(table, held_out.kind).isin(held_out.groups).to_numpy()
    return {SAME_GROUP: same_group, SAME_IMAGE: with_copies(table, held_out.digests) & ~same_group}


def _groups_by(table: pd.DataFrame, kind: str) -> pd.Series:
    """Return the group of each row, for a kind of group as in `folds.group`; null where a row has none."""
    if kind == "well":
        return unit_ids(table, "well")
    column = {"image": "image_id", "plate": "plate", "group": "group"}.get(kind, "id")
    return table[column] if column in table else pd.Series(None, index=table.index, dtype=object)


def _group_names(table: pd.DataFrame, kind: str) -> set[str]:
    names = _groups_by(table, kind).dropna()
    return set(names[names != ""])


def _with_own_statistics(task: TrainingTask, data: TrainingSet, own: StudyInput) -> TrainingSet:
    """Return the training set with the statistics by which items of the model's own study will be embedded.

    Where the study is not trained on, these are the statistics of its train groups in each split.
    """
    domain = domain_of(task.model)
    part = next((part for part in data.studies if part.name == own.name), None)
    if part is not None:
        return replace(data, normaliser=part.normaliser, channels=part.source.channels)
    if not domain.normalises:
        return data
    table, split = read_rows(task, own.index), Split.read(own.folds)
    by_fold: dict[str, Normaliser] = {}
    for name in split.names:
        seen = table[split.roles(table, name) == TRAIN]
        fitted = domain.statistics(seen) if len(seen) else None
        if fitted is None:
            raise PhenoloomError(f"{own.index} has no row outside the test groups of {name}; use fewer folds")
        by_fold[name] = fitted
    channels = domain.open(table, own.stores).source.channels
    # Refuses channels without a place now rather than after the training.
    domain.place(data.inputs.names or [], own.name, channels or [])
    return replace(data, normaliser=domain.statistics(table), fold_normalisers=by_fold, channels=channels)


def _refuse_pairs(task: TrainingTask) -> None:
    pairs = domain_of(task.model).pairs
    if pairs in KINDS:
        raise PhenoloomError(
            f"`contrast.pairs: {pairs}` needs what one study states about its images, and {task.name} is "
            "trained on several; use `views` or `channels`"
        )


def rows_of_study(data: TrainingSet, study: str) -> tuple[Rows, Rows]:
    """Return the train and validation rows of a study, or those of all studies where it is not trained on."""
    own = (data.table["study"] == study).to_numpy()
    if not own.any():
        return data.train, data.validation
    return data.train[own[data.train]], data.validation[own[data.validation]]
