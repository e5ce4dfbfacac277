"""The page of a study: what it says follows from the results, and nothing in a name can break it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.page import Page
from tests.helpers.report_results import (
    HOSTILE,
    MadeUp,
    ReportedStudy,
    report_on,
    write_results,
)

from phenoloom.artifacts.parquet import table_facts, table_metadata
from phenoloom.report import make_report


def test_a_complete_study_fills_every_section_and_names_nothing_missing(study: ReportedStudy) -> None:
    page = study.page
    anchors = [s["id"] for s in page.all("section")]
    chapters = ["summary", "data", "scores", "errors", "maps", "shapes", "models", "resources", "provenance"]
    assert anchors == chapters
    assert not [p for p in page.all("p") if p.get("class") == "missing"]


def test_the_page_is_well_formed_and_ids_are_unique(study: ReportedStudy) -> None:
    page = study.page
    assert page.badly_nested == []
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_refers_to_nothing_outside_itself(study: ReportedStudy) -> None:
    page = study.page
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))
    assert all(link["href"] == "data:," for link in page.all("link"))
    assert not any("src" in script for script in page.all("script"))
    assert {a["href"] for a in page.all("a")} >= {"https://example.org/idr0000", "../../index.html"}


def test_every_image_has_a_text_and_every_heading_cell_a_scope(study: ReportedStudy) -> None:
    page = study.page
    assert page.all("img")
    assert all(image["alt"] for image in page.all("img"))
    assert all(th["scope"] in ("col", "row", "colgroup") for th in page.all("th"))
    assert all("aria-label" in svg or svg.get("aria-hidden") or "x" in svg for svg in page.all("svg"))


def test_two_renderings_are_equal(study: ReportedStudy, tmp_path: Path) -> None:
    made_up, results = study.made_up, study.results
    make_report(made_up.settings, results.folder.path, results.folder.benchmarks, tmp_path / "index.html")
    assert (tmp_path / "index.html").read_bytes() == results.folder.report.read_bytes()


def test_a_full_report_stays_below_five_megabytes(study: ReportedStudy) -> None:
    assert study.results.folder.report.stat().st_size < 5_000_000


def test_hostile_names_show_literally_and_never_become_markup(tmp_path: Path) -> None:
    hostile = MadeUp(
        title=HOSTILE,
        licence=HOSTILE,
        reference=f"javascript:alert(1) {HOSTILE}",
        classes=[f"a{HOSTILE}", "b", "c", "d"],
        plates=[f"P{HOSTILE}", "P2"],
        reason=HOSTILE,
    )
    page = report_on(hostile, tmp_path).page
    assert len(page.all("script")) == 1
    assert page.badly_nested == []
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert not any(a["href"].startswith("javascript") for a in page.all("a"))
    # Title, licence, quarantine, class table, legends of label and plate, confusion.
    assert page.text.count(HOSTILE) > 10
    assert any(HOSTILE in image["alt"] for image in page.all("img"))
    assert any(HOSTILE in td.get("title", "") for td in page.all("td"))


ABSENT = {
    "without tiles": (MadeUp(tiles=False), []),
    "without tiles and shapes": (MadeUp(tiles=False, shapes=False), ["neither tiles nor contours", "No contours"]),
    "without models": (MadeUp(models=False), ["No training curves", "No reconstructions"]),
    "without scores": (MadeUp(scores=False), ["No scores: `classify`", "No scores by class", "No confusion"]),
    "without maps": (MadeUp(maps=False), ["No maps"]),
    "without benchmarks": (MadeUp(benchmarks=False), ["No measurements"]),
    "without quarantine": (MadeUp(quarantine=0), ["Quarantine is empty"]),
    "descriptors only": (MadeUp(representations=["regionprops", "efd"], models=False), ["No paired differences"]),
}


@pytest.mark.parametrize(("study", "reasons"), ABSENT.values(), ids=ABSENT.keys())
def test_what_a_study_lacks_is_named_with_its_reason(study: MadeUp, reasons: list[str], tmp_path: Path) -> None:
    page = report_on(replace(study, plates=["P1", "P2"], cells=4), tmp_path).page
    for reason in reasons:
        assert reason in page.text
    assert page.badly_nested == []


def test_an_empty_results_folder_still_gives_a_page_that_says_so(tmp_path: Path) -> None:
    make_report(MadeUp().settings, tmp_path / "nothing", tmp_path / "none", tmp_path / "report" / "index.html")
    page = Page((tmp_path / "report" / "index.html").read_text())
    assert "This study has no scores yet." in page.text
    assert len([p for p in page.all("p") if p.get("class") == "missing"]) > 8


def test_contours_are_drawn_where_there_are_no_tiles(tmp_path: Path) -> None:
    page = report_on(MadeUp(tiles=False, models=False), tmp_path).page
    assert not page.all("img")
    drawn = [svg for svg in page.all("svg") if svg.get("class") == "contour"]
    # Six samples of each of four classes, and one contour a class beside its distance matrix.
    assert len(drawn) == 6 * 4 + 4


def test_a_multi_label_study_has_average_precision_and_no_confusion(tmp_path: Path) -> None:
    study = MadeUp(models=False, maps=False, plates=["P1", "P2"])
    folder, benchmarks = write_results(study, tmp_path)
    for name in ("index", "folds"):
        table = pq.read_table(folder / f"{name}.parquet")
        labels = pa.array([[label, "lobed"] if label != "lobed" else [] for label in table["label"].to_pylist()])
        place = table.schema.get_field_index("label")
        facts = table_metadata(table_facts(table.schema) | {"multi_label": True})
        table = table.set_column(place, "label", labels).replace_schema_metadata(facts)
        pq.write_table(table, folder / f"{name}.parquet")
    for name in ("scores", "comparisons"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        table = table[~table["metric"].isin(["confusion", "mcc"])]
        table = table.assign(metric=table["metric"].replace("balanced_accuracy", "average_precision"))
        table.to_parquet(folder / f"{name}.parquet")
    make_report(study.settings, folder, benchmarks, tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text())
    assert "Average precision, mean ± sd over test folds" in page.text
    assert "No confusion matrices" in page.text
    assert any(image["alt"].endswith("class lobed") for image in page.all("img"))


def test_many_classes_give_the_most_frequent_errors_and_a_bounded_gallery(tmp_path: Path) -> None:
    study = MadeUp(classes=[f"class {i:02d}" for i in range(48)], plates=["P1", "P2"], wells=240, cells=1, models=False)
    page = report_on(study, tmp_path).page
    assert "24 other classes, which are no more frequent, are not shown." in page.text
    assert "most frequent of" in page.text
    assert "no label, or a rare one" in page.text
