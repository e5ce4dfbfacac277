from __future__ import annotations

import pytest

from phenoloom.core import progress as module
from phenoloom.core.progress import progress


def test_items_pass_in_order_and_a_log_gets_a_line_every_half_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # One look at the clock at the start, and one after each item of ten seconds.
    clock = iter(range(0, 100, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert list(progress("abcdefg", 7, "convert 0000", "images")) == list("abcdefg")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "convert 0000: 3/7 images, 0.1 images/s, 40 s left",
        "convert 0000: 6/7 images, 0.1 images/s, 10 s left",
    ]
