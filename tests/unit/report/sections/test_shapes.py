from __future__ import annotations

from pathlib import Path

from tests.helpers.report_results import (
    MadeUp,
    ReportedStudy,
    report_on,
)


def test_the_shape_space_is_that_of_the_first_split_and_says_what_lies_outside_the_plane(
    study: ReportedStudy,
) -> None:
    page = study.page
    drawings = [tag["aria-label"] for tag in page.all("svg") if tag.get("class") == "contour"]
    assert sum(label.startswith("Step ") for label in drawings) == 14
    assert sum("drawn from the prior" in label for label in drawings) == 4
    assert sum(label.startswith("Shape mode ") for label in drawings) == 5
    assert "3.0\N{NO-BREAK SPACE}% of the decoded distances lie outside the plane (mean; at most 4.0" in page.text
    assert "All decoded distances are those of outlines in the plane." in page.text
    # Of fold-0; fold-1 errs three times as much.
    assert "2.00\N{NO-BREAK SPACE}%" in page.text
    assert "1 · 40.0\N{NO-BREAK SPACE}%" in page.text
    assert "Test rows lie 1.20 times as far" in page.text
    assert "< 10⁻⁶" in page.text
    assert "0.210" in page.text


def test_a_study_without_models_of_contours_has_no_section_on_shapes(tmp_path: Path) -> None:
    assert not any(tag.get("id") == "shapes" for tag in report_on(MadeUp(models=False), tmp_path).page.all("section"))
