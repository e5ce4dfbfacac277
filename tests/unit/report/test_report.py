"""The report: what it says follows from the results, and nothing in a name can break it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.report_results import HOSTILE, REPRESENTATIONS, MadeUp, write_results

from phenoloom.artifacts.parquet import table_facts, table_metadata
from phenoloom.report import make_overview, make_report
from phenoloom.report.charts.figures import curve_figures
from phenoloom.report.charts.pictures import colours_of, composite, contrast_limits, tile_picture
from phenoloom.report.charts.svg import CATEGORIES, GLYPHS, colour, tick_labels, ticks
from phenoloom.report.numbers import count, duration, listing, memory, percent, plus_minus, score, signed
from phenoloom.report.results import Results
from phenoloom.report.scoreboard import Scoreboard, kind_of
from phenoloom.report.sections.samples import sample_gallery, sample_rows
from phenoloom.report.sections.scores import confusions, pairs
from phenoloom.report.summary import summary, warnings

VOID = {"meta", "link", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """A page taken apart: every tag's attributes, the text, and whether tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.badly_nested: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.badly_nested.append(tag)

    def handle_data(self, text: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(text)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"[ \n\t]+", " ", " ".join(self.words))


def render(study: MadeUp, results: Path) -> Page:
    folder, benchmarks = write_results(study, results)
    make_report(study.settings, folder, benchmarks, folder / "report" / "index.html")
    return Page((folder / "report" / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[MadeUp, Results, Page]:
    results = tmp_path_factory.mktemp("results")
    made_up = MadeUp()
    page = render(made_up, results)
    return made_up, Results(results / made_up.name, results / "benchmarks" / made_up.name), page


@pytest.fixture
def board(study: tuple[MadeUp, Results, Page]) -> Scoreboard:
    made_up, results, _ = study
    assert results.scores is not None
    assert results.comparisons is not None
    return Scoreboard(results.scores, results.comparisons, made_up.settings.representations)


def test_a_complete_study_fills_every_section_and_names_nothing_missing(study: tuple[MadeUp, Results, Page]) -> None:
    page = study[2]
    anchors = [s["id"] for s in page.all("section")]
    chapters = ["summary", "data", "scores", "errors", "maps", "shapes", "models", "resources", "provenance"]
    assert anchors == chapters
    assert not [p for p in page.all("p") if p.get("class") == "missing"]


def test_the_page_is_well_formed_and_ids_are_unique(study: tuple[MadeUp, Results, Page]) -> None:
    page = study[2]
    assert page.badly_nested == []
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_refers_to_nothing_outside_itself(study: tuple[MadeUp, Results, Page]) -> None:
    page = study[2]
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))
    assert all(link["href"] == "data:," for link in page.all("link"))
    assert not any("src" in script for script in page.all("script"))
    assert {a["href"] for a in page.all("a")} >= {"https://example.org/idr0000", "../../index.html"}


def test_every_image_has_a_text_and_every_heading_cell_a_scope(study: tuple[MadeUp, Results, Page]) -> None:
    page = study[2]
    assert page.all("img")
    assert all(image["alt"] for image in page.all("img"))
    assert all(th["scope"] in ("col", "row", "colgroup") for th in page.all("th"))
    assert all("aria-label" in svg or svg.get("aria-hidden") or "x" in svg for svg in page.all("svg"))


def test_two_renderings_are_equal(study: tuple[MadeUp, Results, Page], tmp_path: Path) -> None:
    made_up, results, _ = study
    make_report(made_up.settings, results.folder, results._benchmarks, tmp_path / "index.html")
    assert (tmp_path / "index.html").read_bytes() == (results.folder / "report" / "index.html").read_bytes()


def test_a_full_report_stays_below_five_megabytes(study: tuple[MadeUp, Results, Page]) -> None:
    assert (study[1].folder / "report" / "index.html").stat().st_size < 5_000_000


def test_hostile_names_show_literally_and_never_become_markup(tmp_path: Path) -> None:
    hostile = MadeUp(
        title=HOSTILE,
        licence=HOSTILE,
        reference=f"javascript:alert(1) {HOSTILE}",
        classes=[f"a{HOSTILE}", "b", "c", "d"],
        plates=[f"P{HOSTILE}", "P2"],
        reason=HOSTILE,
    )
    page = render(hostile, tmp_path)
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
    page = render(replace(study, plates=["P1", "P2"], cells=4), tmp_path)
    for reason in reasons:
        assert reason in page.text
    assert page.badly_nested == []


def test_an_empty_results_folder_still_gives_a_page_that_says_so(tmp_path: Path) -> None:
    make_report(MadeUp().settings, tmp_path / "nothing", tmp_path / "none", tmp_path / "report" / "index.html")
    page = Page((tmp_path / "report" / "index.html").read_text())
    assert "This study has no scores yet." in page.text
    assert len([p for p in page.all("p") if p.get("class") == "missing"]) > 8


def test_contours_are_drawn_where_there_are_no_tiles(tmp_path: Path) -> None:
    page = render(MadeUp(tiles=False, models=False), tmp_path)
    assert not page.all("img")
    drawn = [svg for svg in page.all("svg") if svg.get("class") == "contour"]
    # Six samples of each of four classes, and one contour a class beside its distance matrix.
    assert len(drawn) == 6 * 4 + 4


def test_the_space_of_shapes_is_that_of_the_first_split_and_says_what_lies_outside_the_plane(
    study: tuple[MadeUp, Results, Page],
) -> None:
    page = study[2]
    drawings = [tag["aria-label"] for tag in page.all("svg") if tag.get("class") == "contour"]
    assert sum(label.startswith("Step ") for label in drawings) == 14
    assert sum("drawn from the prior" in label for label in drawings) == 4
    assert sum(label.startswith("Shape mode ") for label in drawings) == 5
    assert "Of the decoded distances 3.0\N{NO-BREAK SPACE}% lie outside the plane (mean; at most 4.0" in page.text
    assert "All decoded distances are those of outlines in the plane." in page.text
    # Of fold-0; fold-1 errs three times as much.
    assert "2.00\N{NO-BREAK SPACE}%" in page.text
    assert "1 · 40.0\N{NO-BREAK SPACE}%" in page.text
    assert "Test rows lie 1.20 times as far" in page.text
    assert "< 10⁻⁶" in page.text
    assert "0.210" in page.text


def test_a_study_without_models_of_contours_has_no_chapter_of_shapes(tmp_path: Path) -> None:
    assert not any(tag.get("id") == "shapes" for tag in render(MadeUp(models=False), tmp_path).all("section"))


def test_the_summary_states_best_descriptors_dummy_and_chance(
    board: Scoreboard, study: tuple[MadeUp, Results, Page]
) -> None:
    sentence = summary(board, study[1].fold_facts)
    best, described = board.ranked("descriptors", "learned", "transductive")[0], board.ranked("descriptors")[0]
    for name, probe in ((best, None), (described, None), (best, "dummy"), (best, "logistic-shuffled")):
        mean = board.mean(name, probe)
        assert mean is not None
        assert f"{mean.value:.3f}" in sentence
    assert best in sentence
    assert "over 5\N{NO-BREAK SPACE}folds" in sentence
    assert sentence in study[2].text


def test_curves_show_the_monitors_that_a_model_has_and_say_what_they_measure(
    study: tuple[MadeUp, Results, Page],
) -> None:
    figures = dict(curve_figures(study[1].runs))
    shown = [title for title, _ in figures["vqvae-resnet18"].panels]
    names = ("loss", "perplexity", "effective rank", "knn accuracy", "items per second", "waited for data")
    assert shown == [f"vqvae-resnet18: {name}" for name in names]
    assert "(Roy and Vetterli 2007)" in figures["vqvae-resnet18"].caption
    assert "kNN accuracy: balanced, of validation groups" in figures["vqvae-resnet18"].caption
    assert "Embedding spread" not in figures["vqvae-resnet18"].caption
    assert [title for title, _ in figures["shape-ae"].panels] == ["shape-ae: loss"]
    assert "effective rank" not in figures["shape-ae"].caption.lower()


def test_ranking_follows_the_stored_means(board: Scoreboard, study: tuple[MadeUp, Results, Page]) -> None:
    table = study[1].comparisons
    assert table is not None
    means = table[(table["kind"] == "mean") & (table["probe"] == "logistic") & (table["metric"] == "macro_f1")]
    expected = means.sort_values("value", ascending=False)["representation"].tolist()
    assert board.ranked() == expected


def test_a_difference_is_mirrored_when_only_the_other_direction_is_stored() -> None:
    columns = ["kind", "probe", "metric", "representation", "other", "value", "sd", "folds", "sd_seeds", "seeds"]
    rows = pd.DataFrame([("difference", "logistic", "macro_f1", "a", "b", 0.25, 0.1, 5, 0.02, 3)], columns=columns)
    scores = pd.DataFrame({"representation": ["a", "b"], "probe": "logistic", "metric": "macro_f1"})
    board = Scoreboard(scores, rows, {name: {"descriptors": "efd"} for name in "ab"})
    forth, back = board.difference("a", "b"), board.difference("b", "a")
    assert forth is not None
    assert back is not None
    assert (forth.value, back.value, back.sd, back.folds) == (0.25, -0.25, 0.1, 5)
    assert (back.sd_seeds, back.seeds) == (0.02, 3)


def test_confusion_sums_the_folds_and_its_rows_are_the_support(board: Scoreboard) -> None:
    matrices = confusions(board)
    assert [m.title.split(",")[0] for m in matrices] == board.ranked()
    for matrix in matrices:
        assert sum(support for _, support, _ in matrix.rows) == 120
        for _, support, cells in matrix.rows:
            assert sum(n for n, _ in cells) == support
            assert sum(share for _, share in cells) == pytest.approx(1)


def test_what_is_concatenated_is_of_the_kind_of_its_most_trained_part() -> None:
    entries: dict[str, dict[str, Any]] = {
        "props": {"descriptors": "regionprops"},
        "efd": {"descriptors": "efd"},
        "net": {"model": "net"},
        "net-untrained": {"model": "net", "untrained": True},
        "net-all": {"model": "net", "transductive": True},
    }
    expected = {
        "descriptors": ["props", "efd"],
        "untrained": ["props", "net-untrained"],
        "learned": ["net", "net-untrained", "props"],
        "transductive": ["net-all", "net"],
    }
    for kind, parts in expected.items():
        assert kind_of({"concatenate": parts}, entries) == kind


def test_learned_representations_are_paired_with_descriptors_and_their_untrained_twin(board: Scoreboard) -> None:
    best = board.ranked("descriptors")[0]
    assert ("vqvae", best, "best descriptors") in pairs(board)
    assert ("vqvae", "vqvae-untrained", "untrained") in pairs(board)
    assert not [pair for pair in pairs(board) if pair[0] == "shape-ae" and pair[2] == "untrained"]


def _with_means(study: tuple[MadeUp, Results, Page], **changes: float) -> Scoreboard:
    """The board with other paired differences of vqvae minus `<other>` (underscores stand for hyphens)."""
    made_up, results, _ = study
    assert results.scores is not None
    assert results.comparisons is not None
    table = results.comparisons.copy()
    for other, value in changes.items():
        forth, back = (table["representation"], table["other"]), (table["other"], table["representation"])
        for sign, (one, two) in ((1, forth), (-1, back)):
            rows = (table["kind"] == "difference") & (one == "vqvae") & (two == other.replace("_", "-"))
            table.loc[rows, ["value", "sd"]] = sign * value, 0.01
    return Scoreboard(results.scores, table, made_up.settings.representations)


def test_a_model_no_better_than_its_untrained_self_is_warned_about(study: tuple[MadeUp, Results, Page]) -> None:
    made_up, results, _ = study
    bad = warnings(made_up.settings, results, _with_means(study, vqvae_untrained=-0.02, regionprops=0.2))
    good = warnings(made_up.settings, results, _with_means(study, vqvae_untrained=0.2, regionprops=0.2))
    assert [w for w in bad if w.startswith("vqvae is no better than its own untrained encoder")]
    assert not [w for w in good if w.startswith("vqvae ")]


def test_a_gain_within_one_sd_is_called_not_shown(study: tuple[MadeUp, Results, Page]) -> None:
    made_up, results, _ = study
    found = warnings(made_up.settings, results, _with_means(study, regionprops=0.005))
    assert [w for w in found if w.startswith("vqvae is not shown to be better than the best descriptors")]


def test_losses_and_transductive_encoders_are_warned_about(
    board: Scoreboard, study: tuple[MadeUp, Results, Page]
) -> None:
    made_up, results, _ = study
    found = " ".join(warnings(made_up.settings, results, board))
    assert "Transductive: the encoder of vqvae-all" in found
    assert "binucleate (3)" in found
    assert "3\N{NO-BREAK SPACE}images of 27" in found


def test_units_without_vectors_are_warned_about(study: tuple[MadeUp, Results, Page]) -> None:
    made_up, results, _ = study
    assert results.scores is not None
    assert results.comparisons is not None
    row = results.scores[results.scores["metric"] == "units_test"].iloc[[0]]
    scores = pd.concat([results.scores, row.assign(metric="units_missing", value=7.0)])
    board = Scoreboard(scores, results.comparisons, made_up.settings.representations)
    assert [w for w in warnings(made_up.settings, results, board) if f"{row['representation'].item()} 7" in w]


def test_a_class_on_one_plate_only_is_warned_about(tmp_path: Path) -> None:
    folder, benchmarks = write_results(MadeUp(scores=False, models=False, maps=False), tmp_path)
    index = pd.read_parquet(folder / "index.parquet")
    index.loc[index["plate"] != "P1", "label"] = "round"
    index.to_parquet(folder / "index.parquet")
    found = " ".join(warnings(MadeUp().settings, Results(folder, benchmarks), None))
    assert "3\N{NO-BREAK SPACE}classes on one plate only (elongated, lobed and spiky)" in found


def test_samples_are_of_their_class_and_the_same_for_the_same_seed(study: tuple[MadeUp, Results, Page]) -> None:
    index = study[1].index
    assert index is not None
    first, again = (sample_rows(index, 6, seed=3) for _ in range(2))
    other = sample_rows(index.sample(frac=1, random_state=0), 6, seed=3)
    for label, rows in first.items():
        assert set(rows["label"]) == {label}
        assert len(rows) == rows["id"].nunique() == 6
        assert rows["id"].tolist() == again[label]["id"].tolist() == other[label]["id"].tolist()


def test_multi_label_rows_are_samples_of_each_of_their_labels() -> None:
    index = pd.DataFrame({"id": ["1", "2"], "label": [["a", "b"], None], "shard": "0000", "position": [0, 1]})
    assert {label: rows["id"].tolist() for label, rows in sample_rows(index, 5, 0).items()} == {"a": ["1"], "b": ["1"]}


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
    assert ("Labels shuffled between groups score above the dummy in average precision" in text) is warned
    assert ("something besides the label is shared" in text) is warned


def test_many_classes_give_the_commonest_errors_and_a_bounded_gallery(tmp_path: Path) -> None:
    study = MadeUp(classes=[f"class {i:02d}" for i in range(48)], plates=["P1", "P2"], wells=240, cells=1, models=False)
    page = render(study, tmp_path)
    assert "The 24 other classes, none of them commoner, are not shown." in page.text
    assert "commonest of" in page.text
    assert "no label, or a rare one" in page.text


def test_a_long_quarantine_shows_two_hundred_rows_and_counts_the_rest(tmp_path: Path) -> None:
    study = MadeUp(quarantine=230, tiles=False, scores=False, models=False, maps=False)
    assert "30\N{NO-BREAK SPACE}more rows in quarantine.tsv" in render(study, tmp_path).text


def test_a_composite_is_black_at_the_low_limit_and_its_colour_at_the_high_one() -> None:
    tile = np.array([[[100, 300]], [[50, 50]]], np.uint16)
    shown = composite(tile, np.array([[100.0, 300.0], [50.0, 90.0]]), colours_of(["DNA", "actin"]))
    assert shown.tolist() == [[[0, 0, 0], [255, 0, 255]]]


@pytest.mark.parametrize(("sizes", "common"), [([1.0, 1.0, 1.2], True), ([1.0, 1.0, 1.0, 1.0, 9.0], False)])
def test_outlines_share_a_scale_unless_it_would_shrink_many_of_them_to_dots(
    sizes: list[float], common: bool, tmp_path: Path
) -> None:
    folder, benchmarks = write_results(MadeUp(tiles=False), tmp_path)
    for store in (folder / "shapes").glob("*.zarr"):
        contours = zarr.open_array(store / "contours", mode="r+")
        contours[:] = contours[:] * np.resize(sizes, contours.shape[0])[:, None, None]
    gallery = sample_gallery(Results(folder, benchmarks), 6, 0)
    assert gallery is not None
    assert ("all at one scale" in gallery.caption) == common
    assert ("each scaled to its frame" in gallery.caption) != common


def test_red_green_and_blue_keep_their_colours() -> None:
    assert np.array_equal(colours_of(["Red", "green", "B"]), np.eye(3))
    assert colours_of(["DNA"]).tolist() == [[1, 1, 1]]


def test_contrast_limits_ignore_a_hot_pixel() -> None:
    tiles = np.tile([50.0, 150.0], (2, 1, 100, 50))
    tiles[0, 0, 0, 0] = 1e6
    assert contrast_limits(tiles).tolist() == [[50.0, 150.0]]


def test_contrast_limits_do_not_count_padding_but_do_count_a_black_background() -> None:
    tiles = np.tile([100, 900], (1, 2, 40, 20)).astype(np.uint16)
    tiles[:, :, :10] = tiles[:, :, :, 35:] = 0
    assert contrast_limits(tiles).tolist() == [[100.0, 900.0]] * 2
    silhouette = np.zeros((1, 1, 40, 40), np.uint8)
    silhouette[:, :, 10:30, 10:30] = 255
    assert contrast_limits(silhouette).tolist() == [[0.0, 255.0]]


def test_a_large_tile_is_shown_small_in_its_proportions() -> None:
    picture = tile_picture(np.zeros((1, 512, 256)), np.array([[0.0, 1.0]]), colours_of(["DNA"]), "a tile")
    pixels = imagecodecs.webp_decode(base64.b64decode(picture.source.partition(",")[2]))
    assert pixels.shape == (128, 64, 3)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(3, 8))
def test_ticks_lie_between_the_limits_at_equal_steps_with_different_labels(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert 1 <= len(found) <= most
    assert all(low - 1e-6 * span <= value <= low + span * (1 + 1e-6) for value in found)
    assert len(set(tick_labels(found))) == len(found)


def test_every_category_has_a_colour_and_glyph_of_its_own() -> None:
    assert len({(colour(i), GLYPHS[i % len(GLYPHS)]) for i in range(CATEGORIES)}) == CATEGORIES


def test_numbers_have_the_same_digits_and_real_minus_signs() -> None:
    assert plus_minus(0.81234, 0.0312) == "0.812\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.031"
    assert plus_minus(0.5, float("nan")) == "0.500"
    assert signed(-0.05) == "\N{MINUS SIGN}0.050"
    assert signed(0.05).startswith("+0.050")
    assert signed(-0.0) == "+0.000"
    assert score(-0.0001) == "0.000"
    assert count(1234567) == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"
    assert count(None) == plus_minus(None, None) == percent(float("nan")) == "–"
    assert duration(3723.4) == "1\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}02\N{NO-BREAK SPACE}min"
    assert duration(59.96).startswith("60.0")
    assert memory(2048) == "2.0\N{NO-BREAK SPACE}GB"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing([str(i) for i in range(10)], most=2) == "0, 1 and 8 more"


def test_the_overview_has_a_linked_row_a_study_and_says_which_has_no_report(tmp_path: Path) -> None:
    study = replace(MadeUp(), title=f"Title {HOSTILE}", models=False, maps=False)
    render(study, tmp_path)
    make_overview(study.overview, tmp_path, tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    headline = json.loads((tmp_path / study.name / "report" / "headline.json").read_text())
    assert [a["href"] for a in page.all("a")] == ["#main", "made-up/report/index.html"]
    assert f"Title {HOSTILE}" in page.text
    assert "no report yet" in page.text
    for key in ("best", "descriptors", "dummy"):
        assert f"{headline[key]['value']:.3f}" in page.text
    assert set(REPRESENTATIONS) >= {headline["best"]["name"], headline["descriptors"]["name"]}
