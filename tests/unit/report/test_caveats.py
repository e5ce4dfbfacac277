from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.page import Page
from tests.helpers.report_results import (
    MadeUp,
    ReportedStudy,
    read_results,
    write_results,
)

from phenoloom.report import make_report
from phenoloom.report.caveats import caveats
from phenoloom.report.scoreboard import Scoreboard


def _with_means(study: ReportedStudy, **changes: float) -> Scoreboard:
    """The board with other paired differences of vqvae minus `<other>` (underscores stand for hyphens)."""
    made_up, results = study.made_up, study.results
    assert results.scores is not None
    assert results.comparisons is not None
    table = results.comparisons.copy()
    for other, value in changes.items():
        forth, back = (table["representation"], table["other"]), (table["other"], table["representation"])
        for sign, (one, two) in ((1, forth), (-1, back)):
            rows = (table["kind"] == "difference") & (one == "vqvae") & (two == other.replace("_", "-"))
            table.loc[rows, ["value", "sd"]] = sign * value, 0.01
    return Scoreboard(results.scores, table, made_up.settings.representations)


def test_a_model_no_better_than_its_untrained_self_is_warned_about(study: ReportedStudy) -> None:
    made_up, results = study.made_up, study.results
    bad = caveats(made_up.settings, results, _with_means(study, vqvae_untrained=-0.02, regionprops=0.2))
    good = caveats(made_up.settings, results, _with_means(study, vqvae_untrained=0.2, regionprops=0.2))
    assert [w for w in bad if w.startswith("vqvae is no better than its own untrained encoder")]
    assert not [w for w in good if w.startswith("vqvae ")]


def test_a_gain_within_one_sd_is_called_not_shown(study: ReportedStudy) -> None:
    made_up, results = study.made_up, study.results
    found = caveats(made_up.settings, results, _with_means(study, regionprops=0.005))
    assert [w for w in found if w.startswith("vqvae is not shown to be better than the best descriptors")]


def test_losses_and_transductive_encoders_are_warned_about(board: Scoreboard, study: ReportedStudy) -> None:
    made_up, results = study.made_up, study.results
    found = " ".join(caveats(made_up.settings, results, board))
    assert "Transductive: the encoder of vqvae-all" in found
    assert "binucleate (3)" in found
    assert "3\N{NO-BREAK SPACE}images of 27" in found


def test_units_without_vectors_are_warned_about(study: ReportedStudy) -> None:
    made_up, results = study.made_up, study.results
    assert results.scores is not None
    assert results.comparisons is not None
    row = results.scores[results.scores["metric"] == "units_test"].iloc[[0]]
    scores = pd.concat([results.scores, row.assign(metric="units_missing", value=7.0)])
    board = Scoreboard(scores, results.comparisons, made_up.settings.representations)
    assert [w for w in caveats(made_up.settings, results, board) if f"{row['representation'].item()} 7" in w]


@pytest.mark.parametrize(("lost", "told"), [({"round": 24, "spiky": 1}, True), ({"round": 6, "spiky": 6}, False)])
def test_classes_whose_outlines_are_lost_more_often_are_told(
    lost: dict[str, int], told: bool, study: ReportedStudy
) -> None:
    made_up, results = study.made_up, study.results
    assert results.scores is not None
    assert results.comparisons is not None
    scores = results.scores.copy()
    of_probe = (scores["representation"] == "efd") & (scores["probe"] == "logistic")
    row = scores[of_probe & (scores["metric"] == "units_test")].iloc[[0]]
    for label, number in lost.items():
        # As if they were lost in one after the other of its folds.
        for at in scores.index[of_probe & (scores["metric"] == "f1") & (scores["class"] == label)]:
            some = min(number, scores.loc[at, "support"])
            scores.loc[at, "support"] -= some
            number -= some
    scores = pd.concat([scores, row.assign(metric="units_missing", value=float(sum(lost.values())))])
    board = Scoreboard(scores, results.comparisons, made_up.settings.representations)
    found = [w.replace("\xa0", " ") for w in caveats(made_up.settings, results, board) if "not equally frequent" in w]
    assert [w.partition(":")[0] for w in found] == told * [
        "The test units without a vector in efd are not equally frequent in all classes"
    ]
    if told:
        whole = results.fold_facts["classes"]["round"]
        assert f": {100 * 24 / whole:.1f} % of round" in found[0]


def test_pairs_that_were_tested_on_different_units_are_told_to_be_compared_on_those_with_a_tile(tmp_path: Path) -> None:
    folder, benchmarks = write_results(made_up := MadeUp(models=False, maps=False), tmp_path)
    folds = pq.read_table(folder / "folds.parquet")
    tiled = pa.array([number > 4 for number in range(folds.num_rows)])
    pq.write_table(folds.append_column("tile", tiled), folder / "folds.parquet")
    results = read_results(folder, benchmarks)
    assert results.scores is not None
    assert results.comparisons is not None
    row = results.scores[results.scores["metric"] == "units_test"].iloc[[0]]
    scores = pd.concat([results.scores, row.assign(metric="units_missing", value=5.0)])
    (found,) = (
        sentence
        for sentence in caveats(
            made_up.settings, results, Scoreboard(scores, results.comparisons, made_up.settings.representations)
        )
        if "have no vector" in sentence
    )
    assert results.split is not None
    with_tile = int(results.split.tested().tiled.sum())  # type: ignore[union-attr]
    assert with_tile < len(results.split.tested().units)
    assert f"are over the {with_tile} test units with a tile." in found


def test_files_that_were_not_read_are_warned_about(tmp_path: Path) -> None:
    folder, benchmarks = write_results(MadeUp(scores=False, models=False, maps=False), tmp_path)

    def found(**facts: Any) -> str:
        manifest = json.loads((folder / "sheet.json").read_text())
        (folder / "sheet.json").write_text(json.dumps({**manifest, **facts}))
        return " ".join(caveats(MadeUp().settings, read_results(folder, benchmarks), None)).replace("\xa0", " ")

    unread = {
        "channels": {"bf": {"count": 30, "examples": ["P1/A1_bf.tif"]}, "er": {"count": 2, "examples": ["x"]}},
        "near": {"letter case": {"count": 1, "examples": ["P1/A1_dna.TIF"]}},
        "near_masks": {"extension": {"count": 2, "examples": ["m/A1.tiff"]}},
        "others": {"count": 9, "examples": ["Thumbs.db"]},
    }
    short = {"short_rows": {"count": 2, "examples": [3, 5]}}
    text = found(unread=unread, table=short)
    assert (
        "32 files of 2 channels that the study does not name (bf and er) were not read, for example P1/A1_bf.tif."
        in text
    )
    assert (
        "3 files that nearly fit the study's file pattern (all but the letter case and extension) were not read, for "
        "example P1/A1_dna.TIF." in text
    )
    assert "2 rows of the study's table with fewer cells than its header" in text
    assert "Thumbs.db" not in text
    assert "read" not in found(unread={"channels": {}, "near": {}, "ignored": {"count": 5, "examples": []}}, table={})


def test_a_class_on_one_plate_only_is_warned_about(tmp_path: Path) -> None:
    folder, benchmarks = write_results(MadeUp(scores=False, models=False, maps=False), tmp_path)
    index = pd.read_parquet(folder / "index.parquet")
    index.loc[index["plate"] != "P1", "label"] = "round"
    index.to_parquet(folder / "index.parquet")
    found = " ".join(caveats(MadeUp().settings, read_results(folder, benchmarks), None))
    assert "3\N{NO-BREAK SPACE}classes on one plate only (elongated, lobed and spiky)" in found


@pytest.mark.parametrize(("shuffled", "warned"), [(0.75, False), (0.95, True)])
def test_chance_of_several_labels_is_the_dummys_average_precision(
    shuffled: float, warned: bool, tmp_path: Path
) -> None:
    """Frequent labels: guessing scores an F1 and an average precision far above one in so many classes."""
    study = MadeUp(models=False, maps=False, plates=["P1", "P2"])
    folder, benchmarks = write_results(study, tmp_path)
    table = pd.read_parquet(folder / "comparisons.parquet")
    table = table[table["metric"] != "mcc"]
    table = table.assign(metric=table["metric"].replace("balanced_accuracy", "average_precision"))
    table.loc[table["probe"].isin(["dummy", "logistic-shuffled"]), ["value", "sd"]] = 0.75, 0.01
    chosen = (table["probe"] == "logistic-shuffled") & (table["metric"] == "average_precision")
    table.loc[chosen, "value"] = shuffled
    table.to_parquet(folder / "comparisons.parquet")
    scores = pd.read_parquet(folder / "scores.parquet")
    scores = scores[~scores["metric"].isin(["confusion", "mcc"])]
    scores.assign(metric=scores["metric"].replace("balanced_accuracy", "average_precision")).to_parquet(
        folder / "scores.parquet"
    )
    make_report(study.settings, folder, benchmarks, tmp_path / "index.html")
    text = Page((tmp_path / "index.html").read_text()).text
    assert ("With labels shuffled between groups, scores are above the dummy in average precision" in text) is warned
    assert ("train and test groups share something besides the label" in text) is warned
