from __future__ import annotations

from phenoloom.report.render import TEMPLATES
from phenoloom.report.report import SECTIONS
from phenoloom.report.sections.base import missing


def test_reasons_are_given_for_what_is_empty_and_only_for_that() -> None:
    content = {"table": None, "pictures": [], "scores": [1], "extra": None}
    reasons = {"table": "No table.", "pictures": "No pictures.", "scores": "No scores."}
    assert missing(content, reasons) == ["No table.", "No pictures."]


def test_every_section_has_a_template_of_its_name() -> None:
    names = [section.__module__.rpartition(".")[2] for section in SECTIONS]
    assert [name for name in names if not (TEMPLATES / f"{name}.html.j2").is_file()] == []
