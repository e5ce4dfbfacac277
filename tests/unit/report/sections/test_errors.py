from __future__ import annotations

import pytest

from phenoloom.report.scoreboard import Scoreboard
from phenoloom.report.sections.errors import confusions


def test_confusion_sums_the_folds_and_its_rows_are_the_support(board: Scoreboard) -> None:
    matrices = confusions(board)
    assert [m.title.split(",")[0] for m in matrices] == board.ranked()
    for matrix in matrices:
        assert sum(support for _, support, _ in matrix.rows) == 120
        for _, support, cells in matrix.rows:
            assert sum(n for n, _ in cells) == support
            assert sum(share for _, share in cells) == pytest.approx(1)
