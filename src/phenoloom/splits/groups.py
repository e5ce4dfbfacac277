"""Groups, the units that are never torn over two folds: those that a study asks for, and those that it could ask for.

Rows are those of an index with `id, image_id, plate, well, group, digest`, perhaps `stack`, and with `unit` (the name
of the unit of each row) and `label` (its classes as a tuple).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.errors import PhenoloomError
from .design import SplitDesign
from .duplicates import merge_duplicates
from .units import unit_ids

KINDS = ("plate", "group", "well", "image", "object")
"""Values of `folds.group`, from the coarsest on."""

Groupings = Mapping[str, "pd.Series[str]"]
"""Kind of group -> the group of each unit, by the name of the unit."""


def refuse_without_wells(rows: pd.DataFrame, design: SplitDesign) -> None:
    """Refuse rows without a well where units or groups are wells."""
    keys = [
        key for key, kind in (("classify.unit", design.unit), ("folds.group", design.folds.group)) if kind == "well"
    ]
    wells = unit_ids(rows, "well") if keys else rows["image_id"]
    if wells.isna().any():
        both, image = " and ".join(keys), rows.loc[wells.isna(), "image_id"].iloc[0]
        raise PhenoloomError(
            f"Image {image!r} has no well, but {both} {'is' if len(keys) == 1 else 'are'} well: give every image a "
            "well (`{well}` in source.files, or a column of the table, named in source.columns.well), or set "
            f"{both} to image"
        )


def group_rows(rows: pd.DataFrame, kind: str) -> tuple[pd.Series[str], npt.NDArray[np.bool_]]:
    """Return the group of each row, and the mask of the rows without one, which stand alone as their unit.

    An unlabelled unit of a study with scores is never tested, so it needs no group; pretraining still asks for one.
    """
    groups = _named(rows, kind)
    absent = (groups.isna() | (groups == "")).to_numpy(bool)
    return groups.where(~absent, rows["unit"]), absent


def other_groupings(rows: pd.DataFrame, design: SplitDesign) -> dict[str, pd.Series[str]]:
    """Return the groupings other than that of the design which give every unit one group, from the coarsest on."""
    found: dict[str, pd.Series[str]] = {}
    for kind in KINDS:
        if kind == design.folds.group or (kind == "well" and unit_ids(rows, "well").isna().any()):
            continue
        groups, absent = group_rows(rows, kind)
        if absent.any():
            continue
        merged, _ = merge_duplicates(rows.assign(group=groups))
        of_units = pd.DataFrame({"unit": rows["unit"], "group": merged}).drop_duplicates()
        if not of_units["unit"].duplicated().any():
            found[kind] = of_units.set_index("unit")["group"]
    return found


def refuse_ungrouped(rows: pd.DataFrame, without: npt.NDArray[np.bool_], design: SplitDesign) -> None:
    """Refuse rows that would be tested, but have no group to stay with."""
    if not without.any():
        return
    kind, others = design.folds.group, other_groupings(rows, design)
    labelled = " has a label but" if rows.loc[without, "label"].map(bool).any() else " has"
    raise PhenoloomError(
        f"Unit {rows.loc[without, 'unit'].min()!r}{labelled} no {kind}, so it cannot be kept in one fold with its "
        f"{kind}; give every image a {kind}{_or_set(others)}"
    )


def refuse_torn_units(rows: pd.DataFrame, groups: pd.Series[str], design: SplitDesign) -> None:
    """Refuse units with rows in several groups."""
    distinct = pd.DataFrame({"unit": rows["unit"], "group": groups}).drop_duplicates()
    torn = distinct.loc[distinct["unit"].duplicated(), "unit"]
    if torn.empty:
        return
    name, others = torn.min(), other_groupings(rows, design)
    found = sorted(distinct.loc[distinct["unit"] == name, "group"])
    advice = f"set folds.group to {' or '.join(others)}" if others else "set classify.unit to object"
    raise PhenoloomError(
        f"classify.unit is {design.unit} and folds.group is {design.folds.group}, but unit {name!r} lies in "
        f"{len(found)} groups ({', '.join(found[:3])}), and a group must hold whole units; {advice}"
    )


def _named(rows: pd.DataFrame, kind: str) -> pd.Series[str]:
    if kind == "well":
        return unit_ids(rows, "well")
    groups = rows[{"object": "unit", "image": "image_id", "plate": "plate", "group": "group"}[kind]]
    if "stack" in rows and kind in ("object", "image"):
        # Planes of one stack show the same cells.
        return rows["stack"].where(rows["stack"].notna(), groups)
    return groups


def _or_set(others: Groupings) -> str:
    return f", or set folds.group to {' or '.join(others)}" if others else ""
