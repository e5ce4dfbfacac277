"""Numbers and columns of the commands that use a finished model."""

from __future__ import annotations

from pathlib import Path

import pytest

from phenoloom.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--max-rejected-fraction", "1"], "`--max-rejected-fraction` must be at least 0 and below 1, found 1"),
        (["--pixel-size-um", "0"], "`--pixel-size-um` must be above 0, found 0"),
        (["--threads", "0"], "`--threads` must be at least 1, found 0"),
        (["--columns", "field"], "`--columns field` must read WORD=FIELD"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    paths = ["--model", str(tmp_path), "--images", str(tmp_path), "--output", str(tmp_path / "out.parquet")]
    assert main(["apply", *paths, *arguments]) == 1
    assert sentence in capsys.readouterr().err
