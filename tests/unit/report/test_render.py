from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from tests.helpers.page import Page
from tests.helpers.report_results import HOSTILE

from phenoloom.report.render import render
from phenoloom.report.table import Cell, Column, PageTable, number


def rendered(tmp_path: Path, table: PageTable) -> str:
    render("overview.html.j2", tmp_path / "index.html", table=table, number=len(table.rows))
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_page_allows_its_own_script_and_no_request(tmp_path: Path) -> None:
    html = rendered(tmp_path, PageTable("empty", [], []))
    (policy,) = [m["content"] for m in Page(html).all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_cells_are_escaped_and_carry_what_they_are_sorted_by(tmp_path: Path) -> None:
    rows = [[Cell(HOSTILE, note="note", title=HOSTILE), number("1,5", 1.5, shade=0.25)], [Cell("b"), number("–", None)]]
    html = rendered(tmp_path, PageTable("cells", [Column("name"), Column("value", numeric=True)], rows))
    page = Page(html)
    assert page.badly_nested == []
    assert HOSTILE in page.text
    assert "<script>window" not in html
    assert [td.get("data-sort") for td in page.all("td")] == ["1.5", None]
    assert page.all("td")[0]["style"] == "--v:0.250"
    assert [th["scope"] for th in page.all("th")] == ["col", "col", "row", "row"]


def test_a_table_of_one_row_is_not_sortable(tmp_path: Path) -> None:
    columns = [Column("name")]
    many = Page(rendered(tmp_path, PageTable("two", columns, [[Cell("a")], [Cell("b")]])))
    one = Page(rendered(tmp_path, PageTable("one", columns, [[Cell("a")]])))
    assert [table.get("class") for table in (*many.all("table"), *one.all("table"))] == ["sortable", None]


def test_a_value_that_the_template_lacks_is_an_error_and_leaves_the_page_as_it_was(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text("the page before")
    with pytest.raises(UndefinedError):
        render("overview.html.j2", page, number=1)
    assert page.read_text() == "the page before"
