"""Say which classes a study has, and how `folds` would split it, by its own code."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from ..config.study import Study
from ..core.errors import PhenoloomError
from ..splits.design import SplitDesign
from ..splits.folds import COLUMNS, split_units
from ..splits.split import NEVER_TESTED
from .subject import Finding, Subject, counted, listed

MOST_CLASSES = 12
"""Classes that are listed one by one; of more, the three largest and the three smallest."""

MOST_UNITS = 200_000
"""Rows that are split; splitting more takes longer than a check should."""

_UNSCORED = "it will be embedded and reported without scores"
_UNKNOWN = "not known yet: each object is a group (folds.group: object), and the objects are found in conversion"


def labels(subject: Subject) -> Finding:
    """Say how many images, or objects with a row in the table of objects, each class has, in how many groups."""
    source = subject.study.source
    noun = "outline" if source.outlines else "object" if source.labels_objects else "image"
    table = subject.labelled if source.labels_objects else subject.table
    rows = _rows(table).to_pandas()
    rows["group"] = _group_of(rows, subject.study)
    each = _labels_of(rows)
    if each.empty:
        return Finding("labels", [f"no {noun} has a label"])
    found = each.groupby("label")["group"].agg(["size", "nunique"])
    found = found.sort_values("size", ascending=False, kind="stable")
    kind = subject.study.folds.group
    by_group = kind not in ("image", "object")
    texts = [
        f"{name} {images:,}" + (f" in {counted(int(groups), kind)}" if by_group else "")
        for name, images, groups in found.itertuples()
    ]
    lines = [f"{counted(len(found), 'class')} of {noun}s: {_some(texts)}"]
    if none := len(rows) - each.index.nunique():
        lines.append(f"{counted(none, noun)} without a label")
    return Finding("labels", lines)


def folds(subject: Subject) -> Finding:
    """Say how the images would be split, or why they cannot be.

    Objects are not known yet, so each image stands for the objects in it: groups of images, wells and plates are the
    same for both. A table of objects names them, and each of its rows stands for one.
    """
    study, table = subject.study, _rows(subject.labelled)
    if table.num_rows > MOST_UNITS:
        return Finding("folds", [f"not looked at: there are more than {MOST_UNITS:,} rows"])
    design = SplitDesign(study.classify.unit, study.folds, study.seed)
    try:
        units, counts = split_units(design, table, subject.name, objects_known=_rows_are_objects(study))
    except PhenoloomError as error:
        if _objects_matter(study) and study.classify.unit in ("object", "tile"):
            return Finding("folds", [_UNKNOWN, *_without_labels(table)])
        return Finding("folds", problems=[str(error)])
    if _objects_matter(study):
        return Finding("folds", [_UNKNOWN, *_without_labels(table)])
    tested = units[units["fold"] != NEVER_TESTED]
    groups = tested.groupby("fold")["group"].nunique().to_numpy()
    least = "" if groups.min() == groups.max() else f"{groups.min():,} to "
    lines = [f"{counted(len(groups), 'fold')} of {least}{counted(int(groups.max()), study.folds.group)}"]
    if "unscored" in counts:
        lines.append(f"{_UNSCORED}: {counts['unscored']}")
    if counts["dropped"]:
        lines.append(
            f"left out, in fewer than {counted(design.least_groups, 'group')}: {listed([*counts['dropped']], 10)}"
        )
    if counts["folds_without"]:
        without = [f"{name} ({number})" for name, number in counts["folds_without"].items()]
        lines.append(f"classes that some test folds lack (number of folds): {listed(without, 10)}")
    return Finding("folds", lines)


def _labels_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each label of each row, with the same index."""
    each = rows.explode("label").dropna(subset="label")
    return each[each["label"] != ""]


def _rows(table: pa.Table) -> pa.Table:
    """Return the columns that decide the split; an image stands for its objects."""
    table = table if "id" in table.column_names else table.append_column("id", table["image_id"])
    return table.select([name for name in COLUMNS if name in table.column_names])


def _group_of(rows: pd.DataFrame, study: Study) -> pd.Series:
    name = {"object": "image_id", "image": "image_id"}.get(study.folds.group, study.folds.group)
    if name != "well":
        return rows[name]
    return rows["well"].where(rows["plate"].isna(), rows["plate"].fillna("") + "/" + rows["well"])


def _without_labels(table: pa.Table) -> list[str]:
    """Return a line on a study without labels."""
    return [f"{_UNSCORED}: no image has a label"] if _labels_of(table.to_pandas()).empty else []


def _objects_matter(study: Study) -> bool:
    """Return whether an image may hold several groups: where each object is one."""
    return study.folds.group == "object" and not _rows_are_objects(study)


def _rows_are_objects(study: Study) -> bool:
    """Return whether each row of the table is one object."""
    one = study.source.outlines or (study.source.masks and study.source.masks.objects == "one")
    return bool(one or study.source.object_rows)


def _some(texts: list[str]) -> str:
    if len(texts) <= MOST_CLASSES:
        return ", ".join(texts)
    return ", ".join([*texts[:3], "...", *texts[-3:]])
