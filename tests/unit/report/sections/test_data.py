from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests.helpers.report_results import (
    MadeUp,
    report_on,
)

from phenoloom.report.sections.data import losses


def test_a_long_quarantine_shows_two_hundred_rows_and_counts_the_rest(tmp_path: Path) -> None:
    study = MadeUp(quarantine=230, tiles=False, scores=False, models=False, maps=False)
    assert "30\N{NO-BREAK SPACE}more rows in quarantine.tsv" in report_on(study, tmp_path).page.text


def test_losses_are_listed_by_reason_for_all_and_for_each_class() -> None:
    large = {"reason": "object larger than the tile", "lost": 3, "of": 12, "classes": {"A": [3, 4], "B": [0, 8]}}
    results = SimpleNamespace(manifests={"index": [{"losses": {"reasons": [large], "fitting_px": 64}}]})
    table = losses(results)  # type: ignore[arg-type]
    assert table is not None
    assert [[cell.text for cell in row[1:]] for row in table.rows] == [
        ["all", "3", "12", "25.0\N{NO-BREAK SPACE}%"],
        ["A", "3", "4", "75.0\N{NO-BREAK SPACE}%"],
        ["B", "0", "8", "0.0\N{NO-BREAK SPACE}%"],
    ]
    assert losses(SimpleNamespace(manifests={"index": [{}]})) is None  # type: ignore[arg-type]
