"""The step that splits a study into test folds, shared by every representation and probe.

Two units of one group never lie in two folds, and images with equal content make one group whatever their names.
Classes too small for the folds are left out by name and counted; nothing else is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..artifacts.manifest import Manifest, file_digest, write_manifest
from ..artifacts.parquet import table_metadata
from ..artifacts.provenance import Provenance
from ..config.base import Unit
from ..config.study import Folds
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from .duplicates import merge_duplicates
from .split import NEVER_TESTED
from .stratify import missing, stratify
from .units import unit_ids

COLUMNS = ["id", "image_id", "plate", "well", "label", "group", "digest", "stack"]

Labels = tuple[str, ...]
"""Classes of one unit, sorted: none (unlabelled), one, or several (multi-label)."""


@dataclass(frozen=True)
class SplitDesign:
    """Settings of the split of a study.

    Attributes:
        unit: Kind of unit that is classified.
        folds: Scheme, number of folds, and kind of group that stays in one fold.
        seed: Decides between groups that are alike.
    """

    unit: Unit
    folds: Folds
    seed: int

    @property
    def least_groups(self) -> int:
        """Groups that a class needs: one a fold, or two where each group is a fold, one to train on and one to test."""
        return 2 if self.folds.scheme == "leave-one-group-out" else self.folds.count


def make_folds(design: SplitDesign, index: Path, output: Path, manifest: Path, made_by: Provenance) -> None:
    """Assign the units of an index to folds, and write them with the counts of what was left out.

    The answer depends on the set of rows, the design and the seed, not on the order of the rows. Training depends on
    the small manifest, which is written last, so that a touched table of a million units does not train anything
    again. The manifest holds the digest of the index too, because the same folds of other rows are other folds.

    Args:
        design: How to split.
        index: Table with one row an object, `index.parquet`.
        output: Table with one row a unit, `folds.parquet`, which `Split.read` reads.
        manifest: Small file that makes the result exist.
        made_by: Study and settings of the step.

    Raises:
        PhenoloomError: Units or labels contradict themselves, or the labels do not allow such a split.
    """
    units, counts = split_units(design, _read_index(index), made_by.study)
    facts = {**counts, **made_by.record()}
    _write(units, facts, counts["multi_label"], output)
    left_out = {f"class too small for the folds: {name}": count for name, count in counts["dropped"].items()}
    if counts["unlabelled"]:
        left_out["unit without a label"] = counts["unlabelled"]
    tested = units["fold"] != NEVER_TESTED
    write_manifest(
        manifest,
        Manifest(
            "folds",
            made_by,
            expected={"units": len(units)},
            found={"units": int(tested.sum()), "groups": int(units["group"].nunique())},
            rejected=left_out,
            content=file_digest([output]),
            facts={
                "index": file_digest([index]),
                **{name: facts[name] for name in ("classes", "dropped", "merged_duplicates", "ungrouped")},
            },
        ),
    )


def split_units(design: SplitDesign, table: pa.Table, study: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the units of a study with their folds, and the counts of what takes part and what is left out.

    Args:
        design: How to split.
        table: One row an object: `COLUMNS`, of which `digest` and `stack` may be missing.
        study: Name of the study, for error messages.

    Returns:
        One row a unit, sorted by `id`: `id, group, label, fold`; and the counts, which the results state.

    Raises:
        PhenoloomError: Units or labels contradict themselves, or the labels do not allow such a split.
    """
    rows, multi = _with_label_sets(table)
    rows["unit"] = _units_of(rows, design.unit)
    rows["group"], ungrouped = _groups(rows, design)
    rows["group"], merged = merge_duplicates(rows)
    units = _units(rows, design)
    units["fold"], counts = _assign(units, design, multi, study)
    return units, {
        **counts,
        "merged_duplicates": merged,
        "ungrouped": ungrouped,
        "unit": design.unit,
        "group": design.folds.group,
        "scheme": design.folds.scheme,
        "count": design.folds.count,
        "multi_label": multi,
    }


def _units_of(rows: pd.DataFrame, unit: Unit) -> pd.Series[str]:
    units = unit_ids(rows, unit)
    if units.isna().any():
        image = rows.loc[units.isna(), "image_id"].iloc[0]
        raise PhenoloomError(
            f"Image {image!r} has no well, but units or groups are wells; give the file pattern or the table a `well`, "
            "or set classify.unit and folds.group to something else"
        )
    return units


def _read_index(path: Path) -> pa.Table:
    known = pq.read_schema(path).names
    return pq.read_table(path, columns=[name for name in COLUMNS if name in known])


def _with_label_sets(table: pa.Table) -> tuple[pd.DataFrame, bool]:
    """Return the columns that decide the split, with labels as sets, and whether units may have several labels."""
    kind = table.schema.field("label").type
    rows = table.to_pandas(ignore_metadata=True)
    if "digest" not in rows:
        rows["digest"] = ""
    rows["label"] = rows["label"].map(_label_set)
    return rows, pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _label_set(cell: Any) -> Labels:
    names = [cell] if cell is None or isinstance(cell, (str, float)) else cell
    return tuple(sorted({name for name in names if isinstance(name, str) and name}))


def _groups(rows: pd.DataFrame, design: SplitDesign) -> tuple[pd.Series[str], int]:
    """Return the group of each row, and how many unlabelled units have none and become a group of their own."""
    kind = design.folds.group
    columns = {"object": "unit", "image": "image_id", "plate": "plate", "group": "group"}
    groups = _units_of(rows, "well") if kind == "well" else rows[columns[kind]]
    if "stack" in rows and kind in ("object", "image"):
        # Planes of one stack show the same cells.
        groups = rows["stack"].where(rows["stack"].notna(), groups)
    absent = groups.isna() | (groups == "")
    labelled = absent & rows["label"].map(bool)
    if labelled.any():
        raise PhenoloomError(
            f"Unit {rows.loc[labelled, 'unit'].min()!r} has a label but no {kind}, so it cannot be kept in one fold "
            f"with its {kind}; complete the column, or set folds.group to one of object, image, well, plate"
        )
    # An unlabelled unit is never classified, so it needs no group; pretraining still asks for one.
    return groups.where(~absent, rows["unit"]), int(rows.loc[absent, "unit"].nunique())


def _units(rows: pd.DataFrame, design: SplitDesign) -> pd.DataFrame:
    """Return one row a unit, sorted by `id`: `id, group, label`; refuse units that contradict themselves."""
    distinct = rows[["unit", "group"]].drop_duplicates()
    torn = distinct.loc[distinct["unit"].duplicated(), "unit"]
    if len(torn):
        name = torn.min()
        found = sorted(distinct.loc[distinct["unit"] == name, "group"])
        raise PhenoloomError(
            f"classify.unit is {design.unit} and folds.group is {design.folds.group}, but unit {name!r} lies in "
            f"{len(found)} groups ({', '.join(found[:3])}); choose a group that holds whole units"
        )
    labels = rows.loc[rows["label"].map(bool), ["unit", "label"]].drop_duplicates()
    torn = labels.loc[labels["unit"].duplicated(), "unit"]
    if len(torn):
        name = torn.min()
        found = sorted(" + ".join(sorted(label)) for label in labels.loc[labels["unit"] == name, "label"])
        raise PhenoloomError(
            f"Unit {name!r} has conflicting labels ({', '.join(found[:3])}); each {design.unit} needs one label: "
            "correct the table, or choose a smaller classify.unit"
        )
    units = distinct.set_index("unit").sort_index()
    known = labels.set_index("unit")["label"]
    return pd.DataFrame(
        {"id": units.index, "group": units["group"].array, "label": [known.get(unit, ()) for unit in units.index]}
    )


def _assign(
    units: pd.DataFrame, design: SplitDesign, multi: bool, study: str
) -> tuple[npt.NDArray[np.int16], dict[str, Any]]:
    """Return the fold of each unit (`NEVER_TESTED` for none), and counts of what takes part and what is left out."""
    labelled = units.explode("label")[["group", "label"]].dropna()
    support = labelled.groupby("label")["group"].nunique()
    dropped = sorted(support.index[support < design.least_groups])
    kept = labelled[~labelled["label"].isin(dropped)]
    counts = pd.crosstab(kept["group"], kept["label"])
    _refuse(design, study, labelled, counts)
    table = counts.to_numpy(np.int64)
    if design.folds.scheme == "leave-one-group-out":
        assignment = np.arange(len(counts), dtype=np.int16)
    else:
        assignment = stratify(table, design.folds.count, design.seed)
    if not multi:
        _refuse_single_classes(study, counts, assignment)
    fold_of = dict(zip(counts.index, assignment, strict=True))
    fold = np.full(len(units), NEVER_TESTED, np.int16)
    tested = kept.index.unique()
    fold[tested] = units.loc[tested, "group"].map(fold_of)
    lacking = missing(table, assignment, design.folds.count)
    facts = {
        "classes": _count(kept["label"]),
        "dropped": _count(labelled.loc[labelled["label"].isin(dropped), "label"]),
        "folds_without": {str(c): int(n) for c, n in zip(counts.columns, lacking, strict=True) if n},
        "unlabelled": int((units["label"].map(len) == 0).sum()),
    }
    return fold, facts


def _count(labels: pd.Series[str]) -> dict[str, int]:
    return {str(name): int(n) for name, n in labels.value_counts().sort_index().items()}


def _refuse(design: SplitDesign, study: str, labelled: pd.DataFrame, counts: pd.DataFrame) -> None:
    """Refuse studies that cannot be split: no labels, too few groups, or fewer than two classes."""
    folds, where = design.folds, f"Study {study}"
    if labelled.empty:
        raise PhenoloomError(
            f"{where}: no {design.unit} has a label, so there is nothing to classify; name the column of labels in "
            "source.columns.label, or check that the table joins the images"
        )
    groups = labelled["group"].nunique()
    if folds.scheme == "stratified-group-kfold" and groups < folds.count:
        raise PhenoloomError(
            f"{where}: {folds.count} folds need at least {folds.count} labelled groups, but folds.group = "
            f"{folds.group} gives {groups}; lower folds.count, or choose a smaller folds.group"
        )
    if len(counts.columns) < 2:
        found = "; ".join(
            f"{name}: {len(of)} units in {of['group'].nunique()}" for name, of in labelled.groupby("label")
        )
        raise PhenoloomError(
            f"{where}: classification needs two classes in at least {design.least_groups} groups ({folds.group}) each, "
            f"but found {found}; label more, lower folds.count, or choose a smaller folds.group"
        )
    if folds.scheme == "leave-one-group-out" and len(counts) != folds.count:
        raise PhenoloomError(
            f"{where}: leave-one-group-out has one fold a group, and there are {len(counts)} groups ({folds.group}), "
            f"but folds.count is {folds.count}; set folds.count to {len(counts)}"
        )


def _refuse_single_classes(study: str, counts: pd.DataFrame, assignment: npt.NDArray[np.int16]) -> None:
    """Refuse test folds of one class: where none can be taken for another, a constant guess scores best."""
    present = (counts > 0).groupby(assignment).any()
    single = present[present.sum(axis=1) < 2]
    if single.empty:
        return
    fold = single.index[0]
    groups, name = counts.index[assignment == fold], single.columns[single.loc[fold]][0]
    raise PhenoloomError(
        f"Study {study}: a test fold must hold two classes, but {len(single)} of {len(present)} hold one; "
        f"fold {fold} (group {', '.join(map(repr, groups[:3]))}) has {name!r} alone. Let several groups share a fold "
        "(folds.scheme: stratified-group-kfold, or fewer folds.count), or choose a folds.group with several "
        "classes in each group"
    )


def _write(units: pd.DataFrame, facts: dict[str, Any], multi: bool, output: Path) -> None:
    labels = [sorted(label) if multi else next(iter(label), None) for label in units["label"]]
    table = pa.table(
        {
            "id": pa.array(units["id"], pa.string()),
            "group": pa.array(units["group"], pa.string()),
            "label": pa.array(labels, pa.list_(pa.string()) if multi else pa.string()),
            "fold": pa.array(units["fold"], pa.int16()),
        }
    ).replace_schema_metadata(table_metadata(facts))
    write_atomically(output, lambda file: pq.write_table(table, file))
