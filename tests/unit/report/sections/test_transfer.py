from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.page import Page
from tests.helpers.report_results import MadeUp, read_results, write_results

from phenoloom.config.rule_settings import ReportSettings, TransferSource
from phenoloom.evaluation.probes import Prediction
from phenoloom.evaluation.scores import Score, fold_scores, write_scores
from phenoloom.report.report import make_report
from phenoloom.report.scoreboard import Scoreboard
from phenoloom.report.sections.base import ReportData
from phenoloom.report.sections.transfer import TransferContent, section, transfers

CLASSES = ["elongated", "round"]
TRAIN_SETS = 3
SOURCE: dict[str, Any] = {
    "title": "Another microscope",
    "representations": ["vqvae", "regionprops"],
    "left_out": {"shape-ae": "not declared there"},
    "window_px": (112, 64),
    "pixel_size_um": (None, 0.5),
}
FACTS: dict[str, Any] = {
    "classes": {"elongated": [30, 10], "round": [20, 10]},
    "left_out": {"spiky": [0, 7]},
    "copies": 2,
    "groups_alike": 1,
    "unlabelled": 0,
}


def settings(**changes: Any) -> ReportSettings:
    source = TransferSource(**(SOURCE | changes))
    return MadeUp().settings.model_copy(update={"transfer": {"elsewhere": source}})


def put_scores(folder: Path, facts: dict[str, Any] = FACTS, missing: int = 0) -> None:
    """Twenty units; of fold k the classifier errs on k round ones (vqvae), or on all of them (regionprops)."""
    true = np.repeat([0, 1], 10)
    for name in SOURCE["representations"]:
        folds = []
        for fold in range(TRAIN_SETS):
            found = true.copy()
            found[10 : 10 + (fold if name == "vqvae" else 10)] = 0
            scores: list[Score] = []
            for probe, labels in (("logistic", found), ("dummy", np.zeros(20, np.int64))):
                scores += fold_scores(probe, true, Prediction(labels, None, 0), CLASSES)
                for metric, value in (("units_train", 40 + fold), ("units_test", 20), ("groups_test", 4)):
                    scores.append(Score(probe, metric, value, 20))
                scores.append(Score(probe, "units_missing", missing, 20))
            scores.append(Score("logistic-shuffled", "macro_f1", 0.5, 20))
            folds.append(scores)
        write_scores(folder / "transfer" / "elsewhere" / f"{name}.parquet", "made-up", {name: folds}, facts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_results(MadeUp(tiles=False, shapes=False, models=False, maps=False), tmp_path_factory.mktemp("r"))


def shown(folder: tuple[Path, Path], **changes: Any) -> TransferContent:
    results = read_results(*folder)
    assert results.scores is not None
    assert results.comparisons is not None
    board = Scoreboard(results.scores, results.comparisons, MadeUp().settings.representations)
    (found,) = transfers(results, settings(**changes), board)
    return found


def test_scores_are_means_over_train_sets_with_the_studys_own_below_them(folder: tuple[Path, Path]) -> None:
    put_scores(folder[0])
    found = shown(folder)
    main = found.tables[0]
    assert main.caption == "Macro-F1, mean ± sd over train sets of elsewhere"
    assert [column.name for column in main.columns] == ["representation", "logistic", "shuffled", "dummy"]
    assert [row[0].text for row in main.rows] == ["vqvae", "regionprops"]
    # F1 of the two classes, of k wrong ones among ten: 20 / (20 + k) and 2 (10 - k) / (20 - k).
    macro = [(20 / (20 + k) + 2 * (10 - k) / (20 - k)) / 2 for k in range(TRAIN_SETS)]
    assert main.rows[0][1].sort == pytest.approx(np.mean(macro))
    assert (
        main.rows[0][1].text == f"{np.mean(macro):.3f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{np.std(macro, ddof=1):.3f}"
    )
    assert main.rows[0][1].strong
    assert not main.rows[1][1].strong
    assert main.rows[1][1].sort == pytest.approx(1 / 3)
    own = read_results(*folder).scores
    assert own is not None
    of_class = own[(own["metric"] == "f1") & own["class"].isin(CLASSES)]
    of_class = of_class[(of_class["representation"] == "vqvae") & (of_class["probe"] == "logistic")]
    within = of_class.groupby("fold")["value"].mean()
    assert main.rows[0][1].note == (f"here {within.mean():.3f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{within.std():.3f}")
    assert all(not cell.note for row in found.tables[1].rows for cell in row[1:])


def test_classes_have_their_units_on_both_sides_and_those_left_out_no_score(folder: tuple[Path, Path]) -> None:
    put_scores(folder[0])
    rows = [[cell.text for cell in row] for row in shown(folder).per_class.rows]
    f1 = np.mean([2 * (10 - k) / (20 - k) for k in range(TRAIN_SETS)])
    assert rows[1] == ["round", "20", "10", f"{f1:.3f}", "0.000"]
    assert rows[2] == ["spiky", "0", "7", "–", "–"]


def test_what_was_left_out_and_what_is_not_comparable_is_said(folder: tuple[Path, Path]) -> None:
    put_scores(folder[0], missing=3)
    said = " ".join(shown(folder).sentences).replace("\N{NO-BREAK SPACE}", " ")
    for sentence in (
        "n = 20 objects of made-up in 4 groups, tested with each of the 3 train sets of elsewhere (40 to 42 labelled",
        "Units of made-up without a vector, which were not tested: regionprops 3 and vqvae 3.",
        "Classes left out in both studies, because one of them has none or too few: spiky (0 there, 7 here).",
        "2 objects of made-up left out: their groups contain images that are pixel for pixel equal to an image of "
        "elsewhere.",
        "1 group of made-up named like a group of elsewhere",
        "Not tested: shape-ae (not declared there).",
        "The pixel size of elsewhere is not known",
        "above labels shuffled between groups of elsewhere (logistic regression), so nothing that was learned there "
        "is visible here: regionprops.",
        "Windows are 112 px in elsewhere and 64 px here; models see both resized",
    ):
        assert sentence in said
    said = " ".join(shown(folder, pixel_size_um=(0.25, 0.5)).sentences)
    assert "Pixels are 0.25 µm in elsewhere and 0.5 µm here: lengths in px" in said
    assert "(28 and 32 µm)" in said
    put_scores(folder[0], FACTS | {"left_out": {}, "copies": 0, "groups_alike": 0})
    quiet = shown(folder, left_out={}, pixel_size_um=(0.5, 0.5), window_px=(64, 64))
    assert len(quiet.sentences) == 2
    both = shown(folder, pixel_size_um=(None, None)).sentences
    assert any("The pixel size of elsewhere and this study is not known" in sentence for sentence in both)


def test_the_page_has_the_chapter_where_the_study_names_others(folder: tuple[Path, Path], tmp_path: Path) -> None:
    put_scores(folder[0])
    for changed, anchors in ((settings(), 1), (MadeUp().settings, 0)):
        make_report(changed, *folder, tmp_path / "index.html")
        page = Page((tmp_path / "index.html").read_text())
        assert not page.badly_nested
        assert sum(tag.get("id") == "transfer" for tag in page.all("section")) == anchors
        assert ("Another microscope" in page.text) == bool(anchors)
    make_report(settings(), tmp_path / "empty", tmp_path / "none", tmp_path / "index.html")
    assert "No scores of elsewhere: `transfer` has not run." in Page((tmp_path / "index.html").read_text()).text


def test_a_study_that_cannot_be_scored_is_named_with_the_reason(folder: tuple[Path, Path]) -> None:
    for path in (folder[0] / "transfer" / "elsewhere").glob("*.parquet"):
        path.unlink()
    for name in ("vqvae", "regionprops"):
        path = folder[0] / "transfer" / "elsewhere" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_scores(path, "made-up", {}, {"unscored": "in elsewhere no object has a label"})
    found = section(ReportData(settings(), read_results(*folder), None))
    assert found is not None
    assert not found.content
    assert found.missing == ["No scores of elsewhere: in elsewhere no object has a label."]
