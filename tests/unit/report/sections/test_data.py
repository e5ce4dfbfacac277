from __future__ import annotations

from pathlib import Path

from tests.helpers.report_results import (
    MadeUp,
    report_on,
)


def test_a_long_quarantine_shows_two_hundred_rows_and_counts_the_rest(tmp_path: Path) -> None:
    study = MadeUp(quarantine=230, tiles=False, scores=False, models=False, maps=False)
    assert "30\N{NO-BREAK SPACE}more rows in quarantine.tsv" in report_on(study, tmp_path).page.text
