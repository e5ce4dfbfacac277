"""Trainings that differ in their seed alone are one representation, and no lucky seed leads the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.helpers.report_results import DRAWN, SEEDS, MadeUp, ReportedStudy, report_on

from phenoloom.report import make_overview
from phenoloom.report.caveats import caveats
from phenoloom.report.charts.dot_plot import difference_dots, score_dots
from phenoloom.report.scoreboard import Scoreboard
from phenoloom.report.sections.errors import confusions, per_class
from phenoloom.report.sections.scores import by_probe, by_seed, differences, pairs
from phenoloom.report.seeds import SeedFamilies, over_seeds
from phenoloom.report.summary import summary

FAMILIES = ["contrast", "contrast-untrained", "contrast-and-props"]
MEMBERS = [f"contrast.seed-{seed}" for seed in SEEDS]
GAP = "\N{NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ReportedStudy:
    made_up = MadeUp(
        tiles=False, shapes=False, models=False, benchmarks=False, representations=["regionprops", "efd", *DRAWN]
    )
    return report_on(made_up, tmp_path_factory.mktemp("results"))


def _scores(board: Scoreboard) -> np.ndarray:
    """Macro-F1 with the main probe (folds, seeds) of the family `contrast`, from the rows of the scores."""
    rows = board.scores[(board.scores["metric"] == "macro_f1") & (board.scores["probe"] == board.main_probe)]
    table = rows.pivot(index="fold", columns="representation", values="value")[MEMBERS]
    return table.to_numpy()


def test_a_family_replaces_its_members_everywhere(board: Scoreboard) -> None:
    assert board.names == ["regionprops", "efd", *FAMILIES]
    assert set(board.ranked()) == set(board.names)
    assert [board.kind(name) for name in FAMILIES] == ["learned", "untrained", "learned"]
    assert board.untrained_twin("contrast") == "contrast-untrained"
    assert ("contrast", "contrast-untrained", "untrained") in pairs(board)
    shown = [row[0].text for row in by_probe(board, "macro_f1").rows]
    assert shown == board.ranked()
    table = per_class(board)
    assert table is not None
    assert [column.name for column in table.columns[2:]] == board.ranked()
    assert {row.name for row in score_dots(board, "").rows} == set(board.names)


def test_a_lucky_seed_leads_nothing(board: Scoreboard, study: ReportedStudy) -> None:
    """Of the three, one is the best of all; the report's head speaks of what they are together."""
    lucky = board.mean("contrast.seed-1")
    family = board.mean("contrast")
    assert lucky is not None
    assert family is not None
    assert lucky.value > family.value + 0.05
    sentence = summary(board, study.results.fold_facts)
    mean = _scores(board)
    assert sentence.startswith(
        "The best representation is contrast (the models contrast.seed-0, contrast.seed-1 and contrast.seed-2): "
        f"logistic regression on its vectors reaches a macro-F1 of {mean.mean():.3f}{GAP}±{GAP}"
        f"{mean.mean(axis=1).std(ddof=1):.3f} over 5{GAP}folds (± {mean.mean(axis=0).std(ddof=1):.3f} over 3{GAP}seeds)"
    )
    assert f"{lucky.value:.3f}" not in sentence
    headline = json.loads(study.results.folder.headline.read_text())
    assert headline["best"]["name"] == "contrast"
    assert headline["best"]["seeds"] == 3
    assert headline["best"]["sd_seeds"] == pytest.approx(mean.mean(axis=0).std(ddof=1))
    assert "seeds" not in headline["descriptors"]


def test_a_family_is_a_row_with_both_spreads_and_its_members_a_table_that_ranks_nothing(board: Scoreboard) -> None:
    row = next(row for row in by_probe(board, "macro_f1").rows if row[0].text == "contrast")
    mean = board.mean("contrast")
    assert mean is not None
    assert row[0].note == f"learned, 3{GAP}seeds"
    assert row[1].text == f"{mean.value:.3f}{GAP}±{GAP}{mean.sd:.3f}"
    assert row[1].note == f"± {mean.sd_seeds:.3f} over seeds"
    alone = next(row for row in by_probe(board, "macro_f1").rows if row[0].text == "regionprops")
    assert (alone[0].note, alone[1].note) == ("classical descriptors", "")
    (first, *_) = tables = by_seed(board)
    assert len(tables) == len(board.metrics)
    assert [row[0].text for row in first.rows] == list(DRAWN)
    assert [row[0].note for row in first.rows[:3]] == ["seed 0", "seed 1", "seed 2"]
    assert not first.sortable
    assert not any(cell.strong for row in first.rows for cell in row)
    assert "luck" in first.note


def test_folds_of_a_family_are_means_over_its_seeds(board: Scoreboard) -> None:
    expected = _scores(board).mean(axis=1)
    assert list(board.per_fold("contrast").values()) == pytest.approx(expected)
    table = differences(board, [("contrast", "regionprops", "best descriptors")])
    assert table is not None
    mine, theirs = board.per_fold("contrast"), board.per_fold("regionprops")
    assert table.rows[0][4].text == f"{sum(mine[k] > theirs[k] for k in mine)} of 5"
    assert table.rows[0][3].note.endswith("over seeds")
    plot = difference_dots(board, [("contrast", "regionprops", "best descriptors")])
    assert plot is not None
    assert plot.rows[0].note.startswith("minus best descriptors regionprops, ± ")


def test_classes_are_averaged_and_confusions_counted_over_seeds(board: Scoreboard) -> None:
    rows = board.scores[(board.scores["metric"] == "f1") & (board.scores["probe"] == board.main_probe)]
    rows = rows[rows["representation"].isin(MEMBERS) & (rows["class"] == "lobed")]
    by_fold = rows.pivot(index="fold", columns="representation", values="value").mean(axis=1)
    lobed = board.per_class("contrast").loc["lobed"]
    assert lobed["mean"] == pytest.approx(by_fold.mean())
    assert lobed["sd"] == pytest.approx(by_fold.std(ddof=1))
    assert lobed["support"] == board.per_class("regionprops").loc["lobed", "support"] == 30
    shown = {matrix.title.split(",")[0]: matrix for matrix in confusions(board)}
    assert shown["contrast"].title.endswith(f", counts of 3{GAP}seeds together")
    assert sum(support for _, support, _ in shown["contrast"].rows) == 3 * 120
    assert sum(support for _, support, _ in shown["efd"].rows) == 120
    assert "seeds" not in shown["efd"].title


def test_counts_of_what_went_wrong_are_those_of_the_worst_seed(board: Scoreboard) -> None:
    row = board.scores[(board.scores["representation"] == "contrast.seed-0") & (board.scores["metric"] == "units_test")]
    row = row[row["probe"] == board.main_probe].iloc[[0]].assign(metric="units_missing")
    more = [row.assign(value=7.0), row.assign(value=2.0, fold=1), row.assign(value=8.0, representation=MEMBERS[1])]
    board.scores = pd.concat([board.scores, *more])
    assert board.total("contrast", "units_missing") == 9
    assert board.total("efd", "units_missing") == 0


def test_a_gain_within_the_spread_of_the_seeds_is_not_shown(study: ReportedStudy) -> None:
    made_up, results = study.made_up, study.results
    assert results.scores is not None
    assert results.comparisons is not None
    for sds, spread in (((0.1, 0.3), "over the seeds"), ((0.3, 0.3), "over the folds and seeds"), ((0.1, 0.1), None)):
        table = results.comparisons.copy()
        pair = {"contrast", "contrast-untrained"}
        rows = (table["kind"] == "difference") & table["representation"].isin(pair) & table["other"].isin(pair)
        assert rows.any()
        table.loc[rows, ["value", "sd", "sd_seeds"]] = 0.2, *sds
        board = Scoreboard(results.scores, table, made_up.settings.representations, made_up.families)
        start = "contrast is not shown to be better than its own untrained encoder (contrast-untrained)"
        found = [w for w in caveats(made_up.settings, results, board) if w.startswith(start)]
        assert [w.endswith(f"within one standard deviation of zero {spread}.") for w in found] == [True] * bool(spread)


def test_pictures_are_of_one_seed_and_say_so(study: ReportedStudy) -> None:
    page = study.results.folder.report.read_text(encoding="utf-8")
    assert "<h3>contrast.seed-0</h3>" in page
    assert "<h3>contrast.seed-1</h3>" not in page
    assert f"contrast.seed-0 for the 3{GAP}seeds of contrast, " in page
    assert "<summary>Each seed by itself</summary>" in page


def test_a_study_without_families_never_speaks_of_seeds(tmp_path: Path) -> None:
    made_up = MadeUp(tiles=False, shapes=False, models=False, benchmarks=False, representations=["regionprops", "efd"])
    page = report_on(made_up, tmp_path).page.text
    assert "over seeds" not in page
    assert "Each seed" not in page
    assert "Of several trainings" not in page


def test_the_overview_shows_the_seeds_of_the_best_representation(study: ReportedStudy, tmp_path: Path) -> None:
    made_up, results = study.made_up, study.results
    make_overview(made_up.titles, results.folder.path.parent, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    sd = json.loads(results.folder.headline.read_text())["best"]["sd_seeds"]
    assert f"<small>learned, 3{GAP}seeds</small>" in page
    assert f"± {sd:.3f} over seeds" in page


def test_the_member_with_the_lowest_seed_is_shown_for_all_in_any_order() -> None:
    families = SeedFamilies({"b": {"b.seed-10": 10, "b.seed-9": 9}})
    assert families.members("b") == ["b.seed-9", "b.seed-10"]
    assert families.merged(["a", "b.seed-10", "c", "b.seed-9"]) == ["a", "b", "c"]
    assert families.one_of_each(["a", "b.seed-10", "c", "b.seed-9"]) == ["a", "b.seed-9", "c"]
    assert families.shown_first(["a", "c"]) == ""
    assert families.shown_first(["a", "b.seed-9"]).endswith(f"b.seed-9 for the 2{GAP}seeds of b.")
    assert (families.family("b.seed-9"), families.family("a"), families.seed("b.seed-9")) == ("b", "a", 9)
    assert (families.with_seeds("b", "learned"), families.with_seeds("a", "learned")) == (
        f"learned, 2{GAP}seeds",
        "learned",
    )
    assert (over_seeds(0.0123), over_seeds(float("nan"))) == ("± 0.012 over seeds", "")
