"""The step that splits a study into test folds, shared by every representation and probe.

Two units of one group never lie in two folds, and images with equal content make one group whatever their names.
Classes too small for the folds are left out by name and counted; nothing else is dropped. A study without labels, or
with labels that no folds could score, is split all the same, so that its encoders are trained; its folds state why
there are no scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..artifacts.manifest import Manifest, file_digest, write_manifest
from ..artifacts.parquet import read_result, read_result_schema, table_metadata
from ..artifacts.provenance import Provenance
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from .assign import assign
from .design import SplitDesign
from .duplicates import merge_duplicates
from .groups import group_rows, other_groupings, refuse_torn_units, refuse_ungrouped, refuse_without_wells
from .split import NEVER_TESTED
from .units import unit_ids

COLUMNS = ["id", "image_id", "plate", "well", "label", "group", "digest", "stack", "position"]
STATED = ("classes", "dropped", "merged_duplicates", "ungrouped", "unscored")
"""Facts of the table that the manifest states too."""

Labels = tuple[str, ...]
"""Classes of one unit, sorted: none (unlabelled), one, or several (multi-label)."""


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
        PhenoloomError: Units or labels contradict themselves, other folds would score the labels, or there are too few
            groups.
    """
    units, counts = split_units(design, _read_index(index), made_by.study)
    facts = {**counts, **made_by.record()}
    _write(units, facts, counts["multi_label"], output)
    left_out = {f"class too small for the folds: {name}": count for name, count in counts["dropped"].items()}
    if counts["unlabelled"] and "unscored" not in counts:
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
                **{name: facts[name] for name in STATED if name in facts},
            },
        ),
    )


def split_units(
    design: SplitDesign, table: pa.Table, study: str, *, objects_known: bool = True
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the units of a study with their folds, and the counts of what takes part and what is left out.

    Args:
        design: How to split.
        table: One row an object: `COLUMNS`, of which `digest`, `stack` and `position` may be missing.
        study: Name of the study, for error messages.
        objects_known: Whether rows are objects; otherwise each stands for the objects of an image, for advice.

    Returns:
        One row a unit, sorted by `id`: `id, group, label, fold`, and `tile` where some units have no tile; and the
        counts, which the results state.

    Raises:
        PhenoloomError: Units or labels contradict themselves, other folds would score the labels, or there are too few
            groups.
    """
    rows, multi = _with_label_sets(table)
    refuse_without_wells(rows, design)
    rows["unit"] = unit_ids(rows, design.unit)
    groups, ungrouped = group_rows(rows, design.folds.group)
    refuse_ungrouped(rows, ungrouped & rows["label"].map(bool).to_numpy(bool), design)
    grouped = rows.assign(group=groups)
    grouped["group"], merged = merge_duplicates(grouped)
    refuse_torn_units(rows, grouped["group"], design)
    units = _units(grouped, design)
    if not objects_known:
        units["rows"] = 0
    units["fold"], counts = assign(units, design, multi, study, lambda: other_groupings(rows, design))
    if "unscored" in counts:
        # All units are dealt to folds, so all need a group.
        refuse_ungrouped(rows, ungrouped, design)
    if "position" in rows and (rows["position"] < 0).any():
        units["tile"] = units["id"].isin(rows.loc[rows["position"] >= 0, "unit"])
    return units.drop(columns="rows"), {
        **counts,
        "merged_duplicates": merged,
        "ungrouped": int(rows.loc[ungrouped, "unit"].nunique()),
        "unit": design.unit,
        "group": design.folds.group,
        "scheme": design.folds.scheme,
        "count": design.folds.count,
        "multi_label": multi,
    }


def _read_index(path: Path) -> pa.Table:
    known = read_result_schema(path).names
    return read_result(path, columns=[name for name in COLUMNS if name in known])


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


def _units(rows: pd.DataFrame, design: SplitDesign) -> pd.DataFrame:
    """Return one row a unit, sorted by `id`: `id, group, label, rows`; refuse units with conflicting labels."""
    labels = rows.loc[rows["label"].map(bool), ["unit", "label"]].drop_duplicates()
    torn = labels.loc[labels["unit"].duplicated(), "unit"]
    if len(torn):
        name = torn.min()
        found = sorted(" + ".join(sorted(label)) for label in labels.loc[labels["unit"] == name, "label"])
        raise PhenoloomError(
            f"Unit {name!r} has conflicting labels ({', '.join(found[:3])}); each {design.unit} needs one label: "
            f"correct the table, or set classify.unit to {_unit_of_one_label(rows)}"
        )
    units = rows.groupby("unit").agg(group=("group", "first"), rows=("id", "size"))
    known = labels.set_index("unit")["label"]
    return pd.DataFrame(
        {
            "id": units.index,
            "group": units["group"].array,
            "label": [known.get(unit, ()) for unit in units.index],
            "rows": units["rows"].array,
        }
    )


def _unit_of_one_label(rows: pd.DataFrame) -> str:
    """Return the largest kind of unit below a well that has one label each: its images, or else its objects."""
    labels = rows.loc[rows["label"].map(bool), ["image_id", "label"]].drop_duplicates()
    return "object" if labels["image_id"].duplicated().any() else "image"


def _write(units: pd.DataFrame, facts: dict[str, Any], multi: bool, output: Path) -> None:
    labels = [sorted(label) if multi else next(iter(label), None) for label in units["label"]]
    columns = {
        "id": pa.array(units["id"], pa.string()),
        "group": pa.array(units["group"], pa.string()),
        "label": pa.array(labels, pa.list_(pa.string()) if multi else pa.string()),
        "fold": pa.array(units["fold"], pa.int16()),
    }
    if "tile" in units:
        columns["tile"] = pa.array(units["tile"], pa.bool_())
    table = pa.table(columns).replace_schema_metadata(table_metadata(facts))
    write_atomically(output, lambda file: pq.write_table(table, file))
