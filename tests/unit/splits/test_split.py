from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.artifacts.parquet import table_metadata
from phenoloom.core.errors import PhenoloomError
from phenoloom.splits.split import Split, hold_out


def index(wells: list[str | None], objects: int = 2) -> pd.DataFrame:
    rows = [
        {"id": f"P/{w}/0#{o:04d}", "image_id": f"P/{w}/0", "plate": "P", "well": w}
        for w in wells
        for o in range(objects)
    ]
    return pd.DataFrame(rows)


def folds(units: dict[str, tuple[str, int]], unit: str) -> Split:
    groups, fold = (np.array(values) for values in zip(*units.values(), strict=True))
    names = np.array(list(units), object)
    return Split(names, groups.astype(object), fold, np.zeros(len(units), np.int64), ["a"], {"unit": unit})


@pytest.mark.parametrize("unit", ["object", "image", "well"])
def test_units_of_every_kind_are_found_from_the_columns_of_the_index(unit: str) -> None:
    table = index(["A1", "A2", "A3"])
    names = {"object": "P/{}/0#{:04d}", "image": "P/{}/0", "well": "P/{}"}[unit]
    units = {names.format(w, o): (w, i) for i, w in enumerate(["A1", "A2", "A3"]) for o in range(2)}
    assert folds(units, unit).groups_of(table).tolist() == ["A1", "A1", "A2", "A2", "A3", "A3"]
    assert folds(units, unit).roles(table, "fold-1").tolist() == ["train"] * 2 + ["test"] * 2 + ["train"] * 2


def test_a_group_is_tested_as_a_whole_even_if_some_of_its_units_are_unlabelled() -> None:
    units = {"P/A1": ("g1", 0), "P/A2": ("g1", -1), "P/A3": ("g2", 1), "P/A4": ("g3", -1)}
    roles = folds(units, "well").roles(index(["A1", "A2", "A3", "A4"], 1), "fold-0")
    assert roles.tolist() == ["test", "test", "train", "train"]


def test_rows_outside_every_unit_are_neither_trained_on_nor_tested() -> None:
    table = index(["A1", None, "A3", "A9"], 1)
    units = folds({"P/A1": ("g1", 0), "P/A3": ("g2", 1)}, "well")
    assert units.roles(table, "fold-0").tolist() == ["test", "unused", "train", "unused"]
    assert units.roles(table, "all").tolist() == ["all"] * 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 2)), min_size=3, max_size=30))
def test_no_test_group_is_ever_trained_on(assigned: list[tuple[int, int]]) -> None:
    units = {f"P/{i}": (f"g{group}", fold) for i, (group, fold) in enumerate([*assigned, (0, 0), (1, 1)])}
    table = index([name.removeprefix("P/") for name in units], 1)
    split = folds(units, "well")
    roles, groups = split.roles(table, "fold-0"), split.groups_of(table)
    assert not set(groups[roles == "train"]) & {group for group, fold in units.values() if fold == 0}
    assert (roles == "test").any()


def test_an_unknown_split_is_named_with_the_valid_ones() -> None:
    with pytest.raises(PhenoloomError, match=r"no split 'fold-7'.*fold-0, fold-1, all"):
        folds({"P/A1": ("g", 0), "P/A2": ("h", 1)}, "well").roles(index(["A1"]), "fold-7")


def write(path: Path, rows: list[tuple[str, str, Any, int]], **changes: Any) -> Path:
    """A file of units (id, group, label, fold); `changes` replace facts, None removes one."""
    multi = isinstance(rows[0][2], list)
    facts = {"unit": "image", "count": 2, "multi_label": multi, "classes": {"x": 1, "y": 1}} | changes
    ids, groups, labels, fold = (list(column) for column in zip(*rows, strict=True))
    label = pa.array(labels, pa.list_(pa.string()) if multi else pa.string())
    table = pa.table({"id": ids, "group": groups, "label": label, "fold": pa.array(fold, pa.int16())})
    known = table_metadata({name: value for name, value in facts.items() if value is not None})
    pq.write_table(table.replace_schema_metadata(known), path)
    return path


ROWS = [("a", "g", "x", 0), ("b", "h", "y", 1), ("c", "h", "rare", -1), ("d", "i", None, -1), ("e", "g", "y", 0)]


def test_a_file_is_read_with_its_facts_and_units_without_a_class_have_no_code(tmp_path: Path) -> None:
    split = Split.read(write(tmp_path / "folds.parquet", ROWS), "image", 2)
    assert split.units.tolist() == ["a", "b", "c", "d", "e"]
    assert split.groups.tolist() == ["g", "h", "h", "i", "g"]
    assert split.fold.tolist() == [0, 1, -1, -1, 0]
    assert (split.classes, split.targets.tolist()) == (["x", "y"], [0, 1, -1, -1, 1])
    assert (split.unit, split.names, split.support()) == ("image", ["fold-0", "fold-1"], {"x": 1, "y": 2})
    assert split.tested().units.tolist() == ["a", "b", "e"]
    assert split.among(["y"]).units.tolist() == ["b", "e"]
    assert split.without(split.groups == "g").units.tolist() == ["b", "c", "d"]


def test_several_labels_a_unit_become_flags(tmp_path: Path) -> None:
    rows = [("a", "g", ["x", "y"], 0), ("b", "h", ["rare", "y"], 1), ("c", "i", [], -1)]
    split = Split.read(write(tmp_path / "folds.parquet", rows))
    assert split.targets.tolist() == [[True, True], [False, True], [False, False]]
    assert (split.support(), split.among(["x"]).units.tolist()) == ({"x": 1, "y": 2}, ["a"])


def test_rows_find_the_fold_of_their_unit(tmp_path: Path) -> None:
    split = Split.read(write(tmp_path / "folds.parquet", ROWS))
    rows = pd.DataFrame({"id": ["1", "2", "3"], "image_id": ["b", "unknown", "c"], "plate": None, "well": None})
    assert split.folds_of(rows).tolist() == [1, -1, -1]
    assert split.units_of(rows).tolist() == ["b", "unknown", "c"]


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (ROWS, {"unit": None}, "must state the unit"),
        (ROWS, {"classes": None, "multi_label": False}, "must state classes"),
        (ROWS * 2, {}, "unit 'a' twice"),
        ([*ROWS, ("f", "g", "x", 1)], {}, "group 'g' sits in more than one fold"),
        (ROWS, {"unit": "well"}, "splits wells into 2 folds, but the study asks for 2 folds of images"),
        (ROWS, {"count": 3}, "splits images into 3 folds, but the study asks for 2 folds of images"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(
    tmp_path: Path, rows: list[tuple[str, str, Any, int]], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(PhenoloomError, match=message):
        Split.read(write(tmp_path / "folds.parquet", rows, **changes), "image", 2)


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 5))
def test_whole_groups_are_held_out_at_least_one_and_never_all(count: int, fraction: float, seed: int) -> None:
    groups = pd.Series([f"g{i % count}" for i in range(3 * count)])
    held = hold_out(groups, groups.index.astype(str).to_series(), fraction, seed)
    assert set(groups[held]).isdisjoint(groups[~held])
    assert groups[held].nunique() == min(max(1, round(fraction * count)), count - 1)


def test_which_groups_are_held_out_depends_on_names_and_seed_only() -> None:
    groups = pd.Series([f"g{i}" for i in range(50)])
    held = set(groups[hold_out(groups, groups, 0.2, 1)])
    shuffled = groups.sample(frac=1, random_state=0)
    assert set(shuffled[hold_out(shuffled, shuffled, 0.2, 1)]) == held
    assert set(groups[hold_out(groups, groups, 0.2, 2)]) != held


def test_of_a_single_group_rows_are_held_out() -> None:
    ids = pd.Series([f"i{i}" for i in range(10)])
    held = hold_out(pd.Series(["only"] * 10), ids, 0.3, 0)
    assert np.count_nonzero(held) == 3
