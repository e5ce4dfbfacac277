from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.helpers.page import Page
from tests.helpers.report_results import (
    HOSTILE,
    REPRESENTATIONS,
    MadeUp,
    report_on,
)

from phenoloom.report import make_overview


def test_the_overview_links_each_study_and_says_which_has_no_report(tmp_path: Path) -> None:
    study = replace(MadeUp(), title=f"Title {HOSTILE}", models=False, maps=False)
    report_on(study, tmp_path)
    make_overview(study.titles, tmp_path, tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    headline = json.loads((tmp_path / study.name / "report" / "headline.json").read_text())
    assert [a["href"] for a in page.all("a")] == ["#main", "made-up/report/index.html"]
    assert f"Title {HOSTILE}" in page.text
    assert "no report yet" in page.text
    for key in ("best", "descriptors", "dummy"):
        assert f"{headline[key]['value']:.3f}" in page.text
    assert set(REPRESENTATIONS) >= {headline["best"]["name"], headline["descriptors"]["name"]}
