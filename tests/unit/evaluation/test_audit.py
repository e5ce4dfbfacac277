from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.studies import made_by

from phenoloom.artifacts.manifest import file_digest
from phenoloom.config.study import Classify, Folds
from phenoloom.evaluation.audit import BOTH, FIELD, PLATE, POSITION, audit, places_of
from phenoloom.evaluation.cross_validation import Evaluation
from phenoloom.evaluation.scores import read_scores
from phenoloom.splits.design import SplitDesign
from phenoloom.splits.folds import make_folds
from phenoloom.splits.split import Split

ROWS, COLUMNS, FOLDS = "ABCDEF", range(1, 9), 3


def plate_rows(plates: int = 2, cells: int = 2, **columns: Any) -> pd.DataFrame:
    """Objects of all wells of some plates; `columns` are functions of a row."""
    wells = [
        (f"P{p}", row, column, cell)
        for p in range(plates)
        for row in ROWS
        for column in COLUMNS
        for cell in range(cells)
    ]
    table = pd.DataFrame(wells, columns=["plate", "row", "column", "cell"])
    table["well"] = table["row"] + table["column"].astype(str).str.zfill(2)
    table["image_id"] = table["plate"] + "/" + table["well"]
    table["id"] = table["image_id"] + "#" + table["cell"].astype(str)
    table["field"] = table["cell"].astype(str)
    table["column"] = table["column"].astype(str)
    table["digest"] = ""
    table["group"] = None
    for name, value in columns.items():
        table[name] = value(table) if callable(value) else value
    return table.drop(columns="cell")


def audited(
    folder: Path, rows: pd.DataFrame, unit: str = "object", probes: tuple[str, ...] = ("logistic",), **folds: Any
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Mean macro-F1 by what is known (rows) and probe (columns), and the facts of the table."""
    index = folder / "index.parquet"
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), index)
    chosen = Folds(**{"count": FOLDS, "group": "well"} | folds)
    design = SplitDesign(unit, chosen, 0)  # type: ignore[arg-type]
    make_folds(design, index, folder / "folds.parquet", folder / "folds.json", made_by("s"))
    section = Classify(unit=unit, probes=list(probes), forest_trees=30)  # type: ignore[arg-type]
    evaluation = Evaluation("", section, chosen.count, seed=0)
    audit(evaluation, index, folder / "folds.parquet", folder / "audit.parquet", made_by("s"), 1)
    table, facts = read_scores(folder / "audit.parquet")
    f1 = table[table["metric"] == "macro_f1"]
    return f1.pivot_table(index="representation", columns="probe", values="value"), facts


def half(table: pd.DataFrame) -> list[str]:
    return ["left" if int(column) <= 4 else "right" for column in table["column"]]


def random(table: pd.DataFrame) -> list[str]:
    wells = table["image_id"].drop_duplicates()
    drawn = dict(zip(wells, np.random.default_rng(1).choice(["a", "b"], len(wells)), strict=True))
    return [drawn[well] for well in table["image_id"]]


def test_a_label_that_is_half_of_the_plate_is_told_from_the_position_alone(tmp_path: Path) -> None:
    means, facts = audited(tmp_path, plate_rows(label=half))
    assert means.loc[POSITION, "forest"] > 0.97
    assert means.loc[PLATE].drop("dummy").max() < 0.6
    assert means.loc[BOTH, "forest"] > 0.97
    # All probes, though the study asks for one.
    assert set(means.columns) == {"dummy", "logistic", "knn", "forest"}
    assert facts["folds"] == file_digest([tmp_path / "folds.parquet"])


def test_a_label_in_the_middle_of_the_plate_is_told_too_though_not_by_a_line(tmp_path: Path) -> None:
    def middle(table: pd.DataFrame) -> list[str]:
        inner = table["row"].isin(list("CD")) & table["column"].astype(int).between(3, 6)
        return ["in" if here else "out" for here in inner]

    means, _ = audited(tmp_path, plate_rows(label=middle))
    assert means.loc[POSITION, "forest"] > 0.9


def test_labels_drawn_at_random_for_wells_are_told_by_nothing(tmp_path: Path) -> None:
    means, _ = audited(tmp_path, plate_rows(label=random))
    assert {POSITION, PLATE, BOTH, FIELD} == set(means.index)
    assert means.drop(columns="dummy").max().max() < 0.62


def test_a_label_that_is_the_plate_is_told_from_it_where_its_wells_are_in_several_folds(tmp_path: Path) -> None:
    means, _ = audited(tmp_path, plate_rows(label=lambda t: [f"of {plate}" for plate in t["plate"]]))
    assert means.loc[PLATE].drop("dummy").min() > 0.99
    assert means.loc[POSITION].max() < 0.6


def test_a_plate_that_is_left_out_as_a_whole_is_told_by_nothing_and_positions_still_are(tmp_path: Path) -> None:
    choices = {"scheme": "leave-one-group-out", "group": "plate", "count": 3}
    means, _ = audited(tmp_path, plate_rows(plates=3, label=half), **choices)
    assert set(means.index) == {POSITION, FIELD}
    assert means.loc[POSITION, "forest"] == pytest.approx(1)


@pytest.mark.parametrize("unit", ["well", "image", "object"])
def test_units_of_any_kind_lie_where_their_rows_lie(tmp_path: Path, unit: str) -> None:
    means, _ = audited(tmp_path, plate_rows(label=half), unit=unit)
    assert means.loc[POSITION, "forest"] > 0.95
    # Each well has the same fields.
    assert (FIELD in means.index) == (unit == "object")


def test_fields_are_told_apart_where_labels_of_objects_follow_them(tmp_path: Path) -> None:
    means, _ = audited(tmp_path, plate_rows(label=lambda t: [f"of {field}" for field in t["field"]]))
    assert means.loc[FIELD, "logistic"] == pytest.approx(1)


def test_a_study_without_wells_plates_and_fields_has_no_rows(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("plate", "well", "row", "column", "field"))
    means, facts = audited(tmp_path, plate_rows(plates=1, label=half, **nowhere), group="image")
    assert means.empty
    assert "unscored" not in facts


def test_a_study_that_cannot_be_scored_has_no_rows_and_says_why(tmp_path: Path) -> None:
    means, facts = audited(tmp_path, plate_rows(label=None))
    assert means.empty
    assert facts["unscored"].startswith("no object has a label")


def test_one_plate_and_wells_without_a_place_tell_what_is_left(tmp_path: Path) -> None:
    means, _ = audited(tmp_path, plate_rows(plates=1, label=half))
    assert set(means.index) == {POSITION, FIELD}
    names = {"row": None, "column": None}
    assert POSITION not in audited(tmp_path, plate_rows(label=random, **names))[0].index


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "b", "AA", "3", None, "x1"]), st.sampled_from(["1", "02", "48", None, "?"])),
        min_size=2,
        max_size=12,
    )
)
def test_every_unit_has_a_finite_place_and_unknown_places_are_zero(places: list[tuple[str | None, str | None]]) -> None:
    rows = pd.DataFrame(places, columns=["row", "column"])
    rows["id"] = [f"u{n:02d}" for n in range(len(rows))]
    units, one = rows["id"].to_numpy(object), np.zeros(len(rows), np.int64)
    facts = {"unit": "object", "count": 2, "multi_label": False, "classes": {"a": len(rows)}}
    found = places_of(rows, Split(units, units, one, one, ["a"], facts))
    numbers = {"A": 1, "b": 2, "AA": 27, "3": 3, "1": 1, "02": 2, "48": 48}
    expected = [[numbers[r], numbers[c]] if r in numbers and c in numbers else [0, 0] for r, c in places]  # type: ignore[index]
    if len({tuple(place) for place in expected}) > 1:
        assert found[POSITION].vectors[:, :2].tolist() == expected
    else:
        assert POSITION not in found
    assert all(np.isfinite(of_units.vectors).all() for of_units in found.values())
