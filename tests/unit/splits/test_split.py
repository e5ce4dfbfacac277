from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.core.errors import PhenoloomError
from phenoloom.splits.split import FoldTable, fold_table, hold_out, row_groups, row_roles


def index(wells: list[str | None], objects: int = 2) -> pd.DataFrame:
    rows = [
        {"id": f"P/{w}/0#{o:04d}", "image_id": f"P/{w}/0", "plate": "P", "well": w}
        for w in wells
        for o in range(objects)
    ]
    return pd.DataFrame(rows)


def folds(units: dict[str, tuple[str, int]], unit: str) -> FoldTable:
    table = pd.DataFrame([{"id": name, "group": g, "fold": f} for name, (g, f) in units.items()])
    return FoldTable(table.set_index("id"), unit)


@pytest.mark.parametrize("unit", ["object", "image", "well"])
def test_units_of_every_kind_are_found_from_the_columns_of_the_index(unit: str) -> None:
    table = index(["A1", "A2", "A3"])
    names = {"object": "P/{}/0#{:04d}", "image": "P/{}/0", "well": "P/{}"}[unit]
    units = {names.format(w, o): (w, i) for i, w in enumerate(["A1", "A2", "A3"]) for o in range(2)}
    assert row_groups(table, folds(units, unit)).tolist() == ["A1", "A1", "A2", "A2", "A3", "A3"]
    assert row_roles(table, folds(units, unit), "fold-1").tolist() == ["train"] * 2 + ["test"] * 2 + ["train"] * 2


def test_a_group_is_tested_as_a_whole_even_if_some_of_its_units_are_unlabelled() -> None:
    units = {"P/A1": ("g1", 0), "P/A2": ("g1", -1), "P/A3": ("g2", 1), "P/A4": ("g3", -1)}
    roles = row_roles(index(["A1", "A2", "A3", "A4"], 1), folds(units, "well"), "fold-0")
    assert roles.tolist() == ["test", "test", "train", "train"]


def test_rows_outside_every_unit_are_neither_trained_on_nor_tested() -> None:
    table = index(["A1", None, "A3", "A9"], 1)
    units = folds({"P/A1": ("g1", 0), "P/A3": ("g2", 1)}, "well")
    assert row_roles(table, units, "fold-0").tolist() == ["test", "unused", "train", "unused"]
    assert row_roles(table, units, "all").tolist() == ["all"] * 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 2)), min_size=3, max_size=30))
def test_no_test_group_is_ever_trained_on(assigned: list[tuple[int, int]]) -> None:
    units = {f"P/{i}": (f"g{group}", fold) for i, (group, fold) in enumerate([*assigned, (0, 0), (1, 1)])}
    table = index([name.removeprefix("P/") for name in units], 1)
    roles, groups = row_roles(table, folds(units, "well"), "fold-0"), row_groups(table, folds(units, "well"))
    assert not set(groups[roles == "train"]) & {group for group, fold in units.values() if fold == 0}
    assert (roles == "test").any()


def test_an_unknown_split_is_named_with_the_valid_ones() -> None:
    with pytest.raises(PhenoloomError, match=r"no split 'fold-7'.*fold-0, fold-1, all"):
        row_roles(index(["A1"]), folds({"P/A1": ("g", 0), "P/A2": ("h", 1)}, "well"), "fold-7")


def write(path: Path, rows: list[dict[str, object]], facts: dict[str, str] | None) -> Path:
    table = pa.Table.from_pylist(rows)
    if facts is not None:
        table = table.replace_schema_metadata({b"phenoloom": json.dumps(facts).encode()})
    pq.write_table(table, path)
    return path


def test_folds_state_their_unit(tmp_path: Path) -> None:
    rows = [{"id": "a", "group": "g", "fold": 0}]
    assert fold_table(write(tmp_path / "a.parquet", rows, {"unit": "image"})).unit == "image"
    with pytest.raises(PhenoloomError, match="state the unit"):
        fold_table(write(tmp_path / "b.parquet", rows, None))
    with pytest.raises(PhenoloomError, match="'a' twice"):
        fold_table(write(tmp_path / "c.parquet", rows * 2, {"unit": "image"}))


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
